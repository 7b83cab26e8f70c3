// Sends each notice as a datagram to the socket in NOTIFY_SOCKET.

#include "common/linux/service_notice.hh"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "common/linux/environment.hh"

namespace holdfast {

ServiceManager::ServiceManager(std::string_view path) noexcept {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || (path[0] != '/' && path[0] != '@') || path.size() >= sizeof address.sun_path) return;
    path.copy(address.sun_path, path.size());
    if (path[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0)
        socket_ = std::move(socket);
}

ServiceManager ServiceManager::of_this_process() noexcept {
    const char* const path = ::getenv("NOTIFY_SOCKET");
    return ServiceManager(path == nullptr ? "" : path);
}

ServiceManager ServiceManager::of_the_system() noexcept { return ServiceManager("/run/systemd/notify"); }

void ServiceManager::tell(std::string_view state) const noexcept {
    if (!socket_) return;
    // Ignores a failure: there is no remedy.
    (void)::send(socket_.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::chrono::microseconds watchdog_interval() noexcept {
    constexpr std::uint64_t most = 1ULL << 50;
    const std::optional<std::uint64_t> time = number_in_environment("WATCHDOG_USEC");
    if (!time || *time > most) return {};
    const bool for_one_process = ::getenv("WATCHDOG_PID") != nullptr;
    if (for_one_process && number_in_environment("WATCHDOG_PID") != static_cast<std::uint64_t>(::getpid()))
        return {};
    return std::chrono::microseconds(*time / 2);
}

void notify_service_manager(std::string_view state) noexcept {
    ServiceManager::of_this_process().tell(state);
}

}  // namespace holdfast
