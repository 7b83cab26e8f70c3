// Ends every link that may hold a stuck sender before the kernel is asked to disconnect: DISCONNECT would
// wait for the sender, holding a lock that every nbd device needs.

#include "client/daemon/device_release.hh"

#include <chrono>

#include "client/control/record_file.hh"
#include "client/link/link_health.hh"
#include "common/linux/log.hh"
#include "common/linux/pause.hh"

namespace holdfast::client {

LineText DeviceRelease::reason_to_stay(const Request& request) const {
    const bool up = request.has_link && links_.is_alive();
    if (!up && !request.forced) return "the link is down, so written data may not have reached the server";
    if (request.standing_by) return "a takeover is in progress; try again";
    return {};
}

// If all data is sent and the device is unused, the kernel can notify the server of the end. Otherwise a
// sender may be stuck in the socket.
bool DeviceRelease::is_idle() const noexcept {
    return all_sent(links_.descriptor()) && (!links_.any_older() || kernel_.is_idle());
}

// A probe of udev would else read from a device without a link, and the kernel log an error for each read:
// udev opens a disk that somebody has locked before it sees the lock. Of a disk without a size nothing is
// read. The kernel waits for requests in flight before it changes a size, with a lock that every nbd device
// needs, so a device with requests that are not answered soon keeps its size.
Result<void> DeviceRelease::disconnect_empty() {
    constexpr std::chrono::milliseconds pause{5};
    constexpr int most_pauses = 100;
    for (int i = 0; i < most_pauses && !kernel_.is_idle(); ++i) pause_for(pause);
    const std::uint64_t size = kernel_.size();
    DeviceChange change;
    change.size = 0;
    const bool emptied = kernel_.is_idle() && kernel_.reconfigure(change);
    auto done = kernel_.disconnect();
    if (done || !emptied) return done;
    change.size = size;
    if (const auto again = kernel_.reconfigure(change); !again)
        log::error(
            LineText::of("{}: not detached, and its size could not be restored: {}; detach it with --force",
                         device_.name(), again.error().text()));
    return done;
}

DeviceRelease::Outcome DeviceRelease::detach(const Request& request) {
    if (const LineText reason = reason_to_stay(request); !reason.empty()) return {reason};
    if (!kernel_.has_our_device()) return {};
    const bool clear = !request.forced && is_idle();
    if (!clear)
        if (const LineText problem = links_.end_all(); !problem.empty()) return {problem};
    const auto done = clear ? disconnect_empty() : kernel_.release_stuck();
    if (!done) return {done.error().text(), !clear};
    links_.close();
    if (request.forced) leave_record_behind();
    log::notice(LineText::of("{}: detached", device_.name()));
    limits_.restore();
    return {};
}

bool DeviceRelease::give_up(std::string_view reason, bool shutting_down) {
    if (const LineText problem = links_.end_all(); !problem.empty()) {
        // Tried again with each attempt to link.
        if (log_.is_new(problem)) log::error(LineText::of("{}: not given up: {}", device_.name(), problem));
        return false;
    }
    log::error(LineText::of("{}: given up, so its file system gets errors: {}", device_.name(), reason));
    const auto done = kernel_.release_stuck();
    if (!done) log::error(LineText::of("{}: {}; retrying", device_.name(), done.error().text()));
    const bool kept = done && leave_record_behind();
    if (done && server_can_fence(device_.record, device_.live))
        log::warning(
            LineText::of("{}: its server may still hold writes and was not asked to discard them; {}before "
                         "another machine "
                         "writes to the disk, restart that server",
                         device_.name(),
                         kept && !shutting_down ? "the next attach of the disk on this machine asks; " : ""));
    return done.has_value();
}

bool DeviceRelease::leave_record_behind() {
    if (!server_can_fence(device_.record, device_.live)) return false;
    const auto left = store_.leave_behind();
    if (!left)
        log::warning(
            LineText::of("{}: the record was not kept, so a later attachment under another number cannot "
                         "fence this one: {}",
                         device_.name(), left.error().text()));
    return left.has_value();
}

}  // namespace holdfast::client
