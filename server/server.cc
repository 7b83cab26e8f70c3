// A single epoll loop. Listeners change between events, never during the handling of an event.

#include "server/server.hh"

#include <fmt/core.h>
#include <malloc.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <map>
#include <set>

#include "common/linux/log.hh"
#include "common/text/plural.hh"
#include "server/config/config_file.hh"
#include "server/export/boot_identity.hh"
#include "server/listen/listener.hh"
#include "server/opener/opener.hh"
#include "server/process/system_call_filter.hh"

namespace holdfast::server {
namespace {

ListenScope scope_of(const Listen& listen) { return {listen.every_export, listen.default_export}; }

}  // namespace

Server::Server(const Options& options, Config config, std::optional<ServiceUser> identity,
               InheritedSockets given)
    : options_(options),
      config_(std::make_shared<const Config>(std::move(config))),
      identity_(std::move(identity)),
      given_(std::move(given)),
      watchdog_(watchdog_interval()) {
    shared_.buffer_memory.set_limit(config_->buffermemory);
}

Server::~Server() { opener_.unlisten(true); }

bool Server::watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

std::expected<void, std::string> Server::prepare(bool keep_stderr) {
    sigset_t handled;
    ::sigemptyset(&handled);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&handled, signal);
    // Before there are threads, which inherit the mask.
    if (::pthread_sigmask(SIG_BLOCK, &handled, nullptr) != 0)
        return std::unexpected(std::string("pthread_sigmask failed"));
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    signals_.reset(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
    changed_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!epoll_ || !signals_ || !changed_ || !watch(signals_.get()) || !watch(changed_.get()) ||
        !lobby_.open() || !watch(lobby_.descriptor())) {
        return std::unexpected("epoll: " + SysError{errno, "setting up"}.message());
    }
    shared_.boot_identity = boot_identity();
    std::expected<std::vector<Listener>, std::string> wanted = open_listeners(*config_);
    if (!wanted) return std::unexpected(wanted.error());
    add_given(*config_, *wanted);
    take_over(std::move(*wanted));
    if (auto opened = open_status(); !opened) return opened;
    return start_opener(keep_stderr);
}

// Starts the opener after the sockets were bound, so that the opener knows the sockets to remove at the end.
std::expected<void, std::string> Server::start_opener(bool keep_stderr) {
    std::set<std::string> bound;
    for (const Listener& one : listeners_) {
        if (!one.endpoint.unix_path.empty() && !one.given) bound.insert(one.endpoint.unix_path);
    }
    if (status_.descriptor() >= 0) bound.insert(config_->statussocket);
    const Result<void> started =
        Opener::start(opener_, {options_, *config_, identity_, std::move(bound), keep_stderr});
    if (!started) return std::unexpected("the process that opens the disks: " + started.error().message());
    if (!watch(opener_.fd())) return std::unexpected("epoll: " + SysError{errno, "opener"}.message());
    return {};
}

std::expected<void, std::string> Server::open_status() {
    if (config_->statussocket.empty()) return {};
    const auto opened = status_.open(config_->statussocket, identity_, [this] { return report(); });
    if (opened) {
        if (!watch(status_.descriptor()))
            return std::unexpected("epoll: " + SysError{errno, "status"}.message());
        keep_losses();
        return {};
    }
    if (!config_->statussocket_is_default)
        return std::unexpected(
            to_string(Remark{config_->statussocket_place, "statussocket: " + opened.error()}));
    // Expected for a second server on this machine, or a server that is not root.
    log::info(opened.error() + "; `holdfast-server status` will not reach this server");
    return {};
}

// Keeps the file beside the status socket, which is in /run and belongs to only one server.
void Server::keep_losses() {
    const std::string path = config_->statussocket + ".losses";
    const Result<void> kept = shared_.volumes.losses().keep_in(path, shared_.boot_identity);
    if (kept) return;
    log::warning(fmt::format("{}: {}; lost writes are forgotten when the server is restarted", path,
                             kept.error().message()));
}

bool Server::has_listener(const Endpoint& endpoint) const {
    return std::ranges::find(listeners_, endpoint, &Listener::endpoint) != listeners_.end();
}

