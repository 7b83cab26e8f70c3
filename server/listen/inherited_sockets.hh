// Listening sockets that the service manager opened and passed on (sd_listen_fds(3)): clients wait in their
// queues while no server runs. The protocol is two variables, so libsystemd is not needed.
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
    // Takes the descriptors that LISTEN_PID and LISTEN_FDS name, and removes the variables from the
    // environment. Call before any fork, since LISTEN_PID is compared with the process ID. The error names a
    // descriptor that is no listening stream socket.
    [[nodiscard]] static std::expected<InheritedSockets, std::string> take();

    // Removes and returns the socket that listens at this address; an empty Fd if there is none.
    [[nodiscard]] Fd claim(const sockaddr* address, socklen_t size);
    // Whether an inherited IPv6 socket for all addresses, claimed or not, also accepts "all of IPv4" at this
    // port.
    [[nodiscard]] bool covers(const sockaddr* address) const;

    struct Socket {
        Fd fd;
        Endpoint endpoint;
    };
    // Removes and returns the sockets that were not claimed.
    [[nodiscard]] std::vector<Socket> take_rest();
    [[nodiscard]] std::size_t size() const { return sockets_.size(); }

private:
    struct Given {
        Fd fd;
        sockaddr_storage address{};
        socklen_t size = 0;
    };
    // Adds a socket of any address family that endpoints can have; the error says why not.
    [[nodiscard]] std::expected<void, std::string> add(Fd fd);

    std::vector<Given> sockets_;
    std::vector<std::uint16_t> both_families_;  // ports on which [::] accepts IPv4 too, in network byte order
};

}  // namespace holdfast::server
