// Commands of callers: status, detach, resize, confine, takeover by another daemon (orders.hh).

#include "client/daemon/callers.hh"

#include <utility>

#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

// Time within which a successor that was handed the device must report that it is in charge.
constexpr std::chrono::seconds successor_patience{5};

LiveLines live_lines(const LiveState& live) {
    LiveLines lines;
    add_lines(lines, live);
    lines.append("\n");
    return lines;
}

}  // namespace

Result<void> Callers::open() {
    auto control = ControlServer::open(device_.record.index);
    if (!control) return std::unexpected(control.error());
    control_ = std::move(*control);
    return {};
}

void Callers::publish() noexcept {
    if (auto published = control_->publish(); !published)
        log::warning(LineText::of("{}: {}", device_.name(), published.error().text()));
}

void Callers::remove() noexcept {
    if (control_) control_->remove();
}

void Callers::accept() {
    if (Fd caller = control_->accept(); caller) admit(std::move(caller));
}

std::size_t Callers::free_slot() const noexcept {
    std::size_t slot = 0;
    while (slot < callers_.size() && callers_[slot].socket) ++slot;
    if (slot < callers_.size()) return slot;
    // All slots are taken by silent callers: replace one, but not a caller with a command in progress.
    for (slot = 0; slot == successor_ || commands_.is_resizing_for(slot);) ++slot;
    return slot;
}

void Callers::admit(Fd caller) noexcept {
    const std::size_t slot = free_slot();
    if (!loop_.watch(caller.get(), EPOLLIN, tag_first_caller + slot)) return;
    callers_[slot] = {};
    callers_[slot].socket = std::move(caller);
}

void Callers::receive(std::size_t slot) {
    if (slot >= callers_.size() || !callers_[slot].socket) return;
    ControlConnection& caller = callers_[slot];
    std::optional<Order> order;
    switch (caller.receive(order)) {
        case ControlConnection::Outcome::more: return;
        case ControlConnection::Outcome::closed: caller = {}; break;
        case ControlConnection::Outcome::malformed: caller.answer("error unknown command\n"); break;
        case ControlConnection::Outcome::order: obey(*order, slot); break;
    }
    if (!caller.socket) end(slot);
}

// The caller has hung up or was answered, so no command waits for it.
void Callers::end(std::size_t slot) {
    commands_.forget(slot);
    if (successor_ == slot) resume();
}

void Callers::obey(Order order, std::size_t slot) {
    ControlConnection& caller = callers_[slot];
    switch (order) {
        case Order::status: return caller.answer(to_lines(commands_.status()));
        case Order::detach: return detach(false, caller);
        case Order::detach_forced: return detach(true, caller);
        case Order::resize: return resize(slot);
        case Order::confine: return confine(caller);
        case Order::take_over: return begin_takeover(caller);
        case Order::ready: return hand_over(slot);
        case Order::mine: return confirm_takeover(slot);
    }
}

void Callers::detach(bool forced, ControlConnection& caller) {
    const LineText failure = commands_.detach(forced, has_successor());
    caller.answer(failure.empty() ? LineText("ok\n") : LineText::of("error {}\n", failure));
}

void Callers::resize(std::size_t slot) {
    ControlConnection& caller = callers_[slot];
    if (!commands_.has_link())
        return caller.answer("error the link is down; the size is checked once it is up again\n");
    if (successor_ || commands_.is_resizing())
        return caller.answer("error another probe of the export is in progress; try again\n");
    caller.length = 0;
    commands_.resize(slot);
}

void Callers::confine(ControlConnection& caller) {
    const LineText failure = commands_.confine();
    caller.answer(failure.empty() ? LineText("ok\n") : LineText::of("error {}\n", failure));
}

void Callers::begin_takeover(ControlConnection& caller) {
    caller.reply(commands_.record_lines(), live_lines(device_.live), -1);
}

// Hands the device over: the daemon stands by until the successor reports that it is in charge or
// disconnects.
void Callers::hand_over(std::size_t slot) {
    ControlConnection& caller = callers_[slot];
    if (successor_) return caller.answer("error another takeover is in progress\n");
    successor_ = slot;
    successor_due_ = kernel_.now() + successor_patience;
    const int link = commands_.stand_by();
    caller.reply("yours\n", live_lines(device_.live), link);
    if (!caller.socket) resume();
}

void Callers::confirm_takeover(std::size_t slot) {
    ControlConnection& caller = callers_[slot];
    if (successor_ != slot) return caller.answer("error no takeover of this device is in progress\n");
    caller.reply("go\n", {}, -1);
    if (!caller.socket) return resume();
    log::notice(LineText::of("{}: taken over by another daemon", device_.name()));
    handed_over_ = true;
}

void Callers::expire_successor(Clock::time_point now) {
    if (!successor_ || now < successor_due_) return;
    callers_[*successor_] = {};
    resume();
}

void Callers::resume() {
    successor_.reset();
    log::warning(
        LineText::of("{}: the daemon that was taking over has ended; this one stays", device_.name()));
    commands_.resume();
}

}  // namespace holdfast::client