std::expected<std::vector<Server::Listener>, std::string> Server::open_listeners(
    const Config& config, std::map<std::size_t, std::vector<Fd>> bound) {
    std::vector<Listener> wanted;
    for (std::size_t number = 0; number < config.listens.size(); ++number) {
        const Listen& listen = config.listens[number];
        Listener one{listen.endpoint, scope_of(listen), {}};
        // At a reload only the opener has the rights to bind.
        if (const auto ready = bound.find(number); ready != bound.end()) {
            one.sockets = std::move(ready->second);
        } else if (!has_listener(listen.endpoint)) {
            const std::size_t given = given_.size();
            std::expected<std::vector<Fd>, std::string> sockets =
                listen_apart(listen.endpoint, identity_, given_);
            if (!sockets) return std::unexpected(to_string(Remark{listen.place, sockets.error()}));
            one.sockets = std::move(*sockets);
            one.given = given_.size() != given;
        }
        wanted.push_back(std::move(one));
    }
    return wanted;
}

void Server::add_given(const Config& config, std::vector<Listener>& wanted) {
    const auto everything = std::ranges::find(config.listens, true, &Listen::every_export);
    const std::string default_export =
        everything == config.listens.end() ? std::string() : everything->default_export;
    for (InheritedSockets::Socket& one : given_.take_rest()) {
        Listener listener{std::move(one.endpoint), {true, default_export}, {}, true, false};
        listener.sockets.push_back(std::move(one.fd));
        wanted.push_back(std::move(listener));
    }
}

// Cannot fail: moves the sockets that stay, closes the others.
void Server::take_over(std::vector<Listener> wanted) {
    for (Listener& one : wanted) {
        const auto old = std::ranges::find(listeners_, one.endpoint, &Listener::endpoint);
        if (old != listeners_.end()) {
            one.sockets = std::move(old->sockets);
            one.given = old->given;
            continue;
        }
        if (accepting_) {
            for (const Fd& socket : one.sockets) (void)watch(socket.get());
        }
        log::info(
            fmt::format("listening on {}{}{}", to_string(one.endpoint),
                        one.scope.default_export.empty() ? "" : " (export " + one.scope.default_export + ")",
                        one.given ? ", by a socket of the service manager's" : ""));
    }
    for (Listener& old : listeners_) {
        if (old.sockets.empty()) continue;
        if (!old.configured) {
            wanted.push_back(std::move(old));
            continue;
        }
        log::info(fmt::format("no longer listening on {}", to_string(old.endpoint)));
    }
    listeners_ = std::move(wanted);
}

Server::Outcome Server::run() {
    std::array<epoll_event, 64> events;
    ask_look_around();
    while (stop_ == Stop::not_yet || !connections_.empty() || !shared_.volumes.hanging().empty()) {
        const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), milliseconds_to_wait());
        bool signalled = false;
        bool reloading = false;
        bool changed = false;
        for (int i = 0; i < count; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            changed |= fd == changed_.get();
            if (fd == changed_.get()) on_changed();
            if (fd == lobby_.descriptor()) lobby_.turn();
            if (authfiles_ && fd == authfiles_.fd()) {
                if (const std::optional<OpenerOutcome> answer = authfiles_.take()) on_authfiles(*answer);
            }
            if (fd == status_.descriptor()) status_.turn();
            if (fd == refused_calls_.get()) on_refused_calls();
            if (fd == opener_.fd()) on_opener_gone();
            if (look_around_ && fd == look_around_.fd()) on_look_around();
            reloading |= reload_ && fd == reload_->fd();
            if (const auto sleeping = sleeping_.find(fd); sleeping != sleeping_.end()) wake(sleeping);
            signalled |= fd == signals_.get();
            for (const Listener& one : listeners_) {
                if (std::ranges::find(one.sockets, fd, &Fd::get) != one.sockets.end()) accept_from(one, fd);
            }
        }
        // Last, because a reload changes the listeners that the other events refer to.
        if (signalled) on_signal();
        if (reloading && reload_) on_reload();
        on_time();
        if (lobby_.take_ended() || changed) remove_ended();
        if (stop_ == Stop::cut_off && Clock::now() >= stop_deadline_) {
            if (!connections_.empty() || !shared_.volumes.hanging().empty()) return leave_stuck();
        }
    }
    return bereft_ ? Outcome::bereft : Outcome::clean;
}

