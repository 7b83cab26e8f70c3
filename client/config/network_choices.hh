// Network managers of a Debian system, and the choice which of them must leave the root disk's interface
// alone. Pure.
#pragma once

#include <cstdint>

namespace holdfast::client {

enum class NetworkOwner : std::uint8_t { ifupdown, networkd, network_manager };
// Returns "ifupdown", "systemd-networkd" or "NetworkManager".
[[nodiscard]] const char* word_of(NetworkOwner owner) noexcept;

// The administrator's choice: managers to keep from the interface, and facts of DHCP to use.
struct NetworkChoices {
    bool ifupdown = true;
    bool networkd = true;
    bool network_manager = true;
    bool host_name = false;  // take the host name that DHCP supplied

    [[nodiscard]] bool keeps_from(NetworkOwner owner) const noexcept;
    bool operator==(const NetworkChoices&) const = default;
};

inline const char* word_of(NetworkOwner owner) noexcept {
    switch (owner) {
        case NetworkOwner::ifupdown: return "ifupdown";
        case NetworkOwner::networkd: return "systemd-networkd";
        case NetworkOwner::network_manager: return "NetworkManager";
    }
    return "?";
}

inline bool NetworkChoices::keeps_from(NetworkOwner owner) const noexcept {
    switch (owner) {
        case NetworkOwner::ifupdown: return ifupdown;
        case NetworkOwner::networkd: return networkd;
        case NetworkOwner::network_manager: return network_manager;
    }
    return false;
}

}  // namespace holdfast::client
