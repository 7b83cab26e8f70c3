// The control socket of a device's daemon, used by commands: /run/holdfast/nbdN.sock, root only.
//
// A line each way, then the end: a command (Order) of at most `longest_order` bytes, and an answer. Signals
// are not used, because shutdown scripts send them to every process. Only a takeover is a dialogue, of three
// orders on one connection:
//   take over   answered with the device's record (device_record.hh) and an empty line; the old daemon
//   continues ready       sent once the new daemon has everything it needs: the old daemon pauses, and
//   answers with
//               "yours", its live state, an empty line, and the link's descriptor if there is a link
//   mine        answered with "go": the old daemon exits, and the new daemon is in charge
// If the connection ends before "go", or the new daemon delays more than a few seconds, the old daemon
// remains in charge, and the new daemon never acts.
//
// The daemon's side may be used after the seal, once it is open.
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

// Creates the folder, readable by everybody for the public files; all other files in it are accessible by
// root only.
[[nodiscard]] Result<void> make_run_directory();

enum class Order : std::uint8_t {
    status,         // answered with the lines of device_status.hh
    detach,         // the device is idle and flushed: disconnect the device and exit
    detach_forced,  // disconnect the device even if waiting I/O is lost
    resize,         // check the export's size now
    take_over,
    ready,
    mine,
};

[[nodiscard]] const char* word_of(Order order) noexcept;
// Parses a whole line without its newline.
[[nodiscard]] std::optional<Order> read_order(std::string_view line) noexcept;

// Returns the answer to `resize`, for a device that should grow to `wanted` bytes and now has `present`
// bytes.
[[nodiscard]] LineText growth_answer(const Result<void>& done, std::uint64_t wanted, std::uint64_t present);

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

// Explains to the user why an order failed. If the daemon does not answer, the text names its process, and
// the way to start another daemon.
[[nodiscard]] std::string describe_failure(std::uint32_t index, const SysError& error);
// Returns "; run it as root" if this process is not root and the error is a permission error; else empty.
[[nodiscard]] const char* root_hint(int code) noexcept;

// The command's side: sends the order and returns the whole answer. ENOENT or ECONNREFUSED: there is no
// daemon. ETIMEDOUT: no answer in time. ECONNRESET: the daemon hung up without an answer. `waits` is called
// once if there is no answer after 3 seconds.
[[nodiscard]] Result<std::string> ask(std::uint32_t index, Order order, std::chrono::milliseconds patience,
                                      void (*waits)(std::uint32_t index) = nullptr);

// Last step of a takeover: sends "mine" and waits for "go". Exactly one daemon is in charge afterwards: after
// an error the old daemon, which can then no longer send "go". May be called after the seal.
[[nodiscard]] Result<void> claim_device(int socket, std::chrono::milliseconds patience) noexcept;

// The new daemon's side of a takeover.
class TakeoverCall {
public:
    // ENOENT or ECONNREFUSED: there is no daemon.
    [[nodiscard]] static Result<TakeoverCall> begin(std::uint32_t index, std::chrono::milliseconds patience);
    // Returns the old daemon's process; 0: unknown.
    [[nodiscard]] pid_t daemon() const noexcept;
    // Record sent by the old daemon.
    [[nodiscard]] const std::string& record() const noexcept { return record_; }

    struct Handed {
        FixedText<4096> lines;  // live state
        Fd link;                // empty: no link
    };
    // The two next steps; both may be called after the seal. After an error of either, the old daemon is in
    // charge.
    [[nodiscard]] Result<Handed> take(std::chrono::milliseconds patience) noexcept;
    [[nodiscard]] Result<void> confirm(std::chrono::milliseconds patience) noexcept;

private:
    Fd socket_;
    std::string record_;
};

}  // namespace holdfast::client
