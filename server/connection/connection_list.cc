// Connections report changes through an eventfd, since their threads must not touch the list.

#include "server/connection/connection_list.hh"

#include <fmt/core.h>
#include <malloc.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

#include "common/linux/log.hh"
#include "common/text/plural.hh"

namespace holdfast::server {
namespace {

constexpr std::chrono::seconds pause{1};

std::uint32_t limit_of(const std::optional<Address>& from, const Config& config) {
    if (config.maxperaddress) return *config.maxperaddress;
    if (from && is_loopback(*from)) return config.maxconnections;
    return std::max(1U, config.maxconnections / 4);
}

}  // namespace

bool ConnectionList::open() {
    changed_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return changed_ && epoll_.watch(changed_.get()) && lobby_.open() && epoll_.watch(lobby_.descriptor());
}

void ConnectionList::turn_away(TurnedAway reason, std::string_view text) {
    shared_.statistics.turned_away(reason);
    shared_.stranger_log.write(log::Level::warning, text);
}

bool ConnectionList::has_place(const Peer& peer, const Config& config) {
    if (shared_.counts.count(ConnectionCounts::all) >= config.maxconnections) {
        turn_away(TurnedAway::max_connections,
                  fmt::format("{} refused: too many connections (maxconnections = {})", peer.name,
                              config.maxconnections));
        return false;
    }
    const std::uint32_t limit = limit_of(peer.address, config);
    if (places_.enter(peer.address, limit)) return true;
    turn_away(TurnedAway::max_per_address,
              fmt::format("{} refused: already {} from its address or IPv6 /64 network (maxperaddress)",
                          peer.name, counted(limit, "connection")));
    return false;
}

bool ConnectionList::admit(Fd socket, const sockaddr_storage& from, const ListenScope& scope,
                           std::shared_ptr<const Config> config) {
    Peer peer = peer_of(socket.get(), from);
    if (!has_place(peer, *config)) return false;
    const bool known = peer.address && shared_.known_clients.has(*peer.address);
    // Owner and mode of a UNIX socket control access to it.
    const bool judged =
        !peer.address || std::ranges::all_of(config->exports, &std::string::empty, &ExportConfig::authfile);
    const Deadline deadline = Clock::now() + config->handshaketimeout;
    const int changed = changed_.get();
    Connection::Context context{std::move(config), shared_, [changed] { (void)::eventfd_write(changed, 1); }};
    Connection& made =
        connections_.emplace_back(std::move(socket), std::move(peer), scope, std::move(context));
    lobby_.enter(made, known, judged, deadline);
    return !judged;
}

bool ConnectionList::on_input(int fd) {
    if (fd == changed_.get()) {
        on_changed();
    } else if (fd == lobby_.descriptor()) {
        lobby_.turn();
    } else if (const auto sleeping = sleeping_.find(fd); sleeping != sleeping_.end()) {
        wake(sleeping);
    } else {
        return false;
    }
    return true;
}

void ConnectionList::on_changed() {
    eventfd_t count = 0;
    (void)::eventfd_read(changed_.get(), &count);
    has_changed_ = true;
    for (Connection& one : connections_) {
        if (one.is_dormant()) put_to_sleep(one);
    }
    lobby_.take_back();
}

// Keeps the connection without a thread until its socket is readable.
void ConnectionList::put_to_sleep(Connection& connection) {
    connection.sleep();
    if (trim_again_ == no_deadline) trim_again_ = Clock::now() + pause;
    sleeping_[connection.socket()] = &connection;
    // If the socket cannot be watched, the connection continues with a thread.
    if (!epoll_.watch(connection.socket())) wake(sleeping_.find(connection.socket()));
}

void ConnectionList::wake(Sleeping::iterator sleeping) {
    Connection& one = *sleeping->second;
    epoll_.unwatch(one.socket());
    if (const Result<void> started = one.start(); started) {
        sleeping_.erase(sleeping);
    } else {
        if (wake_again_ == no_deadline)
            log::warning(
                fmt::format("{}: {}; retrying in a second", one.peer().name, started.error().message()));
        wake_again_ = Clock::now() + pause;
    }
}

// Wakes all after a shortage of threads. Connections without input fall asleep again.
void ConnectionList::wake_all() {
    wake_again_ = no_deadline;
    for (auto next = sleeping_.begin(); next != sleeping_.end();) wake(next++);
    for (Connection& one : connections_) {
        if (one.waits_for_thread()) one.end();
    }
    remove_ended();
}

Deadline ConnectionList::deadline() const { return std::min({wake_again_, trim_again_, lobby_.deadline()}); }

void ConnectionList::on_time(Clock::time_point now) {
    if (wake_again_ <= now) wake_all();
    if (trim_again_ <= now) {
        // Returns the unused memory of sleeping connections, which lies between used memory, to the system.
        (void)::malloc_trim(0);
        trim_again_ = no_deadline;
    }
    lobby_.on_time(now);
}

void ConnectionList::sweep() {
    if (lobby_.take_ended()) has_changed_ = true;
    if (std::exchange(has_changed_, false)) remove_ended();
}

void ConnectionList::remove_ended() {
    if (std::ranges::any_of(connections_, &Connection::waits_for_thread))
        wake_again_ = std::min(wake_again_, Clock::now() + pause);
    connections_.remove_if([this](const Connection& one) {
        if (!one.ended() || lobby_.has(one)) return false;
        places_.leave(one.peer().address);
        return true;
    });
}

void ConnectionList::stop() {
    for (Connection& one : connections_) one.stop();
    lobby_.end_all();
}

void ConnectionList::abandon_senders() {
    for (Connection& one : connections_) {
        if (one.is_sending()) one.abandon();
    }
}

void ConnectionList::abandon() {
    for (Connection& one : connections_) one.abandon();
}

std::vector<Connection*> ConnectionList::serving() {
    std::vector<Connection*> found;
    for (Connection& one : connections_) {
        if (one.served() != nullptr && !one.ended()) found.push_back(&one);
    }
    return found;
}

std::vector<std::string> ConnectionList::peers() const {
    std::vector<std::string> names;
    for (const Connection& one : connections_) names.push_back(one.peer().name);
    return names;
}

}  // namespace holdfast::server
