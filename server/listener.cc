// Binding, for TCP and for UNIX sockets.

#include "server/listener.hh"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <memory>

#include "common/linux/result.hh"

namespace holdfast::server {
namespace {

// A boot storm fits; the kernel caps it at net.core.somaxconn.
constexpr int backlog = 4096;

Result<Fd> listen_at(const addrinfo& address) {
    Fd socket(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol));
    if (!socket) return sys_error("socket");
    const int yes = 1;
    // After a restart the connections of the old server still occupy the port.
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0)
        return sys_error("setsockopt");
    if (address.ai_family == AF_INET6 &&
        ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) != 0) {
        return sys_error("setsockopt");
    }
    if (::bind(socket.get(), address.ai_addr, address.ai_addrlen) != 0) return sys_error("bind");
    if (::listen(socket.get(), backlog) != 0) return sys_error("listen");
    return socket;
}

std::unexpected<std::string> failure(const Endpoint& endpoint, const std::string& why) {
    return std::unexpected(fmt::format("cannot listen on {}: {}", to_string(endpoint), why));
}

std::expected<std::vector<Fd>, std::string> listen_on_inet(const Endpoint& endpoint,
                                                           InheritedSockets& given) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(endpoint.port);
    const int error =
        ::getaddrinfo(endpoint.host.empty() ? nullptr : endpoint.host.c_str(), port.c_str(), &hints, &found);
    if (error != 0) return failure(endpoint, ::gai_strerror(error));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
    std::vector<Fd> sockets;
    for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) {
        if (Fd inherited = given.claim(one->ai_addr, one->ai_addrlen)) {
            sockets.push_back(std::move(inherited));
            continue;
        }
        if (endpoint.host.empty() && given.covers(one->ai_addr)) continue;
        Result<Fd> socket = listen_at(*one);
        if (socket) {
            sockets.push_back(std::move(*socket));
            continue;
        }
        // Of "all addresses", a kernel without IPv6 (or without IPv4) has only a part.
        const int code = socket.error().code;
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

std::expected<std::vector<Fd>, std::string> listen_on_unix(const Endpoint& endpoint,
                                                           const std::optional<Identity>& owner,
                                                           InheritedSockets& given) {
    std::vector<Fd> sockets;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string& path = endpoint.unix_path;
    if (path.size() >= sizeof address.sun_path) return failure(endpoint, "the path is too long");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    if (Fd inherited = given.claim(reinterpret_cast<const sockaddr*>(&address), sizeof address)) {
        sockets.push_back(std::move(inherited));
        return sockets;
    }
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
        if (is_alive(address)) return failure(endpoint, "another server listens there");
        (void)::unlink(path.c_str());
    }
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return failure(endpoint, SysError{errno, "socket"}.message());
    // The mode is right from the first moment on: clients are known by nothing else.
    const mode_t mask = ::umask(0117);
    const int bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const SysError error{errno, "bind"};
    ::umask(mask);
    if (bound != 0) return failure(endpoint, error.message());
    if (owner && ::chown(path.c_str(), owner->uid, owner->gid) != 0) {
        return failure(endpoint, SysError{errno, "chown"}.message());
    }
    if (::listen(socket.get(), backlog) != 0) return failure(endpoint, SysError{errno, "listen"}.message());
    sockets.push_back(std::move(socket));
    return sockets;
}

}  // namespace

std::expected<std::vector<Fd>, std::string> listen_on(const Endpoint& endpoint,
                                                      const std::optional<Identity>& owner,
                                                      InheritedSockets& given) {
    return endpoint.unix_path.empty() ? listen_on_inet(endpoint, given)
                                      : listen_on_unix(endpoint, owner, given);
}

}  // namespace holdfast::server
