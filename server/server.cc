// A single epoll loop. Listeners change between events, never during the handling of an event.

#include "server/server.hh"

#include <fmt/core.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "common/linux/log.hh"
#include "common/text/plural.hh"
#include "server/export/boot_identity.hh"
#include "server/opener/opener.hh"
#include "server/process/system_call_filter.hh"
#include "server/status/server_report.hh"

namespace holdfast::server {
namespace {

std::unexpected<std::string> epoll_error(const char* subject) {
    return std::unexpected("epoll: " + SysError{errno, subject}.message());
}

}  // namespace

Server::Server(const Options& options, Config config, std::optional<ServiceUser> identity,
               InheritedSockets given)
    : options_(options),
      identity_(std::move(identity)),
      listeners_(epoll_, std::move(given), identity_),
      config_(std::move(config),
              {options, epoll_, opener_, listeners_, shared_, manager_, [this] { path_warnings_.ask(); }}),
      watchdog_(watchdog_interval()) {}

Server::~Server() { opener_.unlisten(true); }

std::expected<void, std::string> Server::prepare(bool keep_stderr) {
    if (auto opened = open_signals(); !opened) return opened;
    shared_.boot_identity = boot_identity();
    if (auto opened = listeners_.open(*config_); !opened) return opened;
    if (auto opened = open_status(); !opened) return opened;
    disks_.open();
    return start_opener(keep_stderr);
}

std::expected<void, std::string> Server::open_signals() {
    sigset_t handled;
    ::sigemptyset(&handled);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&handled, signal);
    // Before there are threads, which inherit the mask.
    if (::pthread_sigmask(SIG_BLOCK, &handled, nullptr) != 0)
        return std::unexpected(std::string("pthread_sigmask failed"));
    if (!epoll_.open()) return epoll_error("setting up");
    signals_.reset(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_ || !epoll_.watch(signals_.get()) || !connections_.open()) return epoll_error("setting up");
    return {};
}

// Starts the opener after the sockets were bound, so that the opener knows the sockets to remove at the end.
std::expected<void, std::string> Server::start_opener(bool keep_stderr) {
    std::set<std::string> bound = listeners_.created_paths();
    if (status_.descriptor() >= 0) bound.insert(config_->statussocket);
    const Result<void> started =
        Opener::start(opener_, {options_, *config_, identity_, std::move(bound), keep_stderr});
    if (!started) return std::unexpected("the opener process: " + started.error().message());
    if (!epoll_.watch(opener_.fd())) return epoll_error("opener");
    return {};
}

std::expected<void, std::string> Server::open_status() {
    if (config_->statussocket.empty()) return {};
    const auto opened = status_.open(config_->statussocket, identity_, [this] {
        return make_report(
            *config_, shared_,
            {stop_.is_stopping(), started_, connections_.size(), connections_.lobby().admission().count()});
    });
    if (opened) {
        if (!epoll_.watch(status_.descriptor())) return epoll_error("status");
        keep_losses();
        return {};
    }
    if (!config_->statussocket_is_default)
        return std::unexpected(
            to_string(Remark{config_->statussocket_position, "statussocket: " + opened.error()}));
    // Expected for a second server on this machine, or a server that is not root.
    log::info(opened.error() + "; `holdfast-server status` cannot reach this server");
    return {};
}

// Keeps the file beside the status socket, which is in /run and belongs to only one server.
void Server::keep_losses() {
    const std::string path = config_->statussocket + ".losses";
    const Result<void> kept = shared_.volumes.losses().keep_in(path, shared_.boot_identity);
    if (kept) return;
    log::warning(fmt::format("{}: {}; lost writes will be forgotten when the server restarts", path,
                             kept.error().message()));
}

void Server::tell_of_calls(Fd refused_calls) {
    refused_calls_ = std::move(refused_calls);
    if (refused_calls_) (void)epoll_.watch(refused_calls_.get());
}

Server::Outcome Server::run() {
    path_warnings_.ask();
    while (!stop_.is_stopping() || !is_idle()) {
        handle_events(milliseconds_to_wait());
        const Clock::time_point now = Clock::now();
        on_time(now);
        connections_.sweep();
        if (continue_stop(now) && !is_idle()) {
            log_stuck();
            return Outcome::stuck;
        }
    }
    return stop_.has_lost_opener() ? Outcome::bereft : Outcome::clean;
}

void Server::handle_events(int milliseconds) {
    std::array<epoll_event, 64> events;
    bool signalled = false;
    bool reloading = false;
    for (const epoll_event& event : epoll_.wait(events, milliseconds)) {
        const int fd = event.data.fd;
        signalled |= fd == signals_.get();
        reloading |= config_.is_for_reload(fd);
        on_input(fd);
    }
    // Last, because a reload changes the listeners that the other events refer to.
    if (signalled) on_signal();
    if (reloading) config_.on_reload();
}

