// Listening sockets of the server: those of the configuration, and those that only the service manager gave.
// Watches them for clients. Main thread only.
#pragma once

#include <expected>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/linux/clock.hh"
#include "common/linux/epoll.hh"
#include "common/linux/fd.hh"
#include "server/config/config.hh"
#include "server/listen/inherited_sockets.hh"
#include "server/listen/listen_scope.hh"
#include "server/process/service_user.hh"

namespace holdfast::server {

class ListenerSet {
public:
    struct Listener {
        Endpoint endpoint;
        ListenScope scope;
        std::vector<Fd> sockets;
        bool given = false;      // by the service manager, which owns the path of a UNIX socket
        bool configured = true;  // false: only given; kept whatever the configuration says
    };
    using Listeners = std::vector<Listener>;
    // Sockets by the number of their listener in the configuration.
    using Bound = std::map<std::size_t, std::vector<Fd>>;

    // `epoll` must outlive this object. `given`: sockets that replace sockets of the configuration, or are
    // added to them. New UNIX sockets belong to `owner`.
    ListenerSet(const Epoll& epoll, InheritedSockets given, std::optional<ServiceUser> owner)
        : epoll_(epoll), given_(std::move(given)), owner_(std::move(owner)) {}

    // Binds and watches every listener of the configuration, at the start. The error names the place in the
    // configuration.
    [[nodiscard]] std::expected<void, std::string> open(const Config& config);
    // Returns the listeners of another configuration: those of endpoints that are open already have no
    // sockets yet. `bound` has the new sockets. Changes nothing.
    [[nodiscard]] std::expected<Listeners, std::string> prepare(const Config& config, Bound bound = {});
    // Puts prepared listeners in force: keeps the sockets of endpoints that stay, closes the others.
    void replace(Listeners wanted);

    [[nodiscard]] bool has(const Endpoint& endpoint) const;
    // Listener of a listening socket; null: the descriptor is none.
    [[nodiscard]] const Listener* find(int socket) const;
    // Paths of the UNIX sockets that this process has created.
    [[nodiscard]] std::set<std::string> created_paths() const;

    // Accepts no clients until the given time. They wait in the kernel's queue, which is better for them than
    // a rejection.
    void hold(Deadline until);
    // Time of the next on_time(); no_deadline unless held.
    [[nodiscard]] Deadline deadline() const { return accept_again_; }
    void on_time(Clock::time_point now);
    // Closes every socket, for good.
    void close();

private:
    // Adds given sockets that the configuration does not mention: they serve every export.
    void add_given(const Config& config, Listeners& wanted);

    const Epoll& epoll_;
    InheritedSockets given_;  // until open()
    std::optional<ServiceUser> owner_;
    Listeners listeners_;
    bool accepting_ = true;
    Deadline accept_again_ = no_deadline;  // valid only if !accepting_
};

}  // namespace holdfast::server
