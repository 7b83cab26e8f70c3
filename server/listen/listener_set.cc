// An endpoint that stays keeps its sockets, and so the clients in their queues.

#include "server/listen/listener_set.hh"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "common/linux/log.hh"
#include "server/listen/listener.hh"

namespace holdfast::server {
namespace {

ListenScope scope_of(const Listen& listen) { return {listen.every_export, listen.default_export}; }

void log_new(const ListenerSet::Listener& one) {
    log::info(
        fmt::format("listening on {}{}{}", to_string(one.endpoint),
                    one.scope.default_export.empty() ? "" : " (export " + one.scope.default_export + ")",
                    one.given ? ", on a socket from the service manager" : ""));
}

}  // namespace

std::expected<void, std::string> ListenerSet::open(const Config& config) {
    std::expected<Listeners, std::string> wanted = prepare(config);
    if (!wanted) return std::unexpected(std::move(wanted.error()));
    add_given(config, *wanted);
    replace(std::move(*wanted));
    return {};
}

std::expected<ListenerSet::Listeners, std::string> ListenerSet::prepare(const Config& config, Bound bound) {
    Listeners wanted;
    for (std::size_t number = 0; number < config.listens.size(); ++number) {
        const Listen& listen = config.listens[number];
        Listener one{listen.endpoint, scope_of(listen), {}};
        // At a reload only the opener has the rights to bind.
        if (const auto ready = bound.find(number); ready != bound.end()) {
            one.sockets = std::move(ready->second);
        } else if (!has(listen.endpoint)) {
            const std::size_t given = given_.size();
            std::expected<std::vector<Fd>, std::string> sockets =
                listen_apart(listen.endpoint, owner_, given_);
            if (!sockets) return std::unexpected(to_string(Remark{listen.position, sockets.error()}));
            one.sockets = std::move(*sockets);
            one.given = given_.size() != given;
        }
        wanted.push_back(std::move(one));
    }
    return wanted;
}

void ListenerSet::add_given(const Config& config, Listeners& wanted) {
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
void ListenerSet::replace(Listeners wanted) {
    for (Listener& one : wanted) {
        const auto old = std::ranges::find(listeners_, one.endpoint, &Listener::endpoint);
        if (old != listeners_.end()) {
            one.sockets = std::move(old->sockets);
            one.given = old->given;
            continue;
        }
        if (accepting_) {
            for (const Fd& socket : one.sockets) (void)epoll_.watch(socket.get());
        }
        log_new(one);
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

bool ListenerSet::has(const Endpoint& endpoint) const {
    return std::ranges::find(listeners_, endpoint, &Listener::endpoint) != listeners_.end();
}

const ListenerSet::Listener* ListenerSet::find(int socket) const {
    const auto found = std::ranges::find_if(listeners_, [&](const Listener& one) {
        return std::ranges::find(one.sockets, socket, &Fd::get) != one.sockets.end();
    });
    return found == listeners_.end() ? nullptr : &*found;
}

std::set<std::string> ListenerSet::created_paths() const {
    std::set<std::string> paths;
    for (const Listener& one : listeners_) {
        if (!one.endpoint.unix_path.empty() && !one.given) paths.insert(one.endpoint.unix_path);
    }
    return paths;
}

void ListenerSet::hold(Deadline until) {
    accept_again_ = until;
    if (!std::exchange(accepting_, false)) return;
    for (const Listener& listener : listeners_) {
        for (const Fd& socket : listener.sockets) epoll_.unwatch(socket.get());
    }
}

void ListenerSet::on_time(Clock::time_point now) {
    if (accept_again_ > now) return;
    accept_again_ = no_deadline;
    accepting_ = true;
    for (const Listener& listener : listeners_) {
        for (const Fd& socket : listener.sockets) (void)epoll_.watch(socket.get());
    }
}

void ListenerSet::close() {
    hold(no_deadline);
    for (Listener& one : listeners_) one.sockets.clear();
}

}  // namespace holdfast::server