int Server::milliseconds_to_wait() const {
    Clock::time_point next = std::min(
        {accept_again_, wake_again_, trim_again_, status_.deadline(), lobby_.deadline(), authfiles_by_});
    if (reload_) next = std::min(next, reload_->deadline());
    // Retries a log with a slow reader.
    if (log::catch_up()) next = std::min(next, Clock::now() + std::chrono::milliseconds(100));
    if (watchdog_ != Clock::duration::zero()) next = std::min(next, feed_at_);
    if (stop_ != Stop::not_yet) next = std::min(next, stop_deadline_);
    // Polls: no event reports the end of an opening for which no client waits any more.
    if (stop_ != Stop::not_yet && connections_.empty())
        next = std::min(next, Clock::now() + std::chrono::milliseconds(20));
    return poll_timeout(next, Clock::now());
}

void Server::on_time() {
    const Clock::time_point now = Clock::now();
    if (accept_again_ <= now) hold_accepting(false);
    if (wake_again_ <= now) wake_all();
    if (trim_again_ <= now) {
        // Returns the unused memory of sleeping connections, which lies between used memory, to the system.
        (void)::malloc_trim(0);
        trim_again_ = no_deadline;
    }
    status_.on_time(now);
    lobby_.on_time(now);
    if (authfiles_by_ <= now)
        on_authfiles(std::unexpected(VolumeRefusal{false, "the authfiles could not be read in time"}));
    if (reload_ && reload_->deadline() <= now) end_reload(std::unexpected(reload_->lateness()));
    feed_watchdog(now);
    if (stop_ == Stop::not_yet || now < stop_deadline_) return;
    switch (stop_) {
        case Stop::not_yet:
        case Stop::cut_off: return;
        case Stop::replying:
            // A client that does not receive its reply must not keep the others from the next server.
            for (Connection& one : connections_) {
                if (one.is_sending()) one.abandon();
            }
            stop_ = Stop::finishing;
            stop_deadline_ = finish_by_;
            return;
        case Stop::finishing:
            for (Connection& one : connections_) one.abandon();
            stop_ = Stop::cut_off;
            stop_deadline_ = now + std::chrono::seconds(1);
            return;
    }
}

// Clients then wait in the kernel's queue, which is better for them than a rejection.
void Server::hold_accepting(bool hold) {
    if (accepting_ != hold) return;
    accepting_ = !hold;
    accept_again_ = no_deadline;
    for (const Listener& listener : listeners_) {
        for (const Fd& socket : listener.sockets) {
            if (hold) {
                (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.get(), nullptr);
            } else {
                (void)watch(socket.get());
            }
        }
    }
}

