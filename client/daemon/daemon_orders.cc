// Commands of callers: status, detach, resize, takeover by another daemon.

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "client/control/record_file.hh"
#include "client/daemon/daemon.hh"
#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Time within which a successor that was handed the device must report that it is in charge.
constexpr seconds successor_patience{5};

std::uint64_t seconds_since(Monotonic then, Clock::time_point now) noexcept {
    return static_cast<std::uint64_t>(duration_cast<seconds>(since_boot(now) - then).count());
}

std::uint64_t number_of(milliseconds duration) noexcept {
    return static_cast<std::uint64_t>(duration.count());
}

}  // namespace

void Daemon::on_caller() {
    Fd caller = control_->accept();
    if (!caller) return;
    std::size_t slot = 0;
    while (slot < callers_.size() && callers_[slot].socket) ++slot;
    // All slots are taken by silent callers: replace one, but not a caller with a command in progress.
    if (slot == callers_.size())
        for (slot = 0; slot == successor_ || probe_.caller().is(slot) || growth_.caller().is(slot);) ++slot;
    if (!loop_.watch(caller.get(), EPOLLIN, tag_first_caller + slot)) return;
    callers_[slot] = {};
    callers_[slot].socket = std::move(caller);
}

void Daemon::on_control(std::size_t slot) {
    if (slot >= callers_.size() || !callers_[slot].socket) return;
    ControlConnection& caller = callers_[slot];
    std::optional<Order> order;
    switch (caller.receive(order)) {
        case ControlConnection::Outcome::more: return;
        case ControlConnection::Outcome::closed:
            if (successor_ == slot) resume_charge();
            probe_.forget(slot);
            growth_.forget(slot);
            caller = {};
            return;
        case ControlConnection::Outcome::malformed: caller.answer("error this is no order\n"); break;
        case ControlConnection::Outcome::order: obey(*order, slot); break;
    }
    if (callers_[slot].socket || leaving_) return;
    // The caller was answered, so no command waits for it.
    probe_.forget(slot);
    growth_.forget(slot);
    if (successor_ == slot) resume_charge();
}

void Daemon::obey(Order order, std::size_t slot) {
    ControlConnection& caller = callers_[slot];
    LineText failure;
    switch (order) {
        case Order::status: return caller.answer(to_lines(status()));
        case Order::detach:
        case Order::detach_forced:
            if (detach(order == Order::detach_forced, failure)) tell(LinkEvent::leave);
            return caller.answer(failure.empty() ? LineText("ok\n") : LineText::of("error {}\n", failure));
        case Order::resize:
            if (!supervisor_->has_link())
                return caller.answer(
                    "error the link is down; the size is looked at when it is up again, or try then\n");
            if (successor_ || probe_.caller().exists() || growth_.caller().exists())
                return caller.answer("error another look at the export is under way; try again\n");
            caller.length = 0;
            return react(probe_.start_for(slot, view(Clock::now()), Clock::now()));
        case Order::take_over: {
            LiveLines lines;
            add_lines(lines, device_.live);
            lines.append("\n");
            return caller.reply(files_.record_lines(), lines, -1);
        }
        case Order::ready: return stand_back(slot);
        case Order::mine:
            if (successor_ != slot) return caller.answer("error nobody was handed this device\n");
            caller.reply("go\n", {}, -1);
            if (!caller.socket) return resume_charge();
            log::notice(LineText::of("{}: taken over by another daemon", device_.name()));
            leaving_ = true;
            return;
    }
}

// Hands the device over: the daemon stays passive until the successor reports that it is in charge or
// disconnects.
void Daemon::stand_back(std::size_t slot) {
    ControlConnection& caller = callers_[slot];
    if (successor_) return caller.answer("error another daemon is about to take it over\n");
    successor_ = slot;
    successor_due_ = Clock::now() + successor_patience;
    lease_.stand_back();
    if (attempt_) loop_.forget(attempt_->descriptor());
    attempt_.reset();
    candidate_.reset();
    probe_.end(Clock::now());
    device_.live.longest_stall = std::max(device_.live.longest_stall, stall_.longest(Clock::now()));
    LiveLines lines;
    add_lines(lines, device_.live);
    lines.append("\n");
    const bool handing = supervisor_->has_link() && links_.has_socket();
    links_.ignore();  // no further action on the link, even if the link dies
    caller.reply("yours\n", lines, handing ? links_.descriptor() : -1);
    if (!caller.socket) resume_charge();
}

void Daemon::resume_charge() {
    successor_.reset();
    log::warning(
        LineText::of("{}: the daemon that was to take over has gone; this one stays", device_.name()));
    if (!kernel_.has_our_device()) return tell(LinkEvent::leave);
    const bool up = supervisor_->has_link() && links_.is_alive();
    if (!up) links_.let_go();
    take_charge(up ? links_.release() : Fd{}, device_.live);
    files_.save();
}

bool Daemon::detach(bool forced, LineText& failure) {
    const auto outcome = release_.detach(
        {.forced = forced, .has_link = supervisor_->has_link(), .standing_by = successor_.has_value()});
    failure = outcome.failure;
    // The link has ended anyway; reconnect.
    if (outcome.link_ended && supervisor_->has_link()) lose_link("it was to be detached");
    return failure.empty();
}

void Daemon::leave_files() {
    if (kernel_.has_our_device()) log::notice(LineText::of("{}: leaving", device_.name()));
    files_.remove();
    control_->remove();
    files_.end_exemption();
}

DeviceStatus Daemon::status() const {
    const Clock::time_point now = Clock::now();
    const MemoryUse::Amounts memory = memory_.read();
    DeviceStatus status;
    status.index = device_.record.index;
    status.state = supervisor_->has_link() ? DeviceState::attached : DeviceState::reconnecting;
    status.server = device_.target().uri;
    status.peer = device_.target().endpoint.text;
    status.identifier = shortened(device_.record.identifier);
    status.export_identity = device_.live.export_identity.view();
    if (device_.live.boot_identity) status.boot_identity = nbd::digits_of(*device_.live.boot_identity).view();
    status.last_error = device_.live.last_error;
    if (device_.live.last_error_at.count() != 0)
        status.last_error_seconds = seconds_since(device_.live.last_error_at, now);
    status.size = device_.live.size;
    status.block_size = device_.record.block_size;
    status.flags = device_.record.server_flags;
    status.read_only = (device_.record.server_flags & nbd::flag_read_only) != 0;
    status.session = fencing_word(device_.live.session_known, device_.live.host_fenced || status.read_only);
    status.connections = 1;
    status.servers = device_.record.targets.size();
    status.daemon_pid = static_cast<std::uint64_t>(::getpid());
    status.attached_seconds = seconds_since(device_.record.attached_at, now);
    status.link_seconds = seconds_since(device_.live.link_changed_at, now);
    status.adopted = supervisor_->state() == LinkState::attached ? 1 : 0;
    status.generation = device_.live.generation;
    status.reconnects = device_.live.reconnects;
    status.last_outage_ms = number_of(device_.live.last_outage);
    status.longest_outage_ms = number_of(device_.live.longest_outage);
    status.longest_stall_ms = number_of(std::max(device_.live.longest_stall, stall_.longest(now)));
    status.in_flight = kernel_.in_flight();
    status.in_flight_age_ms = number_of(stall_.age(now));
    status.cache_lost = device_.live.cache_lost;
    lease_.add_to(status, now);
    status.domain = domain_.context().view();
    status.locked_kib = memory.locked;
    status.resident_kib = memory.resident;
    return status;
}

}  // namespace holdfast::client
