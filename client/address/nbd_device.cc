// Accepts exactly the kernel's spelling of a device: nbd00 is not a device node.

#include "client/address/nbd_device.hh"

#include <fmt/core.h>

#include "client/address/word_checks.hh"

namespace holdfast::client {

std::optional<NbdDevice> parse_nbd_device(std::string_view word) {
    constexpr std::uint32_t most_partitions = 255;
    if (word.starts_with("/dev/")) word.remove_prefix(5);
    if (!word.starts_with("nbd")) return {};
    word.remove_prefix(3);
    const std::size_t p = word.find('p');
    const auto index = canonical_number(word.substr(0, p), most_devices - 1);
    if (!index) return {};
    if (p == std::string_view::npos) return NbdDevice{.index = *index, .partition = 0};
    const auto partition = canonical_number(word.substr(p + 1), most_partitions);
    if (!partition || *partition == 0) return {};
    return NbdDevice{.index = *index, .partition = *partition};
}

std::string device_path(const NbdDevice& device) {
    if (device.partition == 0) return fmt::format("/dev/nbd{}", device.index);
    return fmt::format("/dev/nbd{}p{}", device.index, device.partition);
}

}  // namespace holdfast::client
