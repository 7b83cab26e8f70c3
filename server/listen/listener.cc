// Binds TCP and UNIX sockets.

#include "server/listen/listener.hh"

#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>

#include "common/linux/result.hh"
#include "server/process/helper_process.hh"

namespace holdfast::server {
namespace {

// Large enough for a boot storm; the kernel caps the backlog at net.core.somaxconn.
constexpr int backlog = 4096;

// Limit for the name service, or for a UNIX socket's file system.
constexpr std::chrono::seconds patience{10};

std::unexpected<std::string> failure(const Endpoint& endpoint, const std::string& why) {
    return std::unexpected(fmt::format("cannot listen on {}: {}", to_string(endpoint), why));
}

// Address to bind to, from getaddrinfo(3).
struct Target {
    sockaddr_storage address{};
    socklen_t size = 0;
    int protocol = 0;

    [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

// Resolves the endpoint. With AI_NUMERICHOST in `flags`, asks no name service: a name is then an error.
std::expected<std::vector<Target>, std::string> resolve(const Endpoint& endpoint, int flags) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV | flags;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(endpoint.port);
    const int error =
        ::getaddrinfo(endpoint.host.empty() ? nullptr : endpoint.host.c_str(), port.c_str(), &hints, &found);
    if (error != 0) return std::unexpected(::gai_strerror(error));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
    std::vector<Target> targets;
    for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) {
        Target& made = targets.emplace_back();
        made.size = std::min<socklen_t>(one->ai_addrlen, sizeof made.address);
        made.protocol = one->ai_protocol;
        std::memcpy(&made.address, one->ai_addr, made.size);
    }
    return targets;
}

std::expected<std::vector<Target>, std::string> resolve_apart(const Endpoint& endpoint) {
    if (auto numeric = resolve(endpoint, AI_NUMERICHOST)) return numeric;
    const auto answer = ask_helper(
        [&] {
            const auto targets = resolve(endpoint, 0);
            if (!targets) return refusal(OpenerStatus::refused, targets.error());
            OpenerAnswer made;
            for (const Target& one : *targets) {
                made.packed.text({reinterpret_cast<const char*>(&one.address), one.size});
                made.packed.number(static_cast<std::uint32_t>(one.protocol));
            }
            return made;
        },
        patience);
    if (!answer) return std::unexpected(answer.error());
    std::vector<Target> targets;
    Unpacker from(answer->bytes);
    while (from.sound() && !from.complete()) {
        const std::string address = from.text();
        Target& made = targets.emplace_back();
        made.size = static_cast<socklen_t>(std::min(address.size(), sizeof made.address));
        std::memcpy(&made.address, address.data(), made.size);
        made.protocol = static_cast<int>(from.number<std::uint32_t>());
    }
    return targets;
}

Result<Fd> listen_at(const Target& target) {
    Fd socket(
        ::socket(target.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, target.protocol));
    if (!socket) return sys_error("socket");
    const int yes = 1;
    // After a restart the connections of the old server still occupy the port.
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0)
        return sys_error("setsockopt");
    if (target.address.ss_family == AF_INET6 &&
        ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) != 0) {
        return sys_error("setsockopt");
    }
    if (::bind(socket.get(), target.get(), target.size) != 0) return sys_error("bind");
    if (::listen(socket.get(), backlog) != 0) return sys_error("listen");
    return socket;
}

// Whether the address is valid on each interface separately, and the endpoint names none.
bool lacks_interface(const Target& target) {
    if (target.address.ss_family != AF_INET6) return false;
    sockaddr_in6 address{};
    std::memcpy(&address, &target.address, sizeof address);
    return IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr) && address.sin6_scope_id == 0;
}

std::expected<std::vector<Fd>, std::string> listen_on_inet(const Endpoint& endpoint,
                                                           const std::vector<Target>& targets,
                                                           InheritedSockets& given) {
    std::vector<Fd> sockets;
    for (const Target& one : targets) {
        if (Fd inherited = given.claim(one.get(), one.size)) {
            sockets.push_back(std::move(inherited));
            continue;
        }
        if (endpoint.host.empty() && given.covers(one.get())) continue;
        Result<Fd> socket = listen_at(one);
        if (socket) {
            sockets.push_back(std::move(*socket));
            continue;
        }
        // A kernel without IPv6 (or without IPv4) has only a part of "all addresses".
        const int code = socket.error().code;
        if (code == EINVAL && lacks_interface(one))
            return failure(endpoint, fmt::format("the address is link-local; add its interface: {}%eth0",
                                                 endpoint.host));
        const bool absent = code == EAFNOSUPPORT || code == EADDRNOTAVAIL;
        if (!endpoint.host.empty() || !absent) return failure(endpoint, socket.error().message());
    }
    if (sockets.empty()) return failure(endpoint, "this machine has no such address");
    return sockets;
}