void Server::on_input(int fd) {
    if (connections_.on_input(fd) || authfiles_.on_input(fd) || path_warnings_.on_input(fd)) return;
    if (disks_.on_input(fd, Clock::now())) return;
    if (fd == status_.descriptor()) return status_.turn();
    if (fd == refused_calls_.get()) return on_refused_calls();
    if (fd == opener_.fd()) return on_opener_gone();
    if (const ListenerSet::Listener* const listener = listeners_.find(fd)) accept_from(*listener, fd);
}

int Server::milliseconds_to_wait() const {
    const Clock::time_point now = Clock::now();
    Deadline next =
        std::min({listeners_.deadline(), connections_.deadline(), status_.deadline(), authfiles_.deadline(),
                  config_.deadline(), disks_.deadline(), stop_.deadline()});
    // Retries a log with a slow reader.
    if (log::catch_up()) next = std::min(next, now + std::chrono::milliseconds(100));
    if (watchdog_ != Clock::duration::zero()) next = std::min(next, feed_at_);
    // Polls: no event reports the end of an opening for which no client waits any more.
    if (stop_.is_stopping() && connections_.empty())
        next = std::min(next, now + std::chrono::milliseconds(20));
    return poll_timeout(next, now);
}

void Server::on_time(Clock::time_point now) {
    listeners_.on_time(now);
    connections_.on_time(now);
    status_.on_time(now);
    authfiles_.on_time(now);
    config_.on_time(now);
    disks_.on_time(now);
    feed_watchdog(now);
}

void Server::accept_from(const ListenerSet::Listener& listener, int socket) {
    constexpr std::chrono::milliseconds pause{20};
    // A few at a time, so that a storm of clients does not delay signals.
    for (int i = 0; i < 16; ++i) {
        // Without room, all clients in the handshake are new. They will soon finish, or can be ranked.
        if (!connections_.lobby().make_room(Clock::now())) return listeners_.hold(Clock::now() + pause);
        sockaddr_storage from{};
        socklen_t length = sizeof from;
        Fd accepted(::accept4(socket, reinterpret_cast<sockaddr*>(&from), &length, SOCK_CLOEXEC));
        if (accepted) {
            if (connections_.admit(std::move(accepted), from, listener.scope, config_.get()))
                authfiles_.ask();
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            const SysError error{errno, "accept4"};
            // A client in the handshake holds a descriptor that another client may need more.
            if (connections_.lobby().make_room(Clock::now(), true)) return;
            log::warning("accept: " + error.message() + "; retrying in a second");
            return listeners_.hold(Clock::now() + std::chrono::seconds(1));
        }
        // All other errors concern only this client, or mean that there is none.
        if (errno != ECONNABORTED && errno != EINTR) return;
    }
}

// Sends watchdog messages from the loop, as proof that the loop runs.
void Server::feed_watchdog(Clock::time_point now) {
    if (watchdog_ == Clock::duration::zero() || now < feed_at_) return;
    feed_at_ = now + watchdog_;
    manager_.tell("WATCHDOG=1");
}

void Server::on_signal() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        if (stop_.is_stopping()) continue;
        if (info.ssi_signo == SIGHUP) {
            config_.begin_reload();
        } else {
            begin_stop(StopEvent::asked, info.ssi_signo == SIGTERM ? "on SIGTERM" : "on SIGINT");
        }
    }
}

void Server::on_refused_calls() {
    int number = 0;
    while (::read(refused_calls_.get(), &number, sizeof number) == static_cast<ssize_t>(sizeof number)) {
        log::error(
            fmt::format("system call {} is not allowed by the filter and was refused", name_of_call(number)));
    }
}

// Stops: without the opener no disk can be opened. The service manager restarts both processes; until then,
// requests in progress are finished as in every stop.
void Server::on_opener_gone() {
    epoll_.unwatch(opener_.fd());
    log::error("the opener process has ended; the server cannot continue without it");
    begin_stop(StopEvent::opener_lost, "without the opener process");
}

void Server::begin_stop(StopEvent event, std::string_view why) {
    if (stop_.on(event, Clock::now(), config_->stoptimeout) != StopAction::stop_connections) return;
    log::notice(fmt::format("stopping {}: {}", why, counted(connections_.size(), "connection")));
    manager_.tell("STOPPING=1");
    config_.cancel_reload();
    disks_.stop();
    listeners_.close();
    opener_.unlisten(false);
    connections_.stop();
}

bool Server::continue_stop(Clock::time_point now) {
    switch (stop_.on_time(now)) {
        case StopAction::none:
        case StopAction::stop_connections: return false;
        case StopAction::abandon_senders: connections_.abandon_senders(); return false;
        case StopAction::abandon_all: connections_.abandon(); return false;
        case StopAction::leave_stuck: break;
    }
    return true;
}

bool Server::is_idle() const { return connections_.empty() && shared_.volumes.hanging().empty(); }

void Server::log_stuck() const {
    for (const std::string& one : connections_.peers()) {
        log::error(
            fmt::format("{}: still has a disk request pending after {} s; exiting without waiting for it",
                        one, config_->stoptimeout.count()));
    }
    for (const std::string& one : shared_.volumes.hanging())
        log::error(fmt::format("{}: the disk does not answer; exiting without waiting for it", one));
}

}  // namespace holdfast::server
