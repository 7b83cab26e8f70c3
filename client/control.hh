// The socket by which commands speak with a device's daemon: /run/holdfast/nbdN.sock, for root alone.
//
// One line each way and then the end: an order of at most `longest_order` bytes, and an answer. Not signals:
// shutdown scripts send those to everybody.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

inline constexpr const char* run_directory = "/run/holdfast";
inline constexpr std::size_t longest_order = 32;

enum class Order : std::uint8_t {
    status,         // answered with status.hh's lines
    detach,         // the device is idle and flushed: disconnect it and leave
    detach_forced,  // disconnect it whatever becomes of the I/O that waits
};

[[nodiscard]] const char* word_of(Order order) noexcept;
// A whole line without its newline.
[[nodiscard]] std::optional<Order> read_order(std::string_view line) noexcept;

// What has come of one order.
struct ControlConnection {
    Fd socket;
    std::array<char, longest_order> text{};
    std::size_t length = 0;

    enum class Outcome : std::uint8_t { more, order, closed, malformed };
    // Reads what is there, without waiting. `order` is set when the outcome is `order`.
    Outcome receive(std::optional<Order>& order) noexcept;
    // Sends what fits without waiting, and closes.
    void answer(std::string_view reply) noexcept;
};

// The daemon's end. Keeps the folder's descriptor, so that it can take its socket away after switch_root.
class ControlServer {
public:
    // Makes the folder (0700) and the socket (0600). Takes the place of a socket that a dead daemon left: the
    // caller holds the device, so no other daemon has it.
    [[nodiscard]] static Result<ControlServer> open(std::uint32_t index);
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
    // The next caller, non-blocking; an empty descriptor when there is none, or when it was not root.
    [[nodiscard]] Fd accept() const noexcept;
    // Takes the socket's name away, unless it is another daemon's by now: the device may have been detached
    // and attached again by others while this daemon waited for its server.
    void remove() noexcept;

private:
    Fd directory_;
    Fd socket_;
    std::string name_;
    ino_t inode_ = 0;
};

// A command's end: sends the order and gives the whole answer. ENOENT or ECONNREFUSED: no daemon lives.
// ETIMEDOUT: it did not answer in time. ECONNRESET: it ended without an answer.
[[nodiscard]] Result<std::string> ask(std::uint32_t index, Order order, std::chrono::milliseconds patience);

}  // namespace holdfast::client