void Server::accept_from(const Listener& listener, int socket) {
    constexpr std::chrono::milliseconds pause{20};
    // A few at a time, so that a storm of clients does not delay signals.
    for (int i = 0; i < 16; ++i) {
        if (!lobby_.make_room(Clock::now())) {
            // All clients in the handshake are new. They will soon finish, or can be ranked.
            hold_accepting(true);
            accept_again_ = Clock::now() + pause;
            return;
        }
        sockaddr_storage from{};
        socklen_t length = sizeof from;
        Fd accepted(::accept4(socket, reinterpret_cast<sockaddr*>(&from), &length, SOCK_CLOEXEC));
        if (accepted) {
            begin(std::move(accepted), from, listener);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            const SysError error{errno, "accept4"};
            // A client in the handshake holds a descriptor that another client may need more.
            if (lobby_.make_room(Clock::now(), true)) return;
            log::warning("accept: " + error.message() + "; waiting a second");
            hold_accepting(true);
            accept_again_ = Clock::now() + std::chrono::seconds(1);
            return;
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

void Server::turn_away(TurnedAway reason, std::string_view text) {
    shared_.statistics.turned_away(reason);
    shared_.stranger_log.write(log::Level::warning, text);
}

std::uint32_t Server::limit_of(const std::optional<Address>& from) const {
    if (config_->maxperaddress) return *config_->maxperaddress;
    if (from && is_loopback(*from)) return config_->maxconnections;
    return std::max(1U, config_->maxconnections / 4);
}

void Server::begin(Fd socket, const sockaddr_storage& from, const Listener& listener) {
    Peer peer = peer_of(socket.get(), from);
    if (shared_.counts.count(ConnectionCounts::all) >= config_->maxconnections) {
        return turn_away(TurnedAway::max_connections,
                         fmt::format("{} refused: all connections are taken (maxconnections = {})", peer.name,
                                     config_->maxconnections));
    }
    const std::uint32_t limit = limit_of(peer.address);
    if (!places_.enter(peer.address, limit)) {
        return turn_away(TurnedAway::max_per_address,
                         fmt::format("{} refused: {} from there already (maxperaddress)", peer.name,
                                     counted(limit, "connection")));
    }
    const bool known = peer.address && shared_.known_clients.has(*peer.address);
    // Owner and mode of a UNIX socket control access to it.
    const bool judged =
        !peer.address || std::ranges::all_of(config_->exports, &std::string::empty, &ExportConfig::authfile);
    const int changed = changed_.get();
    Connection::Context context{config_, shared_, [changed] { (void)::eventfd_write(changed, 1); }};
    Connection& made =
        connections_.emplace_back(std::move(socket), std::move(peer), listener.scope, std::move(context));
    lobby_.enter(made, known, judged, Clock::now() + config_->handshaketimeout);
    if (!judged) ask_authfiles();
}

void Server::ask_authfiles() {
    constexpr std::chrono::seconds patience{5};
    if (authfiles_ || lobby_.unjudged() == 0) return;
    asked_at_ = lobby_.admission().next();
    std::expected<OpenerQuestion, std::string> question = opener_.ask_authfiles();
    if (!question) return on_authfiles(std::unexpected(VolumeRefusal{false, question.error()}));
    authfiles_ = std::move(*question);
    authfiles_by_ = Clock::now() + patience;
    (void)watch(authfiles_.fd());
}

// Applies an answer to all clients that came before its request. Later clients wait for the next answer, so
// that a change in an authfile counts from the next connection on.
void Server::on_authfiles(const OpenerOutcome& answer) {
    authfiles_ = OpenerQuestion();
    authfiles_by_ = no_deadline;
    const std::expected<ConfigTexts, std::string> files = texts_of(answer);
    if (!files) shared_.stranger_log.write(log::Level::warning, "the authfiles: " + files.error());
    // Without the files, every authfile rejects all clients.
    access_ = AccessTable::make(files.value_or(ConfigTexts()), access_.get());
    lobby_.judge(asked_at_, [this](const Address& client) { return access_->judge(client); });
    ask_authfiles();
}

// Keeps the connection without a thread until its socket is readable.
void Server::put_to_sleep(Connection& connection) {
    connection.sleep();
    if (trim_again_ == no_deadline) trim_again_ = Clock::now() + std::chrono::seconds(1);
    sleeping_[connection.socket()] = &connection;
    // If the socket cannot be watched, the connection continues with a thread.
    if (!watch(connection.socket())) wake(sleeping_.find(connection.socket()));
}

void Server::wake(Sleeping::iterator sleeping) {
    Connection& one = *sleeping->second;
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, one.socket(), nullptr);
    if (const Result<void> started = one.start(); started) {
        sleeping_.erase(sleeping);
    } else {
        if (wake_again_ == no_deadline)
            log::warning(fmt::format("{}: {}; waiting a second", one.peer().name, started.error().message()));
        wake_again_ = Clock::now() + std::chrono::seconds(1);
    }
}

// Wakes all after a shortage of threads. Connections without input fall asleep again.
void Server::wake_all() {
    wake_again_ = no_deadline;
    for (auto next = sleeping_.begin(); next != sleeping_.end();) wake(next++);
    for (Connection& one : connections_) {
        if (one.waits_for_thread()) one.end();
    }
    remove_ended();
}

void Server::on_changed() {
    eventfd_t count = 0;
    (void)::eventfd_read(changed_.get(), &count);
    for (Connection& one : connections_) {
        if (one.is_dormant()) put_to_sleep(one);
    }
    lobby_.take_back();
}

void Server::remove_ended() {
    if (std::ranges::any_of(connections_, &Connection::waits_for_thread))
        wake_again_ = std::min(wake_again_, Clock::now() + std::chrono::seconds(1));
    connections_.remove_if([this](const Connection& one) {
        if (!one.ended() || lobby_.has(one)) return false;
        places_.leave(one.peer().address);
        return true;
    });
}

void Server::on_signal() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        if (info.ssi_signo == SIGHUP) {
            if (stop_ == Stop::not_yet) begin_reload();
        } else if (stop_ == Stop::not_yet) {
            begin_stop(info.ssi_signo == SIGTERM ? "on SIGTERM" : "on SIGINT");
        }
    }
}

