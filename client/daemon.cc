// What tells that a link is dead: the socket itself, of which the kernel has one reference and the daemon
// another. The kernel shuts a socket down when it gives it up, so every death is seen on it, also where
// LINK_DEAD was lost. LINK_DEAD in turn says that the kernel has given the slot up, without which RECONFIGURE
// would silently drop the new socket.

#include "client/daemon.hh"

#include <errno.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <cstddef>
#include <tuple>
#include <utility>

#include "client/block_size.hh"
#include "client/release.hh"
#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long LINK_DEAD is waited for before it is taken for lost.
constexpr milliseconds link_dead_patience{1000};
// How often a link is looked at that is not proven to be used yet, and one that is.
constexpr milliseconds unproven_look{1000};
constexpr milliseconds idle_look{10'000};
// Requests that were in flight when the old link died are sent again after up to 30 s, by their own timer.
// Nothing at all for longer than that, with requests waiting, means that the kernel does not use the new
// link.
constexpr seconds longest_unused{35};

// A link that lived for so long was one that worked.
constexpr seconds lasting_link{5};

enum Tag : std::uint64_t {
    tag_kernel,
    tag_link,
    tag_attempt,
    tag_timer,
    tag_signals,
    tag_listen,
    tag_first_caller
};

// Bytes that came in on a TCP socket; empty for what is none.
std::optional<std::uint64_t> bytes_received(int socket) {
    tcp_info info{};
    socklen_t length = sizeof info;
    if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
    if (length < offsetof(tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received)
        return std::nullopt;
    return info.tcpi_bytes_received;
}

std::uint64_t seed() {
    std::uint64_t value = 0;
    // Where there is no randomness yet, the time and the address of a variable must do.
    if (::getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value)
        value = static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()) ^
                reinterpret_cast<std::uintptr_t>(&value);
    return value;
}

std::string link_failure(int socket) {
    int code = 0;
    socklen_t length = sizeof code;
    if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &length) == 0 && code != 0)
        return SysError{code, "the connection broke"}.message();
    return "the server closed the connection";
}

std::uint64_t whole_seconds(Clock::duration duration) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<seconds>(duration).count());
}

std::string in_tenths(Clock::duration duration) {
    const auto tenths = std::chrono::duration_cast<milliseconds>(duration).count() / 100;
    return fmt::format("{}.{} s", tenths / 10, tenths % 10);
}

}  // namespace

std::string mismatch(const nbd::Offer& offer, const DeviceConfiguration& configuration) {
    // What the block layer was told that it may ask for.
    static constexpr std::array needed{
        std::pair{nbd::flag_send_flush, "flush"},
        std::pair{nbd::flag_send_fua, "fua"},
        std::pair{nbd::flag_send_trim, "trim"},
        std::pair{nbd::flag_send_write_zeroes, "write-zeroes"},
    };
    if (offer.size < configuration.size)
        return fmt::format("the export has {} bytes now, the device needs {}", offer.size,
                           configuration.size);
    if ((offer.flags & nbd::flag_read_only) != 0 && (configuration.server_flags & nbd::flag_read_only) == 0)
        return "the export is read-only now, the device is writable";
    if (offer.block_sizes.minimum > configuration.block_size)
        return fmt::format("the server takes no requests under {} bytes now, the device's blocks have {}",
                           offer.block_sizes.minimum, configuration.block_size);
    for (const auto& [flag, word] : needed)
        if ((configuration.server_flags & flag) != 0 && (offer.flags & flag) == 0)
            return fmt::format("the server no longer offers {}, which the device uses", word);
    return {};
}

Daemon::Daemon(Netlink netlink, SysfsDevice sysfs, AttachedDevice device, std::vector<Target> targets,
               std::size_t target, Link link)
    : netlink_(std::move(netlink)),
      sysfs_(std::move(sysfs)),
      device_(std::move(device)),
      targets_(std::move(targets)),
      target_(target),
      told_(targets_.size()),
      link_(std::move(link.socket)),
      state_(
          Attached{bytes_received(link_.get()).value_or(0), false, {}, Clock::now() + unproven_look, false}),
      jitter_(seed()),
      attached_at_(Clock::now()),
      link_changed_at_(attached_at_) {}

Result<void> Daemon::watch(int descriptor, std::uint32_t events, std::uint64_t tag) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0) return {};
    if (errno == EEXIST && ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event) == 0) return {};
    return sys_error("epoll_ctl");
}

void Daemon::forget(int descriptor) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr); }

