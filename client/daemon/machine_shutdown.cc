// Collects the evidence, and carries the end out.

#include "client/daemon/machine_shutdown.hh"

#include <sys/reboot.h>
#include <unistd.h>

#include "client/link/link_health.hh"
#include "common/linux/log.hh"
#include "common/linux/pause.hh"

namespace holdfast::client {
namespace {

using std::chrono::seconds;

// Pause between attempts to give the device up, and their number.
constexpr seconds pause_between_attempts{1};
constexpr int most_attempts = 3;

int command_for(Ending ending) noexcept {
    switch (ending) {
        case Ending::power_off: return RB_POWER_OFF;
        case Ending::halt: return RB_HALT_SYSTEM;
        case Ending::kexec: return RB_KEXEC;
        case Ending::reboot:
        case Ending::none:
        case Ending::unknown: break;
    }
    return RB_AUTOBOOT;
}

}  // namespace

void ThisMachine::sync_in_the_background() noexcept {
    if (::fork() != 0) return;
    ::sync();
    ::_exit(0);
}

void ThisMachine::pause(seconds duration) noexcept { pause_for(duration); }

void ThisMachine::end(Ending ending) noexcept {
    ::reboot(command_for(ending));
    ::reboot(RB_AUTOBOOT);
}

// `proving` alone is no evidence: an idle disk stays in it after a reconnect, and so does a link that the
// kernel never adopts because another link is in use. Nor is a link that is down, if the kernel has another.
DiskEvidence MachineShutdown::evidence(const LinkView& link, Clock::time_point now) noexcept {
    if (link.proved) return DiskEvidence::works;
    switch (proof_.look(kernel_.totals().requests, now)) {
        case DiskProof::Verdict::answers: return DiskEvidence::works;
        case DiskProof::Verdict::pending: return DiskEvidence::unknown;
        case DiskProof::Verdict::silent: break;
        case DiskProof::Verdict::failed: return link.has_link ? DiskEvidence::works : DiskEvidence::away;
    }
    // A merely slow server has received requests on this link. A UNIX socket does not count sent bytes, and
    // with queue/iostats = 0 the kernel does not count the requests in flight, of which there may be some.
    const auto health = health_of(link.descriptor);
    const bool has_requests = health ? health->acknowledged > link.acknowledged_before : !kernel_.is_idle();
    return link.has_link && has_requests ? DiskEvidence::works : DiskEvidence::away;
}

bool MachineShutdown::look(const LinkView& link, Clock::time_point now) {
    const bool going_down = detection_.look() != Ending::none;
    const bool proved = going_down && !limit_.is_off();
    const DiskEvidence known = proved ? evidence(link, now) : DiskEvidence::works;
    switch (limit_.look(known, going_down, now)) {
        case ShutdownLimit::Step::none: return false;
        case ShutdownLimit::Step::began:
            log::warning(LineText::of(
                "{}: shutting down while the server is unreachable; waiting for it, {} s at most",
                device_.name(), limit_.patience().count()));
            return false;
        case ShutdownLimit::Step::give_up: give_device_up(); return true;
    }
    return false;
}

void MachineShutdown::give_device_up() {
    if (!kernel_.has_our_device()) return;
    const LineText reason =
        LineText::of("shutting down, and the server has been unreachable for {} s of it (shutdown-timeout)",
                     limit_.patience().count());
    for (int attempt = 1; !release_.give_up(reason.view(), true) && attempt < most_attempts; ++attempt)
        machine_.pause(pause_between_attempts);
    if (!device_.record.carries_root || device_.record.may_be_lost) return;
    // The programs of the shutdown may be on the lost disk, and not in memory.
    machine_.sync_in_the_background();
    machine_.pause(limit_.grace());
    const Ending ending = detection_.look_closely();
    log::error(
        LineText::of("{}: the shutdown did not finish by itself: {}", device_.name(), word_of(ending)));
    machine_.end(ending);
}

}  // namespace holdfast::client
