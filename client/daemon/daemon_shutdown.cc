// Shutdown of a machine whose server is unreachable. Every process waits for the disk then, perhaps pid 1,
// too: so the daemon gives the device up and, if that does not help, ends the machine.

#include <sys/reboot.h>
#include <unistd.h>

#include "client/daemon/daemon.hh"
#include "common/linux/log.hh"
#include "common/linux/pause.hh"

namespace holdfast::client {
namespace {

using std::chrono::seconds;

// Pause between attempts to give the device up, and their number.
constexpr seconds pause_between_attempts{1};
constexpr int most_attempts = 3;

// Syncs the other disks, in a child process, since one of these disks may be unreachable, too.
void sync_in_the_background() noexcept {
    if (::fork() != 0) return;
    ::sync();
    ::_exit(0);
}

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

// `proving` alone is no evidence: an idle disk stays in it after a reconnect, and so does a link that the
// kernel never adopts because another link is in use. Nor is a link that is down, if the kernel has another.
DiskEvidence Daemon::evidence(Clock::time_point now) noexcept {
    if (supervisor_->state() == LinkState::attached) return DiskEvidence::works;
    switch (proof_.look(kernel_.totals().requests, now)) {
        case DiskProof::OfferVerdict::answers: return DiskEvidence::works;
        case DiskProof::OfferVerdict::pending: return DiskEvidence::unknown;
        case DiskProof::OfferVerdict::silent: break;
        case DiskProof::OfferVerdict::failed:
            return supervisor_->has_link() ? DiskEvidence::works : DiskEvidence::away;
    }
    // A merely slow server has received requests on this link. A UNIX socket does not count sent bytes.
    const auto health = health_of(links_.descriptor());
    const bool has_requests = health ? health->acknowledged > acknowledged_before_ : kernel_.in_flight() > 0;
    return supervisor_->has_link() && has_requests ? DiskEvidence::works : DiskEvidence::away;
}

void Daemon::mind_shutdown(Clock::time_point now) {
    const bool going_down = signs_.look() != Ending::none;
    const bool proved = going_down && !shutdown_.is_off();
    const DiskEvidence known = proved ? evidence(now) : DiskEvidence::works;
    switch (shutdown_.look(known, going_down, now)) {
        case ShutdownLimit::Step::none: return;
        case ShutdownLimit::Step::began:
            log::warning(
                LineText::of("{}: the machine goes down and its server is away: waiting for it, {} s at most",
                             device_.name(), shutdown_.patience().count()));
            return;
        case ShutdownLimit::Step::give_up: return end_with_the_machine();
    }
}

void Daemon::end_with_the_machine() {
    if (!kernel_.has_our_device()) return tell(LinkEvent::leave);
    const LineText reason =
        LineText::of("the machine goes down, and the server has been away for {} s of it (shutdown-timeout)",
                     shutdown_.patience().count());
    for (int attempt = 1; !release_.give_up(reason.view()) && attempt < most_attempts; ++attempt)
        pause_for(pause_between_attempts);
    if (!device_.record.carries_root) return tell(LinkEvent::leave);
    // The programs of the shutdown may be on the lost disk, and not in memory.
    sync_in_the_background();
    pause_for(shutdown_.grace());
    const Ending ending = signs_.look_closely();
    log::error(LineText::of("{}: the shutdown has not come to its end by itself: {}", device_.name(),
                            word_of(ending)));
    ::reboot(command_for(ending));
    ::reboot(RB_AUTOBOOT);
    tell(LinkEvent::leave);
}

}  // namespace holdfast::client