Result<void> Daemon::prepare() {
    auto control = ControlServer::open(device_.index);
    if (!control) return std::unexpected(control.error());
    control_ = std::move(*control);
    auto omit = OmitFile::write(device_.index);
    if (omit)
        omit_ = std::move(*omit);
    else
        log::warning(name() + ": sysvinit's shutdown will not spare this daemon: " + omit.error().message());

    sigset_t blocked;
    ::sigemptyset(&blocked);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE, SIGTSTP,
                             SIGTTIN, SIGTTOU, SIGCHLD})
        ::sigaddset(&blocked, number);
    if (::sigprocmask(SIG_SETMASK, &blocked, nullptr) != 0) return sys_error("sigprocmask");
    signals_.reset(::signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK));
    timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!signals_ || !timer_ || !epoll_) return sys_error("signalfd, timerfd, epoll");
    const std::array<std::tuple<int, std::uint32_t, std::uint64_t>, 5> sources{{
        {netlink_.events_descriptor(), EPOLLIN, tag_kernel},
        {link_.get(), EPOLLRDHUP, tag_link},
        {timer_.get(), EPOLLIN, tag_timer},
        {signals_.get(), EPOLLIN, tag_signals},
        {control_->descriptor(), EPOLLIN, tag_listen},
    }};
    for (const auto& [descriptor, events, tag] : sources)
        if (auto watched = watch(descriptor, events, tag); !watched) return watched;
    return {};
}

void Daemon::abandon() {
    [[maybe_unused]] const auto done = netlink_.disconnect(device_.index);
    if (control_) control_->remove();
    if (omit_) omit_->remove();
}

void Daemon::run() {
    while (!leaving_) {
        arm_timer();
        std::array<epoll_event, 8> events{};
        const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < count && !leaving_; ++i) dispatch(events[static_cast<std::size_t>(i)].data.u64);
    }
    if (control_) control_->remove();
    if (omit_) omit_->remove();
}

void Daemon::dispatch(std::uint64_t tag) {
    switch (tag) {
        case tag_kernel: return on_kernel_event();
        case tag_link: return on_link_event();
        case tag_attempt: return on_attempt_event();
        case tag_timer: return on_timer();
        case tag_signals: return on_signal();
        case tag_listen: return on_caller();
        default: return on_control(tag - tag_first_caller);
    }
}

void Daemon::on_kernel_event() {
    if (!netlink_.take_link_dead(device_.index)) return;
    if (const auto* attached = std::get_if<Attached>(&state_)) {
        // The kernel gave up the old socket only now, so it may have had no room for the one that it was
        // given: that one lives, and nothing is sent on it. Whether this event or another counts for the next
        // socket is not known, so it waits for one as usual.
        if (attached->kernel_was_silent) return lose_link("the kernel may not have taken it");
        // An event of the link before this one, come late: the socket that the kernel has is alive.
        if (!link_is_dead()) return;
        lose_link(link_failure(link_.get()));
    }
    kernel_said_dead_ = true;
    if (auto* replacing = std::get_if<Replacing>(&state_)) adopt(std::move(replacing->link));
}

void Daemon::on_link_event() {
    if (std::holds_alternative<Attached>(state_)) lose_link(link_failure(link_.get()));
}

bool Daemon::link_is_dead() const {
    pollfd entry{link_.get(), POLLRDHUP, 0};
    return ::poll(&entry, 1, 0) != 0;
}

bool Daemon::device_is_ours() const { return sysfs_.may_be(device_.configuration.identifier); }

void Daemon::leave_to_another() {
    log::notice(fmt::format("{}: detached by another program, leaving", name()));
    leaving_ = true;
}

// Called in Attached only.
void Daemon::lose_link(std::string_view reason) {
    const Clock::time_point now = Clock::now();
    forget(link_.get());
    // Wakes a sender of the kernel that is stuck in the old socket, and makes sure that nothing more comes
    // from it.
    ::shutdown(link_.get(), SHUT_RDWR);
    kernel_said_dead_ = false;
    // A server that takes the link and drops it at once is one more failed attempt: without a pause, the two
    // would go round as fast as they can.
    if (now - link_changed_at_ >= lasting_link) attempts_ = 0;
    link_changed_at_ = now;
    for (std::string& told : told_) told.clear();
    last_error_ = fmt::format("{}: {}", targets_[target_].uri, reason);
    // A detach by another program also ends the link; whether it was one is seen before the next attempt.
    log::warning(fmt::format("{}: the link to {} is down: {}", name(), targets_[target_].uri, reason));
    wait_for_next_attempt();
}

void Daemon::wait_for_next_attempt() {
    state_ = Waiting{Clock::now() + pause_before(attempts_, targets_.size(), jitter_)};
}

