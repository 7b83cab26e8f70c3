// Compares the identity with the records of the devices that the kernel has connected.

#include "client/attach/second_writer.hh"

#include <fmt/format.h>

#include "client/control/state_file.hh"
#include "client/kernel/sysfs.hh"

namespace holdfast::client {
namespace {

// The record of a device that is attached now, by this program; else empty.
std::optional<KnownDevice> attached_device(std::uint32_t index, const char* folder, const char* block) {
    const auto sysfs = SysfsDevice::open(index, block);
    const auto text = sysfs ? read_state_file(index, folder) : std::unexpected(sysfs.error());
    if (!text) return std::nullopt;
    auto known = read_known_device(*text);
    if (!known || known->record.identifier != sysfs->attribute("backend")) return std::nullopt;
    return std::move(*known);
}

}  // namespace

std::expected<void, Failure> refuse_second_writer(const Found& found, const char* folder, const char* block) {
    if (!found.link.session || found.link.session->export_identity.empty()) return {};
    for (const std::uint32_t index : nbd_devices(block)) {
        const auto other = attached_device(index, folder, block);
        if (!other || (other->record.server_flags & nbd::flag_read_only) != 0 ||
            other->live.export_identity != found.link.session->export_identity)
            continue;
        const Target& target = found.targets[found.target];
        return std::unexpected(
            Failure{ExitCode::busy,
                    fmt::format("{}: /dev/nbd{} has this disk already and may write to it; a second device "
                                "for writing would destroy data: detach the first one, or use --read-only",
                                target.uri, index)});
    }
    return {};
}

}  // namespace holdfast::client
