// The network under the link of the root disk: the interface with the link's address, its addresses and
// routes. Remembers them, finds them damaged, and restores them, also on an interface that was created anew.
//
// Everything but open() may be called after the seal.
#pragma once

#include <cstdint>

#include "client/network/network_watch.hh"
#include "client/network/rtnetlink.hh"
#include "client/network/rtnetlink_message.hh"

namespace holdfast::client {

// Fitness of an interface to carry what `lost` carried; 0: unfit. Fit are the same kind with the same
// hardware address, or hardware at the same place of the machine; also a bridge, bond or team of this
// hardware address in place of the card, and the reverse, but no port of another interface. Pure.
[[nodiscard]] int fitness(const InterfaceFacts& lost, const InterfaceFacts& candidate,
                          bool same_place) noexcept;

class NetworkMemory {
public:
    // Result of restore().
    struct Restored {
        InterfaceName interface;
        bool raised = false;  // the interface was down
        std::uint32_t addresses = 0;
        std::uint32_t routes = 0;
        std::uint32_t removed = 0;  // addresses, from a port of `interface`, or from the bridge above it
        SysError error;             // the first; code 0: none

        [[nodiscard]] bool anything() const noexcept {
            return raised || addresses != 0 || routes != 0 || removed != 0;
        }
    };

    // `interfaces`: the folder /sys/class/net, where the places of cards are read; -1: places are unknown.
    NetworkMemory(Rtnetlink netlink, int interfaces) noexcept
        : netlink_(std::move(netlink)), interfaces_(interfaces) {}
    [[nodiscard]] const Rtnetlink& netlink() const noexcept { return netlink_; }

    // `address`: the link's own; `scope`: the interface of a link-local server address, or 0.
    [[nodiscard]] NetworkLook look(const IpAddress& address, const IpAddress& server, std::uint32_t scope);
    // Remembers the interface with the address that the last look() found.
    void remember();
    // Restores what is missing on the card that the last look() found. Moves the addresses if the interface
    // with the route to the server gets no packets: a port of a bridge, or a bridge without ports.
    [[nodiscard]] Restored restore();
    // Finds the interface with an address; index 0: none.
    [[nodiscard]] InterfaceFacts interface_with(const IpAddress& address) const;

private:
    using Place = FixedText<256>;
    [[nodiscard]] Place place_of(const InterfaceName& name) const noexcept;
    [[nodiscard]] InterfaceFacts facts_of(std::uint32_t index) const;
    [[nodiscard]] InterfaceFacts first_port_of(std::uint32_t master) const;
    [[nodiscard]] InterfaceFacts top_above(std::uint32_t port) const;
    [[nodiscard]] InterfaceFacts fittest(const InterfaceFacts& lost, const Place& place) const;
    [[nodiscard]] InterfaceFacts successor() const;
    [[nodiscard]] InterfaceFacts find_card() const;
    void restore_each(const MessageStore& messages, const char* call, std::uint32_t& count, Restored& result,
                      bool with_gateway) const;

    void remove_addresses(Restored& result) const;

    Rtnetlink netlink_;
    int interfaces_;
    // The memory.
    InterfaceFacts lost_;
    Place place_;
    InterfaceFacts port_;  // first port of a bridge, bond or team; index 0: none
    Place place_of_port_;
    MessageStore addresses_;
    MessageStore routes_;
    // The last look.
    InterfaceFacts holder_;  // with the address
    InterfaceFacts card_;    // in the place of the remembered interface
    bool stranded_ = false;  // the remembered interface has the route, and `card_` gets the packets
};

}  // namespace holdfast::client
