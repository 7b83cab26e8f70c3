// Compares the times of the attachments, which a takeover leaves unchanged.

#include "client/control/root_disk.hh"

#include <utility>

#include "client/control/device_record.hh"
#include "client/control/record_file.hh"

namespace holdfast::client {

std::optional<std::uint32_t> root_disk(std::span<const std::uint32_t> devices, const char* folder) {
    std::optional<std::pair<Monotonic, std::uint32_t>> root;
    for (const std::uint32_t index : devices) {
        const auto text = read_state_file(index, folder);
        const auto known = text ? read_known_device(*text) : std::unexpected(text.error().message());
        if (!known || !known->record.carries_root) continue;
        const std::pair found{known->record.attached_at, index};
        if (!root || found < *root) root = found;
    }
    return root ? std::optional(root->second) : std::nullopt;
}

}  // namespace holdfast::client
