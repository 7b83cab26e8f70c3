// The daemon's side of the control socket (orders.hh). May be used after the seal, once it is open.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "client/control/orders.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

// A connection from a command, and the order being received.
struct ControlConnection {
    Fd socket;
    std::array<char, longest_order> text{};
    std::size_t length = 0;

    enum class Outcome : std::uint8_t { more, order, closed, malformed };
    // Reads available bytes without blocking. Sets `order` if the outcome is `order`. An order of a caller
    // that has hung up is ignored.
    Outcome receive(std::optional<Order>& order) noexcept;
    // Sends the reply without blocking (truncated if it does not fit), and closes.
    void answer(std::string_view reply) noexcept;
    // Sends a reply and keeps the connection open; passes `descriptor` unless it is negative.
    void reply(std::string_view first, std::string_view second, int descriptor) noexcept;
};

// The daemon's side. Keeps the folder's descriptor, so that it can remove its socket after switch_root.
class ControlServer {
public:
    // Creates the folder (0755) and the socket (0600), under a temporary name that no command uses.
    [[nodiscard]] static Result<ControlServer> open(std::uint32_t index);
    // Renames the socket to the device's name, replacing any existing socket: callers can now connect.
    [[nodiscard]] Result<void> publish() noexcept;
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
    // Accepts the next caller, non-blocking; returns an empty descriptor if there is no caller, or the caller
    // is not root.
    [[nodiscard]] Fd accept() const noexcept;
    // Removes the socket's name unless it belongs to another daemon by now: the device may have been detached
    // and attached again while this daemon waited for its server.
    void remove() noexcept;

private:
    Fd directory_;
    Fd socket_;
    FixedText<32> name_;        // "nbd0.sock"
    FixedText<48> first_name_;  // temporary name until publish()
    ino_t inode_ = 0;
};

}  // namespace holdfast::client