void Server::begin_reload() {
    reload_again_ = reload_.has_value();
    if (reload_) return;
    // The time is for Type=notify-reload, which must distinguish this reload from an earlier reload.
    timespec now{};
    (void)::clock_gettime(CLOCK_MONOTONIC, &now);
    manager_.tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}",
                              std::uint64_t{1'000'000} * static_cast<std::uint64_t>(now.tv_sec) +
                                  static_cast<std::uint64_t>(now.tv_nsec) / 1000));
    reload_.emplace(options_, opener_, [this](const Endpoint& one) { return has_listener(one); });
    if (auto begun = reload_->begin(); !begun) return end_reload(std::unexpected(begun.error()));
    (void)watch(reload_->fd());
}

void Server::on_reload() {
    bool asked = false;
    if (auto outcome = reload_->go_on(asked)) return end_reload(std::move(*outcome));
    if (asked) (void)watch(reload_->fd());
}

void Server::end_reload(std::expected<Reload::Result, std::string> outcome) {
    reload_.reset();
    constexpr std::string_view failed = "the reload failed; the old configuration stays in force";
    std::string_view failure;
    if (!outcome) {
        log::error(outcome.error());
        failure = failed;
    } else {
        for (const Remark& one : outcome->loaded.warnings) log::warning(to_string(one));
        for (const Remark& one : outcome->loaded.errors) log::error(to_string(one));
        const bool sound = outcome->loaded.errors.empty();
        if (!sound) {
            failure = outcome->loaded.unread
                          ? "the new configuration could not be read; the old one stays in force"
                          : "the new configuration has mistakes; the old one stays in force";
        } else if (const auto taken = take_over(std::move(*outcome)); !taken) {
            log::error(taken.error());
            failure = failed;
        }
    }
    if (!failure.empty()) {
        log::error(failure);
        manager_.tell(fmt::format("READY=1\nSTATUS=SIGHUP: {}.", failure));
    }
    if (std::exchange(reload_again_, false)) begin_reload();
}

// Ensures that both processes have the new configuration, or both the old: the opener receives messages in
// order and cannot refuse commit, so sending commit decides, and no answer is awaited.
std::expected<void, std::string> Server::take_over(Reload::Result result) {
    std::expected<std::vector<Listener>, std::string> wanted =
        open_listeners(result.loaded.config, std::move(result.sockets));
    if (!wanted) return std::unexpected(wanted.error());
    if (const auto sent = opener_.ask_commit(); !sent) return std::unexpected(sent.error());
    Config& loaded = result.loaded.config;
    if (loaded.user != config_->user || loaded.group != config_->group) {
        log::warning("user and group change only with a restart");
    }
    if (loaded.statussocket != config_->statussocket)
        log::warning("statussocket changes only with a restart");
    take_over(std::move(*wanted));
    config_ = std::make_shared<const Config>(std::move(loaded));
    warn_of_old_disks();
    shared_.buffer_memory.set_limit(config_->buffermemory);
    log::notice(fmt::format("configuration read again: {}", counted(config_->exports.size(), "export")));
    manager_.tell(fmt::format("READY=1\nSTATUS=Serving {}.", counted(config_->exports.size(), "export")));
    ask_look_around();
    return {};
}

