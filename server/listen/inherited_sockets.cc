// Compares addresses as the kernel reports them.

#include "server/listen/inherited_sockets.hh"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "common/linux/environment.hh"

namespace holdfast::server {
namespace {

constexpr int first_descriptor = 3;  // SD_LISTEN_FDS_START

int option_of(int socket, int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(socket, level, name, &value, &size) == 0 ? value : -1;
}

template <class Address>
Address as(const void* address) {
    Address copy{};
    std::memcpy(&copy, address, sizeof copy);
    return copy;
}

Endpoint endpoint_of(const sockaddr_storage& address, socklen_t size) {
    char text[INET6_ADDRSTRLEN] = "";
    Endpoint endpoint;
    if (address.ss_family == AF_INET) {
        const auto v4 = as<sockaddr_in>(&address);
        ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        endpoint.port = ntohs(v4.sin_port);
    } else if (address.ss_family == AF_INET6) {
        const auto v6 = as<sockaddr_in6>(&address);
        ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        endpoint.port = ntohs(v6.sin6_port);
    } else {
        const auto local = as<sockaddr_un>(&address);
        const std::size_t length = size - offsetof(sockaddr_un, sun_path);
        endpoint.unix_path.assign(local.sun_path, length);
        if (endpoint.unix_path.starts_with('\0')) endpoint.unix_path[0] = '@';
        endpoint.unix_path.erase(std::min(endpoint.unix_path.find('\0'), length));
    }
    endpoint.host = text;
    return endpoint;
}

bool same_address(const sockaddr_storage& one, socklen_t one_size, const sockaddr* other,
                  socklen_t other_size) {
    if (one.ss_family != other->sa_family) return false;
    if (one.ss_family == AF_INET) {
        const auto a = as<sockaddr_in>(&one);
        const auto b = as<sockaddr_in>(other);
        return a.sin_port == b.sin_port && a.sin_addr.s_addr == b.sin_addr.s_addr;
    }
    if (one.ss_family == AF_INET6) {
        const auto a = as<sockaddr_in6>(&one);
        const auto b = as<sockaddr_in6>(other);
        return a.sin6_port == b.sin6_port && a.sin6_scope_id == b.sin6_scope_id &&
               std::memcmp(&a.sin6_addr, &b.sin6_addr, sizeof a.sin6_addr) == 0;
    }
    sockaddr_storage copy{};
    std::memcpy(&copy, other, std::min<std::size_t>(other_size, sizeof copy));
    return endpoint_of(one, one_size).unix_path == endpoint_of(copy, other_size).unix_path;
}

// Number of descriptors that the service manager passed to this process. Removes the variables.
int take_count() {
    constexpr std::uint64_t most = 1024;
    const bool ours = number_in_environment("LISTEN_PID") == static_cast<std::uint64_t>(::getpid());
    const std::uint64_t count = ours ? number_in_environment("LISTEN_FDS").value_or(0) : 0;
    for (const char* const variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(variable);
    return static_cast<int>(std::min(count, most));
}

bool is_supported(sa_family_t family) { return family == AF_INET || family == AF_INET6 || family == AF_UNIX; }

bool set_flags(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

}  // namespace

std::expected<InheritedSockets, std::string> InheritedSockets::take() {
    InheritedSockets result;
    const int end = first_descriptor + take_count();
    for (int fd = first_descriptor; fd < end; ++fd) {
        if (auto added = result.add(Fd(fd)); !added) return std::unexpected(std::move(added.error()));
    }
    return result;
}

std::expected<void, std::string> InheritedSockets::add(Fd fd) {
    Given given{std::move(fd), {}, sizeof given.address};
    const int number = given.fd.get();
    const bool listens = option_of(number, SOL_SOCKET, SO_TYPE) == SOCK_STREAM &&
                         option_of(number, SOL_SOCKET, SO_ACCEPTCONN) == 1 &&
                         ::getsockname(number, reinterpret_cast<sockaddr*>(&given.address), &given.size) == 0;
    if (!listens || !is_supported(given.address.ss_family)) {
        return std::unexpected(fmt::format(
            "descriptor {} from the service manager (LISTEN_FDS) is not a listening stream socket", number));
    }
    if (!set_flags(number)) return std::unexpected(fmt::format("descriptor {}: fcntl failed", number));
    if (given.address.ss_family == AF_INET6) {
        const auto v6 = as<sockaddr_in6>(&given.address);
        if (IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr) && option_of(number, IPPROTO_IPV6, IPV6_V6ONLY) == 0)
            both_families_.push_back(v6.sin6_port);
    }
    sockets_.push_back(std::move(given));
    return {};
}

Fd InheritedSockets::claim(const sockaddr* address, socklen_t size) {
    const auto found = std::ranges::find_if(
        sockets_, [&](const Given& one) { return same_address(one.address, one.size, address, size); });
    if (found == sockets_.end()) return {};
    Fd fd = std::move(found->fd);
    sockets_.erase(found);
    return fd;
}

bool InheritedSockets::covers(const sockaddr* address) const {
    if (address->sa_family != AF_INET) return false;
    const auto v4 = as<sockaddr_in>(address);
    return v4.sin_addr.s_addr == INADDR_ANY &&
           std::ranges::find(both_families_, v4.sin_port) != both_families_.end();
}

std::vector<InheritedSockets::Socket> InheritedSockets::take_rest() {
    std::vector<Socket> rest;
    for (Given& one : sockets_) rest.push_back({std::move(one.fd), endpoint_of(one.address, one.size)});
    sockets_.clear();
    return rest;
}

}  // namespace holdfast::server
