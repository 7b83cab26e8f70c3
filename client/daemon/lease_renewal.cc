// Connects the lease's socket with the device's live state, the log and the status.

#include "client/daemon/lease_renewal.hh"

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

void LeaseRenewal::open(std::string_view folder) {
    if (!device_.record.lease) return;
    lease_.emplace(*device_.record.lease, folder);
    if (auto facts = FactsFile::open(folder, device_.record.lease->interface))
        facts_ = *std::move(facts);
    else
        warn_of_facts(facts.error());
    if (lease_->descriptor() < 0) return;  // LeaseSocket reports the error itself
    if (auto watched = loop_.watch(lease_->descriptor(), EPOLLIN, tag_lease); !watched)
        log::warning(LineText::of("{}: {}", device_.name(), watched.error().text()));
}

void LeaseRenewal::start(std::uint64_t seed, Time now) noexcept {
    if (lease_) lease_->start(device_.live.lease, seed, now);
}

void LeaseRenewal::advance(Time now) noexcept {
    if (!lease_) return;
    const std::uint64_t renewals = device_.live.lease.renewals;
    const bool changed = lease_->advance(now);
    device_.live.lease = lease_->state();
    if (device_.live.lease.renewals != renewals) publish_facts();
    if (const auto news = lease_->take_news())
        log::write(level_of(news->weight), LineText::of("{}: {}", device_.name(), news->text));
    if (changed) store_.save();
}

// Leaves the file alone if the server supplied no fact: the system keeps those that it has.
void LeaseRenewal::publish_facts() noexcept {
    const FactsText text = lines_of(lease_->facts());
    if (!facts_ || text.empty()) return;
    if (const auto published = facts_->publish(text); !published) warn_of_facts(published.error());
}

void LeaseRenewal::warn_of_facts(const SysError& error) noexcept {
    log::warning(LineText::of("{}: cannot pass the name servers of the DHCP lease on: {}", device_.name(),
                              error.text()));
}

void LeaseRenewal::drain() noexcept {
    if (lease_) lease_->drain();
}

void LeaseRenewal::release_turn() noexcept {
    if (lease_) lease_->release_turn();
}

void LeaseRenewal::move_to(std::string_view interface, Time now) noexcept {
    if (!lease_) return;
    if (lease_->interface() != interface)
        log::notice(LineText::of("{}: the leased address {} is on {} now; renewing its DHCP lease there",
                                 device_.name(), text_of(device_.record.lease->address), interface));
    lease_->move_to(interface, now);
}

void LeaseRenewal::add_to(DeviceStatus& status, Time now) const {
    if (!lease_) return;
    const LeaseRecord& record = *device_.record.lease;
    if (!lease_->has_turn()) {
        status.lease_problem =
            LineText::of("the DHCP lease of {} ({}) is renewed by the daemon of another device",
                         lease_->interface(), text_of(record.address));
        return;
    }
    const LeaseState& state = device_.live.lease;
    status.interface = lease_->interface();
    status.address = text_of(record.address).view();
    status.lease_problem = state.problem;
    status.lease_seconds = state.seconds;
    status.lease_left_seconds = seconds_left(state, since_boot(now));
    status.lease_renewals = state.renewals;
}

}  // namespace holdfast::client