void Server::warn_of_old_disks() const {
    for (const ExportConfig& one : config_->exports) {
        if (one.is_virtual()) continue;
        const DisksInUse::Others others = shared_.disks.others_than(one.name, one.path);
        if (others.connections == 0) continue;
        log::warning(
            fmt::format("export {}: {} still {} {}; if {} is another disk, clients are refused until "
                        "no connection uses the old one",
                        one.name, counted(others.connections, "connection"),
                        others.connections == 1 ? "uses" : "use", others.path, one.path));
    }
}

void Server::ask_look_around() {
    // If the opener takes no requests, clients will get the same error.
    if (auto question = opener_.ask_look_around()) {
        look_around_ = std::move(*question);
        (void)watch(look_around_.fd());
    }
}

void Server::on_look_around() {
    const std::optional<OpenerOutcome> answer = look_around_.take();
    if (!answer) return;
    look_around_ = OpenerQuestion();
    if (!*answer) log::warning("the exports' paths were not looked at: " + answer->error().text);
    for (const Remark& one : remarks_of(*answer)) log::warning(to_string(one));
}

void Server::tell_of_calls(Fd refused_calls) {
    refused_calls_ = std::move(refused_calls);
    if (refused_calls_) (void)watch(refused_calls_.get());
}

void Server::on_refused_calls() {
    int number = 0;
    while (::read(refused_calls_.get(), &number, sizeof number) == static_cast<ssize_t>(sizeof number)) {
        log::error(fmt::format("the system call {} is not one that the server may use, and was refused",
                               name_of_call(number)));
    }
}

// Stops: without the opener no disk can be opened. The service manager restarts both processes; until then,
// requests in progress are finished as in every stop.
void Server::on_opener_gone() {
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, opener_.fd(), nullptr);
    bereft_ = true;
    log::error("the process that opens the disks has ended; the server cannot go on without it");
    if (stop_ == Stop::not_yet) begin_stop("without it");
}

void Server::begin_stop(std::string_view why) {
    log::notice(fmt::format("stopping {}: {}", why, counted(connections_.size(), "connection")));
    manager_.tell("STOPPING=1");
    reload_.reset();
    hold_accepting(true);
    for (Listener& one : listeners_) one.sockets.clear();
    opener_.unlisten(false);
    constexpr std::chrono::seconds reply_patience{2};
    stop_ = Stop::replying;
    finish_by_ = Clock::now() + config_->stoptimeout;
    stop_deadline_ = std::min(Clock::now() + reply_patience, finish_by_);
    for (Connection& one : connections_) one.stop();
    lobby_.end_all();
}

StatusReport Server::report() const {
    StatusReport report;
    report.version = HOLDFAST_VERSION;
    report.pid = ::getpid();
    report.stopping = stop_ != Stop::not_yet;
    report.started = started_;
    report.now = std::chrono::system_clock::now();
    report.connections = connections_.size();
    report.handshakes = lobby_.admission().count();
    report.max_connections = config_->maxconnections;
    Statistics::Snapshot figures = shared_.statistics.snapshot();
    report.turned_away = figures.turned_away;
    std::map<std::string_view, std::uint64_t> now;
    for (const Statistics::ConnectionStatus& one : figures.connections) ++now[one.facts.export_name];
    const auto add = [&](const std::string& name, const std::string& path, bool read_only, bool is_virtual) {
        const Statistics::ExportStatus& one = figures.exports[name];
        const DisksInUse::Others others = shared_.disks.others_than(name, path);
        report.exports.push_back({name, path, read_only, now[name], one.connections, one.tally,
                                  path.empty() || is_virtual ? std::string() : others.path,
                                  others.connections});
    };
    for (const ExportConfig& one : config_->exports) add(one.name, one.path, one.readonly, one.is_virtual());
    for (const auto& [name, one] : figures.exports) {
        if (config_->find(name) == nullptr) add(name, {}, false, false);
    }
    report.clients = std::move(figures.connections);
    return report;
}

Server::Outcome Server::leave_stuck() const {
    for (const Connection& one : connections_) {
        log::error(fmt::format("{}: still has a request in the disk after {} s; leaving without it",
                               one.peer().name, config_->stoptimeout.count()));
    }
    for (const std::string& one : shared_.volumes.hanging())
        log::error(fmt::format("{}: the disk does not answer; leaving without it", one));
    return Outcome::stuck;
}

}  // namespace holdfast::server
