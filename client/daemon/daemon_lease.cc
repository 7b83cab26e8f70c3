// DHCP lease of the address through which the disk is reached: renewed whether the link is up or down, but
// not while another daemon is about to take the device over.

#include <sys/epoll.h>

#include "client/daemon/daemon.hh"
#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

log::Level level_of(Lease::News::Weight weight) noexcept {
    switch (weight) {
        case Lease::News::Weight::good: return log::Level::notice;
        case Lease::News::Weight::worrying: return log::Level::warning;
        case Lease::News::Weight::grave: return log::Level::error;
    }
    return log::Level::error;
}

}  // namespace

void Daemon::prepare_lease() {
    if (!device_.record.lease) return;
    lease_.emplace(*device_.record.lease, run_directory);
    if (lease_->descriptor() < 0) return;  // LeaseKeeper reports the error itself
    if (auto watched = loop_.watch(lease_->descriptor(), EPOLLIN, tag_lease); !watched)
        log::warning(LineText::of("{}: {}", device_.name(), watched.error().text()));
}

void Daemon::take_lease(std::uint64_t seed, Clock::time_point now) {
    if (lease_) lease_->start(device_.live.lease, seed, now);
}

void Daemon::mind_lease(Clock::time_point now) {
    if (!lease_) return;
    if (successor_) return lease_->drain();
    const bool changed = lease_->advance(now);
    device_.live.lease = lease_->state();
    if (const auto news = lease_->take_news())
        log::write(level_of(news->weight), LineText::of("{}: {}", device_.name(), news->text));
    if (changed) files_.save();
}

void Daemon::tell_lease(DeviceStatus& status, Clock::time_point now) const {
    if (!lease_) return;
    if (!lease_->has_turn()) {
        status.lease_problem =
            LineText::of("the DHCP lease of {} ({}) is renewed by another device's daemon",
                         device_.record.lease->interface, text_of(device_.record.lease->address));
        return;
    }
    status.interface = device_.record.lease->interface.view();
    status.address = text_of(device_.record.lease->address).view();
    status.lease_problem = device_.live.lease.problem;
    status.lease_seconds = device_.live.lease.seconds;
    status.lease_left_seconds = seconds_left(device_.live.lease, since_boot(now));
    status.lease_renewals = device_.live.lease.renewals;
}

}  // namespace holdfast::client
