// The socket by which commands speak with a device's daemon: /run/holdfast/nbdN.sock, for root alone.
//
// One line each way and then the end: an order of at most `longest_order` bytes, and an answer. Not signals:
// shutdown scripts send those to everybody. Only a takeover is a dialogue, of three orders on one connection:
//   take over   the device's record (record.hh), an empty line at its end; the old daemon goes on
//   ready       the new daemon has all that it needs: the old one stands back, and answers with "yours", its
//   live state, an
//               empty line, and the link's descriptor if there is one
//   mine        answered with "go": the old daemon leaves, and the new one is in charge
// When the connection ends before that, or the new daemon lets more than a few seconds pass, the old one is
// in charge as before, and the new one never acts.
//
// The daemon's end may be used after the seal, once it is open.
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
#include "common/text/fixed_text.hh"

namespace holdfast::client {

inline constexpr const char* run_directory = "/run/holdfast";
inline constexpr std::size_t longest_order = 32;

// Everybody may look into it, for the public files; all others in it are closed to all but root.
[[nodiscard]] Result<void> make_run_directory();

enum class Order : std::uint8_t {
    status,         // answered with status.hh's lines
    detach,         // the device is idle and flushed: disconnect it and leave
    detach_forced,  // disconnect it whatever becomes of the I/O that waits
    resize,         // look at the export's size now
    take_over,
    ready,
    mine,
};

[[nodiscard]] const char* word_of(Order order) noexcept;
// A whole line without its newline.
[[nodiscard]] std::optional<Order> read_order(std::string_view line) noexcept;

// The answer to `resize` of a device that was to grow to `wanted` bytes, and has `present` now.
[[nodiscard]] LineText growth_answer(const Result<void>& done, std::uint64_t wanted, std::uint64_t present);

// What has come of one order.
struct ControlConnection {
    Fd socket;
    std::array<char, longest_order> text{};
    std::size_t length = 0;

    enum class Outcome : std::uint8_t { more, order, closed, malformed };
    // Reads what is there, without waiting. `order` is set when the outcome is `order`. An order of a caller
    // that has left is none.
    Outcome receive(std::optional<Order>& order) noexcept;
    // Sends what fits without waiting, and closes.
    void answer(std::string_view reply) noexcept;
    // The same, and the dialogue goes on; with a descriptor, unless that is negative.
    void reply(std::string_view first, std::string_view second, int descriptor) noexcept;
};

// The daemon's end. Keeps the folder's descriptor, so that it can take its socket away after switch_root.
class ControlServer {
public:
    // Makes the folder (0755) and the socket (0600), under a name that nobody calls yet.
    [[nodiscard]] static Result<ControlServer> open(std::uint32_t index);
    // Gives it the device's name, in the place of whatever has that: from here on, callers come.
    [[nodiscard]] Result<void> publish() noexcept;
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
    // The next caller, non-blocking; an empty descriptor when there is none, or when it was not root.
    [[nodiscard]] Fd accept() const noexcept;
    // Takes the socket's name away, unless it is another daemon's by now: the device may have been detached
    // and attached again by others while this daemon waited for its server.
    void remove() noexcept;

private:
    Fd directory_;
    Fd socket_;
    FixedText<32> name_;        // "nbd0.sock"
    FixedText<48> first_name_;  // until it is published
    ino_t inode_ = 0;
};

// The reason why an order came to nothing, for the person who gave it. Where the daemon does not answer: its
// process, and the way to another daemon.
[[nodiscard]] std::string describe_failure(std::uint32_t index, const SysError& error);
// "; run it as root" if this process is not root and the error is one of rights; else empty.
[[nodiscard]] const char* root_hint(int code) noexcept;

// A command's end: sends the order and gives the whole answer. ENOENT or ECONNREFUSED: no daemon lives.
// ETIMEDOUT: it did not answer in time. ECONNRESET: it ended without an answer.
// `waits` is called once when no answer has come after 3 seconds.
[[nodiscard]] Result<std::string> ask(std::uint32_t index, Order order, std::chrono::milliseconds patience,
                                      void (*waits)(std::uint32_t index) = nullptr);

// The last step of a takeover: sends "mine" and waits for "go". Exactly one daemon is in charge afterwards:
// after an error the old one, which then cannot send "go" any more. May be called after the seal.
[[nodiscard]] Result<void> claim_device(int socket, std::chrono::milliseconds patience) noexcept;

// A new daemon's end of a takeover.
class TakeoverCall {
public:
    // ENOENT or ECONNREFUSED: no daemon lives.
    [[nodiscard]] static Result<TakeoverCall> begin(std::uint32_t index, std::chrono::milliseconds patience);
    // The old daemon; 0: not known.
    [[nodiscard]] pid_t daemon() const noexcept;
    // The record that the old daemon gave.
    [[nodiscard]] const std::string& record() const noexcept { return record_; }

    struct Handed {
        FixedText<4096> lines;  // the live state
        Fd link;                // empty: there is none
    };
    // The two steps that follow; both may be called after the seal. After an error of either, the old daemon
    // is in charge.
    [[nodiscard]] Result<Handed> take(std::chrono::milliseconds patience) noexcept;
    [[nodiscard]] Result<void> confirm(std::chrono::milliseconds patience) noexcept;

private:
    Fd socket_;
    std::string record_;
};

}  // namespace holdfast::client
