// Listening sockets that the service manager opened for us and passed on (sd_listen_fds(3)): clients wait in
// them while no server runs. A protocol of two variables, so libsystemd is not needed for it.
#pragma once

#include <sys/socket.h>

#include <expected>
#include <string>
#include <vector>

#include "common/linux/fd.hh"
#include "server/config/config.hh"

namespace holdfast::server {

class InheritedSockets {
public:
    InheritedSockets() = default;
    // Takes those that LISTEN_PID and LISTEN_FDS name, and the variables out of the environment. To be called
    // before anything is forked, since the process's id is compared. The error names a descriptor that is no
    // listening stream socket.
    [[nodiscard]] static std::expected<InheritedSockets, std::string> take();

    // The socket that listens at this address, and it is not among them any more. None: no descriptor.
    [[nodiscard]] Fd claim(const sockaddr* address, socklen_t size);
    // Whether "all of IPv4" at this port is had with one that has all of IPv6, also if that was claimed
    // already.
    [[nodiscard]] bool covers(const sockaddr* address) const;

    struct Socket {
        Fd fd;
        Endpoint endpoint;
    };
    // Those that nobody claimed.
    [[nodiscard]] std::vector<Socket> take_rest();
    [[nodiscard]] std::size_t size() const { return sockets_.size(); }

private:
    struct Given {
        Fd fd;
        sockaddr_storage address{};
        socklen_t size = 0;
    };
    std::vector<Given> sockets_;
    std::vector<std::uint16_t> both_families_;  // ports on which [::] takes IPv4 too, in the network's order
};

}  // namespace holdfast::server