void Daemon::start_attempt(Clock::time_point now) {
    if (!device_is_ours()) return leave_to_another();
    // The server that was in use is tried first.
    if (attempts_ > 0) target_ = (target_ + 1) % targets_.size();
    ++attempts_;
    const Target& target = targets_[target_];
    attempt_.emplace(target.endpoint,
                     nbd::ClientHandshake(nbd::ClientHandshake::Goal::go, target.export_name));
    state_ = Negotiating{now + connect_patience, now + attempt_patience};
    on_attempt_event();
}

void Daemon::on_attempt_event() {
    if (!attempt_) return;
    attempt_->advance();
    switch (attempt_->state()) {
        case LinkAttempt::State::running: {
            const std::uint32_t events = attempt_->events() == POLLOUT ? EPOLLOUT : EPOLLIN;
            if (auto watched = watch(attempt_->descriptor(), events, tag_attempt); !watched)
                give_up_attempt(watched.error().message());
            break;
        }
        case LinkAttempt::State::failed: give_up_attempt(attempt_->error().text); break;
        case LinkAttempt::State::done: {
            forget(attempt_->descriptor());
            Link link = attempt_->take_link();
            attempt_.reset();
            judge_link(std::move(link));
            break;
        }
    }
}

// By value: the text may be the attempt's own.
void Daemon::give_up_attempt(std::string reason) {
    attempt_.reset();
    note_error(fmt::format("{}: {}", targets_[target_].uri, reason));
    wait_for_next_attempt();
}

// Logs an error when it is another than this server's last: an outage of hours is not to fill the log.
void Daemon::note_error(std::string text) {
    if (text != told_[target_]) log::warning(fmt::format("{}: {}; trying again", name(), text));
    told_[target_] = text;
    last_error_ = std::move(text);
}

void Daemon::judge_link(Link link) {
    if (const std::string reason = mismatch(link.offer, device_.configuration); !reason.empty())
        return give_up_attempt(reason);
    if (kernel_said_dead_) return adopt(std::move(link));
    state_ = Replacing{std::move(link), Clock::now() + link_dead_patience};
}

void Daemon::adopt(Link link) {
    // The handshake took its time. The kernel compares identifiers only where the device has one, and takes a
    // new size before it looks for a dead socket.
    if (!device_is_ours()) return leave_to_another();
    DeviceChange change;
    const std::uint64_t size = whole_blocks(link.offer.size, device_.configuration.block_size);
    if (size > device_.configuration.size) change.size = size;
    change.socket = link.socket.get();
    const auto before = bytes_received(link.socket.get());
    if (auto done = netlink_.reconfigure(device_.index, device_.configuration.identifier, change); !done)
        return give_up_attempt(done.error().message());
    if (auto watched = watch(link.socket.get(), EPOLLRDHUP, tag_link); !watched)
        log::warning(name() + ": " + watched.error().message());
    link_ = std::move(link.socket);
    const Clock::time_point now = Clock::now();
    log::notice(fmt::format("{}: the link to {} is up again after {}", name(), targets_[target_].uri,
                            in_tenths(now - link_changed_at_)));
    if (change.size) {
        log::notice(fmt::format("{}: grown from {} to {} bytes", name(), device_.configuration.size, size));
        device_.configuration.size = size;
    }
    ++reconnects_;
    link_changed_at_ = now;
    state_ = Attached{before.value_or(0), !before, {}, now + unproven_look, !kernel_said_dead_};
}

// Called in Attached only.
void Daemon::look_at_idle_link(Clock::time_point now) {
    auto& attached = std::get<Attached>(state_);
    if (link_is_dead()) return lose_link(link_failure(link_.get()));
    if (!device_is_ours()) return leave_to_another();
    const auto received = bytes_received(link_.get());
    attached.proven = attached.proven || !received || *received > attached.received_before;
    attached.next_look = now + (attached.proven ? idle_look : unproven_look);
    if (attached.proven) return;
    if (sysfs_.in_flight() == 0)
        attached.unused_since = {};
    else if (attached.unused_since == Clock::time_point{})
        attached.unused_since = now;
    else if (now - attached.unused_since > longest_unused)
        lose_link("requests wait, and the kernel sends none of them on it");
}

Clock::time_point Daemon::deadline() const {
    struct Visitor {
        const Daemon& daemon;
        Clock::time_point operator()(const Attached& state) const { return state.next_look; }
        Clock::time_point operator()(const Waiting& state) const { return state.until; }
        Clock::time_point operator()(const Negotiating& state) const {
            return daemon.attempt_ && daemon.attempt_->connecting() ? state.connect_deadline : state.deadline;
        }
        Clock::time_point operator()(const Replacing& state) const { return state.deadline; }
    };
    return std::visit(Visitor{*this}, state_);
}

