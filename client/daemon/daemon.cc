// Order of the parts: at the start, at a tick of the clock, at the end.

#include "client/daemon/daemon.hh"

#include <algorithm>
#include <utility>

#include "client/daemon/device_report.hh"
#include "client/daemon/random_seed.hh"
#include "common/linux/log.hh"

namespace holdfast::client {

Daemon::Daemon(Netlink netlink, SysfsDevice sysfs, DeviceRecord record, const LiveState& live)
    : kernel_(std::move(netlink), std::move(sysfs), record.index, record.identifier),
      device_{std::move(record), live},
      files_(kernel_, device_, *this),
      limits_(kernel_, device_),
      log_(device_),
      links_(kernel_, device_, loop_, files_),
      release_(kernel_, device_, files_, links_, log_, limits_),
      new_link_(kernel_, device_, loop_, log_, release_),
      watch_(kernel_, device_, log_, limits_),
      keeper_(kernel_, device_, files_, links_, new_link_, watch_, log_, *this),
      callers_(kernel_, device_, loop_, *this),
      growth_(kernel_, device_, files_, proof_, callers_),
      probe_(kernel_, device_, loop_, log_, growth_, callers_),
      shutdown_(kernel_, device_, release_, proof_, machine_),
      lease_(device_, loop_, files_),
      network_(device_, loop_),
      domain_(device_, files_, limits_) {}

Result<void> Daemon::prepare(ProcessTitle& title) {
    if (auto opened = callers_.open(); !opened) return opened;
    if (auto opened = files_.open(); !opened) return opened;
    files_.open_exemption();
    memory_ = MemoryUse::open();
    shutdown_.open(ShutdownDetection::open());
    proof_ = DiskProof::open(device_.record.index);
    links_.prepare();
    limits_.open(title);
    domain_.open(SelinuxDomain::open({{files_.directory(), run_directory, "holdfast_client_runtime_t"},
                                      {files_.omit_directory(), "/run/sendsigs.omit.d", {}},
                                      {kernel_.attributes_directory(), "/sys/block", {}},
                                      {limits_.descriptor(), "a pipe", {}}}));
    profile_ = AppArmorProfile::open();
    profile_loaded_ = is_profile_loaded().value_or(false);
    if (auto opened = loop_.open(); !opened) return opened;
    if (auto watched = loop_.watch(kernel_.events_descriptor(), EPOLLIN, tag_kernel); !watched)
        return watched;
    if (auto watched = callers_.watch(); !watched) return watched;
    lease_.open(run_directory);
    network_.open(title);
    return {};
}

void Daemon::start(Fd link, const LiveState& live) noexcept {
    device_.live = live;
    limits_.start();
    keeper_.take(std::move(link), random_seed());
    start_parts();
}

void Daemon::start_parts() {
    limits_.check_size(false);
    const Clock::time_point now = kernel_.now();
    probe_.end(now);
    lease_.start(random_seed(), now);
    network_.link_is(links_.descriptor());
}

void Daemon::announce() noexcept {
    callers_.publish();
    files_.enter_exemption();
    files_.save();
}

void Daemon::run() noexcept {
    confine_at_start();
    while (!is_over()) {
        loop_.arm(deadline());
        files_.beat();
        for (const epoll_event& event : loop_.wait()) {
            if (is_over()) return;
            dispatch(event.data.u64);
        }
    }
}

Clock::time_point Daemon::deadline() const noexcept {
    if (callers_.has_successor()) return callers_.successor_due();
    Clock::time_point next = keeper_.deadline();
    if (keeper_.has_link()) next = std::min(next, probe_.deadline());
    return std::min(next, lease_.deadline());
}

void Daemon::dispatch(std::uint64_t tag) {
    if (tag == tag_signals) return loop_.take_signals(device_.name());
    if (tag == tag_listen) return callers_.accept();
    if (tag >= tag_first_caller) return callers_.receive(tag - tag_first_caller);
    callers_.has_successor() ? stand_by_for(tag) : act_on(tag);
}

void Daemon::stand_by_for(std::uint64_t tag) {
    switch (tag) {
        case tag_kernel: (void)kernel_.take_link_dead(); return;
        case tag_timer: loop_.take_timer(); return callers_.expire_successor(kernel_.now());
        case tag_lease: return lease_.drain();
        case tag_network: return follow_network();
        default: return;
    }
}

void Daemon::act_on(std::uint64_t tag) {
    if (is_over()) return;
    const Clock::time_point now = kernel_.now();
    switch (tag) {
        case tag_kernel: return keeper_.on_driver_event(kernel_.take_link_dead());
        case tag_timer: loop_.take_timer(); return on_timer(now);
        case tag_lease: return lease_.advance(now);
        case tag_network: return follow_network();
        case tag_link: return keeper_.on_link_event();
        case tag_attempt: return keeper_.on_attempt_event();
        case tag_probe: return react(probe_.advance(link(), now));
        default: return;
    }
}

void Daemon::on_timer(Clock::time_point now) {
    if (domain_.advance(now)) network_.follow_domain();
    log_.write_summary(now);
    if (shutdown_.look(link(), now)) keeper_.report(LinkEvent::leave);
    if (is_over()) return;
    lease_.advance(now);
    react(probe_.on_timer(link(), now));
    if (is_over()) return;
    growth_.advance(link(), now);
    keeper_.on_timer(now);
}

void Daemon::follow_network() noexcept {
    if (const auto changed = network_.advance()) lease_.move_to(changed->name, kernel_.now());
}

void Daemon::react(ExportProbe::Outcome outcome) {
    // After the hand-over, only the successor acts on the device.
    if (is_over()) return;
    switch (outcome) {
        case ExportProbe::Outcome::none: return;
        case ExportProbe::Outcome::grown: return keeper_.report(LinkEvent::link_lost);
        case ExportProbe::Outcome::silent: return keeper_.lose("the server's machine stopped answering");
    }
}

// --- Commands

LineText Daemon::detach(bool forced, bool standing_by) {
    const auto outcome =
        release_.detach({.forced = forced, .has_link = has_link(), .standing_by = standing_by});
    if (outcome.failure.empty()) keeper_.report(LinkEvent::leave);
    // The link has ended anyway; reconnect.
    else if (outcome.link_ended && has_link())
        keeper_.lose("a detach failed");
    return outcome.failure;
}

void Daemon::resize(std::size_t slot) { react(probe_.start_for(slot, link(), kernel_.now())); }

// Afterwards, or never: the kernel checks sockets, and files opened from then on. Files that were opened
// before stay usable.
LineText Daemon::confine() {
    if (profile_.entered()) return {};
    if (auto entered = profile_.enter(); !entered) return LineText(entered.error().text());
    limits_.follow_domain();
    log::notice(LineText::of("{}: entered its AppArmor profile", device_.name()));
    return {};
}

void Daemon::confine_at_start() {
    if (!profile_loaded_) return;
    if (const LineText failure = confine(); !failure.empty())
        log::warning(LineText::of("{}: not confined by AppArmor: {}; try `holdfast-client confine`",
                                  device_.name(), failure));
}

int Daemon::stand_by() {
    lease_.release_turn();
    network_.stand_by();
    probe_.end(kernel_.now());
    return keeper_.stand_by();
}

void Daemon::resume() {
    if (!kernel_.has_our_device()) return keeper_.report(LinkEvent::leave);
    limits_.start();
    keeper_.resume(random_seed());
    start_parts();
    files_.save();
}

DeviceStatus Daemon::status() const {
    const Clock::time_point now = kernel_.now();
    DeviceStatus status = report_of(device_, keeper_.view(now), now);
    status.in_flight = kernel_.in_flight();
    lease_.add_to(status, now);
    status.domain = domain_.context().view();
    if (profile_.entered()) status.profile = apparmor_profile;
    add_process(status, memory_);
    return status;
}

// --- Link

void Daemon::link_established(std::uint64_t size) noexcept {
    limits_.check_size(false);
    probe_.end(kernel_.now());
    growth_.link_established(size);
    network_.link_is(links_.descriptor());
}

void Daemon::link_lost() noexcept {
    growth_.link_lost();
    probe_.end(kernel_.now());
    network_.link_is(-1);
}

void Daemon::leaving() noexcept {
    if (kernel_.has_our_device()) log::notice(LineText::of("{}: exiting", device_.name()));
    files_.remove();
    callers_.remove();
    files_.end_exemption();
}

}  // namespace holdfast::client