// Whether a server answers at this path.
bool is_alive(const sockaddr_un& address) {
    const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
           errno == EAGAIN;
}

std::expected<sockaddr_un, std::string> unix_address(const Endpoint& endpoint) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string& path = endpoint.unix_path;
    if (path.size() >= sizeof address.sun_path) return failure(endpoint, "the path is too long");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

std::expected<Fd, std::string> bind_unix(const Endpoint& endpoint, const sockaddr_un& address,
                                         const std::optional<ServiceUser>& owner) {
    const std::string& path = endpoint.unix_path;
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
        if (is_alive(address)) return std::unexpected(std::string("another server is listening there"));
        (void)::unlink(path.c_str());
    }
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return std::unexpected(SysError{errno, "socket"}.message());
    // The umask sets the right mode from the start: a UNIX socket has no other access control.
    const mode_t mask = ::umask(0117);
    const int bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const SysError error{errno, "bind"};
    ::umask(mask);
    if (bound != 0) return std::unexpected(error.message());
    if (owner && ::chown(path.c_str(), owner->uid, owner->gid) != 0) {
        return std::unexpected(SysError{errno, "chown"}.message());
    }
    if (::listen(socket.get(), backlog) != 0) return std::unexpected(SysError{errno, "listen"}.message());
    return socket;
}

using Bind = std::function<std::expected<Fd, std::string>(const sockaddr_un&)>;

std::expected<std::vector<Fd>, std::string> listen_on_unix(const Endpoint& endpoint, InheritedSockets& given,
                                                           const Bind& bind) {
    const auto address = unix_address(endpoint);
    if (!address) return std::unexpected(address.error());
    std::vector<Fd> sockets;
    if (Fd inherited = given.claim(reinterpret_cast<const sockaddr*>(&*address), sizeof *address)) {
        sockets.push_back(std::move(inherited));
        return sockets;
    }
    std::expected<Fd, std::string> bound = bind(*address);
    if (!bound) return failure(endpoint, bound.error());
    sockets.push_back(std::move(*bound));
    return sockets;
}

std::expected<Fd, std::string> bind_unix_apart(const Endpoint& endpoint, const sockaddr_un& address,
                                               const std::optional<ServiceUser>& owner) {
    auto answer = ask_helper(
        [&] {
            std::expected<Fd, std::string> socket = bind_unix(endpoint, address, owner);
            if (!socket) return refusal(OpenerStatus::refused, socket.error());
            OpenerAnswer made;
            made.files.push_back(std::move(*socket));
            return made;
        },
        patience);
    if (answer && answer->files.size() == 1) return std::move(answer->files.front());
    return std::unexpected(answer ? "no socket was created" : std::move(answer.error()));
}

}  // namespace

std::expected<std::vector<Fd>, std::string> listen_on(const Endpoint& endpoint,
                                                      const std::optional<ServiceUser>& owner,
                                                      InheritedSockets& given) {
    if (!endpoint.unix_path.empty()) {
        return listen_on_unix(
            endpoint, given, [&](const sockaddr_un& address) { return bind_unix(endpoint, address, owner); });
    }
    const auto targets = resolve(endpoint, 0);
    if (!targets) return failure(endpoint, "resolving the name: " + targets.error());
    return listen_on_inet(endpoint, *targets, given);
}

std::expected<std::vector<Fd>, std::string> listen_apart(const Endpoint& endpoint,
                                                         const std::optional<ServiceUser>& owner,
                                                         InheritedSockets& given) {
    if (!endpoint.unix_path.empty()) {
        return listen_on_unix(endpoint, given, [&](const sockaddr_un& address) {
            return bind_unix_apart(endpoint, address, owner);
        });
    }
    const auto targets = resolve_apart(endpoint);
    if (!targets) return failure(endpoint, "resolving the name: " + targets.error());
    return listen_on_inet(endpoint, *targets, given);
}

}  // namespace holdfast::server
