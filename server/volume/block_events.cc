// Netlink socket of the kernel's group of uevents; anything not sent by the kernel is ignored.

#include "server/volume/block_events.hh"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

namespace holdfast::server {

bool is_block_event(std::string_view message) noexcept {
    if (message.substr(0, message.find('\0')).find('@') == std::string_view::npos) return false;
    while (!message.empty()) {
        const std::size_t end = message.find('\0');
        if (message.substr(0, end) == "SUBSYSTEM=block") return true;
        if (end == std::string_view::npos) break;
        message.remove_prefix(end + 1);
    }
    return false;
}

bool sends_notices_here() noexcept {
    // The number of the initial user namespace is the same in each kernel.
    constexpr ino_t initial = 0xEFFFFFFD;
    const Fd network(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!network) return false;
    // Fails for an owner outside this process's user namespace.
    const Fd owner(::ioctl(network.get(), NS_GET_USERNS));
    struct stat status {};
    if (owner) return ::fstat(owner.get(), &status) == 0 && status.st_ino == initial;
    // A kernel without user namespaces.
    return ::access("/proc/self/ns/user", F_OK) != 0 && errno == ENOENT;
}

Result<void> BlockEvents::open() {
    constexpr unsigned from_kernel = 1;  // group 2 has the messages of udev
    Fd made(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
    if (!made) return sys_error("socket(NETLINK_KOBJECT_UEVENT)");
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = from_kernel;
    if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return sys_error("bind(NETLINK_KOBJECT_UEVENT)");
    socket_ = std::move(made);
    return {};
}

bool BlockEvents::receive() const {
    bool changed = false;
    std::array<char, 8192> message;
    // Limits the work per turn; the descriptor stays readable.
    for (int i = 0; i < 256; ++i) {
        sockaddr_nl from{};
        socklen_t length = sizeof from;
        const ssize_t count = ::recvfrom(socket_.get(), message.data(), message.size(), MSG_DONTWAIT,
                                         reinterpret_cast<sockaddr*>(&from), &length);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return changed || errno == ENOBUFS;
        const std::string_view text(message.data(), static_cast<std::size_t>(count));
        changed |= length == sizeof from && from.nl_pid == 0 && is_block_event(text);
    }
    return changed;
}

}  // namespace holdfast::server