void Daemon::arm_timer() {
    const auto left = deadline().time_since_epoch();
    const auto whole = std::chrono::duration_cast<seconds>(left);
    itimerspec value{};
    value.it_value.tv_sec = whole.count();
    value.it_value.tv_nsec = std::chrono::nanoseconds(left - whole).count();
    // steady_clock is CLOCK_MONOTONIC, so its time points are the timer's.
    ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &value, nullptr);
}

void Daemon::on_timer() {
    std::uint64_t expirations = 0;
    [[maybe_unused]] const ssize_t count = ::read(timer_.get(), &expirations, sizeof expirations);
    const Clock::time_point now = Clock::now();
    if (now < deadline()) return;
    if (std::holds_alternative<Attached>(state_)) return look_at_idle_link(now);
    if (std::holds_alternative<Waiting>(state_)) return start_attempt(now);
    if (std::holds_alternative<Negotiating>(state_)) {
        attempt_->expire();
        return give_up_attempt(attempt_->error().text);
    }
    adopt(std::move(std::get<Replacing>(state_).link));
}

void Daemon::on_signal() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
        const auto number = static_cast<int>(info.ssi_signo);
        if (number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT)
            log::notice(
                fmt::format("{}: signal {} of process {} is not obeyed; `holdfast-client detach {}` is",
                            name(), number, info.ssi_pid, name()));
    }
}

void Daemon::on_caller() {
    Fd caller = control_->accept();
    if (!caller) return;
    for (std::size_t slot = 0; slot < callers_.size(); ++slot) {
        if (callers_[slot].socket) continue;
        if (!watch(caller.get(), EPOLLIN, tag_first_caller + slot)) return;
        callers_[slot].socket = std::move(caller);
        callers_[slot].length = 0;
        return;
    }
    // All are taken by callers that say nothing: one of them gives way.
    if (!watch(caller.get(), EPOLLIN, tag_first_caller)) return;
    callers_[0] = {};
    callers_[0].socket = std::move(caller);
}

void Daemon::on_control(std::size_t slot) {
    if (slot >= callers_.size() || !callers_[slot].socket) return;
    ControlConnection& caller = callers_[slot];
    std::optional<Order> order;
    switch (caller.receive(order)) {
        case ControlConnection::Outcome::more: return;
        case ControlConnection::Outcome::closed: caller = {}; return;
        case ControlConnection::Outcome::malformed: return caller.answer("error this is no order\n");
        case ControlConnection::Outcome::order: return obey(*order, caller);
    }
}

void Daemon::obey(Order order, ControlConnection& caller) {
    if (order == Order::status) return caller.answer(to_lines(status()));
    std::string failure;
    leaving_ = detach(order == Order::detach_forced, failure);
    caller.answer(leaving_ ? "ok\n" : "error " + failure + "\n");
}

bool Daemon::detach(bool forced, std::string& failure) {
    const bool up = std::holds_alternative<Attached>(state_) && !link_is_dead();
    if (!up && !forced) {
        failure = "the link is down, so what was written may not have arrived";
        return false;
    }
    // With nothing in the way to the server, the kernel can tell it of the end. Else a sender may be stuck in
    // the socket.
    int unsent = 0;
    const bool clear = up && ::ioctl(link_.get(), SIOCOUTQ, &unsent) == 0 && unsent == 0;
    if (!clear) ::shutdown(link_.get(), SHUT_RDWR);
    const auto done = clear ? netlink_.disconnect(device_.index)
                            : release_stuck(netlink_, device_.index, device_.configuration.identifier);
    if (!done) failure = done.error().message();
    if (done) log::notice(fmt::format("{}: detached", name()));
    return done.has_value();
}

DeviceStatus Daemon::status() const {
    const Clock::time_point now = Clock::now();
    DeviceStatus status;
    status.index = device_.index;
    status.state =
        std::holds_alternative<Attached>(state_) ? DeviceState::attached : DeviceState::reconnecting;
    status.server = targets_[target_].uri;
    status.peer = targets_[target_].endpoint.text;
    status.identifier = device_.configuration.identifier;
    status.last_error = last_error_;
    status.size = device_.configuration.size;
    status.block_size = device_.configuration.block_size;
    status.flags = device_.configuration.server_flags;
    status.read_only = (device_.configuration.server_flags & nbd::flag_read_only) != 0;
    status.daemon_pid = static_cast<std::uint64_t>(::getpid());
    status.attached_seconds = whole_seconds(now - attached_at_);
    status.link_seconds = whole_seconds(now - link_changed_at_);
    status.reconnects = reconnects_;
    status.servers = targets_.size();
    return status;
}

std::string Daemon::name() const { return "nbd" + std::to_string(device_.index); }

}  // namespace holdfast::client
