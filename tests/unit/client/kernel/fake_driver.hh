// The netlink side of the kernel's nbd driver, played by a test: reads requests and sends answers and events,
// byte by byte. Numbers are those of <linux/nbd-netlink.h>.
#pragma once

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "client/kernel/netlink.hh"
#include "common/linux/fd.hh"

namespace holdfast::client {

namespace driver {
inline constexpr std::uint16_t family = 0x42;
enum Command : std::uint8_t { connect = 1, disconnect = 2, reconfigure = 3, link_dead = 4 };
enum Attribute : std::uint16_t {
    index = 1,
    size = 2,
    block_size = 3,
    timeout = 4,
    server_flags = 5,
    sockets = 7,
    dead_connection_timeout = 8,
    identifier = 10,
};
}  // namespace driver

class FakeDriver {
public:
    // Opens a Netlink whose two sockets lead to this object. Only one object at a time.
    [[nodiscard]] Netlink open();

    struct Request {
        std::uint8_t command = 0;
        std::map<std::uint16_t, std::string> attributes;  // data by type

        [[nodiscard]] bool has(std::uint16_t type) const { return attributes.contains(type); }
        // Value of four or eight bytes.
        [[nodiscard]] std::uint64_t number(std::uint16_t type) const;
        // Descriptor in the list of sockets, which must have one item.
        [[nodiscard]] int socket() const;
    };
    // Returns the next request that was sent; nullopt: none is left.
    [[nodiscard]] std::optional<Request> take();

    // Sends the answer to the next request, before the request is sent. `code`: an errno value, or 0.
    void answer(int code, std::optional<std::uint32_t> index = std::nullopt);
    // Sends an answer to the request before the next.
    void answer_late(int code);
    void send_event(std::uint8_t command, std::uint32_t index, std::uint16_t family = driver::family);

private:
    void send(int socket, std::uint16_t type, std::uint32_t sequence, const std::string& body);

    Fd requests_;
    Fd events_;
    std::uint32_t sequence_ = 0;
};

}  // namespace holdfast::client
