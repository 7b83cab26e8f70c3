// All connections of the server, from accept to close: limits, the handshakes in the lobby, and the
// connections that sleep without a thread. Main thread only; none of these functions waits for a client or a
// disk.
#pragma once

#include <sys/socket.h>

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/linux/clock.hh"
#include "common/linux/epoll.hh"
#include "common/linux/fd.hh"
#include "server/access/admission.hh"
#include "server/connection/connection.hh"
#include "server/connection/lobby.hh"
#include "server/listen/listen_scope.hh"

namespace holdfast::server {

class ConnectionList {
public:
    // `epoll` and `shared` must outlive this object.
    ConnectionList(const Epoll& epoll, Shared& shared) : epoll_(epoll), shared_(shared) {}
    ConnectionList(const ConnectionList&) = delete;
    ConnectionList& operator=(const ConnectionList&) = delete;

    // Fails, and sets errno, if no descriptor is available. Call before all other functions.
    [[nodiscard]] bool open();

    // Begins the handshake with an accepted client, or turns the client away, which is logged. Returns
    // whether the client waits for the authfiles (lobby().judge()).
    [[nodiscard]] bool admit(Fd socket, const sockaddr_storage& from, const ListenScope& scope,
                             std::shared_ptr<const Config> config);
    // Handles input on a watched descriptor. False: the descriptor belongs to no connection.
    [[nodiscard]] bool on_input(int fd);
    [[nodiscard]] Deadline deadline() const;
    void on_time(Clock::time_point now);
    // Destroys the connections that have ended. Call after each round of events.
    void sweep();

    // Finish and answer the started requests, and start no new request. Ends the handshakes.
    void stop();
    // Stop waiting for clients: those that have not received their replies yet, or all. Disk operations in
    // progress continue.
    void abandon_senders();
    void abandon();

    // Connections that serve requests (Connection::served()); valid until the next sweep().
    [[nodiscard]] std::vector<Connection*> serving();

    [[nodiscard]] Lobby& lobby() { return lobby_; }
    [[nodiscard]] const Lobby& lobby() const { return lobby_; }
    [[nodiscard]] bool empty() const { return connections_.empty(); }
    [[nodiscard]] std::size_t size() const { return connections_.size(); }
    // Names of the clients, for the log.
    [[nodiscard]] std::vector<std::string> peers() const;

private:
    // Connections without a thread, by their sockets, which are watched.
    using Sleeping = std::map<int, Connection*>;

    // Checks the limits, and counts the client. False: turned away.
    [[nodiscard]] bool has_place(const Peer& peer, const Config& config);
    void turn_away(TurnedAway reason, std::string_view text);
    void on_changed();
    void put_to_sleep(Connection& connection);
    void wake(Sleeping::iterator sleeping);
    void wake_all();
    void remove_ended();

    const Epoll& epoll_;
    Shared& shared_;
    Lobby lobby_;
    PlaceCounts places_;
    Fd changed_;                // an eventfd by which connections report a change
    bool has_changed_ = false;  // since the last sweep()
    std::list<Connection> connections_;
    Sleeping sleeping_;
    Deadline wake_again_ = no_deadline;  // retry after a shortage of threads
    Deadline trim_again_ = no_deadline;  // heap trim after a connection slept
};

}  // namespace holdfast::server
