// Compares the disk's identity with the records of all connected devices.

#include "client/attach/second_writer.hh"

#include <fcntl.h>
#include <fmt/core.h>

#include <optional>
#include <string>
#include <string_view>

#include "client/control/record_file.hh"
#include "client/kernel/sysfs.hh"
#include "common/linux/pause.hh"
#include "common/text/fnv1a.hh"

namespace holdfast::client {
namespace {

// Returns the record of a device that this program has attached; else empty.
std::optional<KnownDevice> attached_device(std::uint32_t index, const char* folder, const char* block) {
    const auto sysfs = SysfsDevice::open(index, block);
    const auto text = sysfs ? read_state_file(index, folder) : std::unexpected(sysfs.error());
    if (!text) return std::nullopt;
    auto known = read_known_device(*text);
    if (!known || known->record.identifier != sysfs->attribute("backend")) return std::nullopt;
    return std::move(*known);
}

// Identities that name a place in a machine, not a disk: two machines may have the same.
bool is_of_one_machine(std::string_view identity) {
    return identity.starts_with("device:") || identity.starts_with("device-mapper:") ||
           identity.starts_with("serial:");
}

bool is_same_disk(const KnownDevice& known, const SessionFacts& session) {
    if (known.live.export_identity != session.export_identity) return false;
    return known.live.boot_identity == session.boot_identity || !is_of_one_machine(session.export_identity);
}

// Locks the byte of the file that stands for the disk: attaches of different disks do not wait for each
// other.
bool try_lock(int file, std::string_view identity) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = static_cast<off_t>(fnv1a(identity) >> 1U);  // no negative offset
    lock.l_len = 1;
    return ::fcntl(file, F_OFD_SETLK, &lock) == 0;
}

std::expected<Fd, Failure> lock_writers(const WriterPlaces& places, std::string_view identity) {
    const std::string path = fmt::format("{}/writers.lock", places.folder);
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file)
        return std::unexpected(
            Failure{ExitCode::failure, fmt::format("{}: {}", path, sys_error("open").error().message())});
    const auto end = Clock::now() + places.patience;
    while (!try_lock(file.get(), identity)) {
        if (errno != EAGAIN || Clock::now() >= end)
            return std::unexpected(Failure{
                ExitCode::busy, fmt::format("{}: locked by another holdfast-client, which has been attaching "
                                            "the same disk for {} s; try again, or look for a hung process",
                                            path, places.patience.count() / 1000)});
        pause_for(std::chrono::milliseconds{50});
    }
    return file;
}

}  // namespace

std::expected<Fd, Failure> take_writers_turn(const Found& found, const WriterPlaces& places) {
    if (!found.link.session || found.link.session->export_identity.empty()) return Fd();
    auto turn = lock_writers(places, found.link.session->export_identity.view());
    if (!turn) return turn;
    for (const std::uint32_t index : nbd_devices(places.block)) {
        const auto other = attached_device(index, places.folder, places.block);
        if (!other || (other->record.server_flags & nbd::flag_read_only) != 0 ||
            !is_same_disk(*other, *found.link.session))
            continue;
        const Target& target = found.targets[found.target];
        return std::unexpected(
            Failure{ExitCode::busy,
                    fmt::format("{}: already attached for writing as /dev/nbd{}; a second writable device of "
                                "the same disk would destroy data: detach the first, or use --read-only (if "
                                "it is a different disk, give its export its own identity=)",
                                target.uri, index)});
    }
    return turn;
}

}  // namespace holdfast::client
