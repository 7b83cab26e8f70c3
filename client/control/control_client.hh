// The side of the commands, and of a daemon's successor, on the control socket (orders.hh).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "client/control/orders.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

// Explains to the user why an order failed. If the daemon does not answer, the text names its process, and
// the way to start another daemon.
[[nodiscard]] std::string describe_failure(std::uint32_t index, const SysError& error);
// Returns "; run it as root" if this process is not root and the error is a permission error; else empty.
[[nodiscard]] const char* root_hint(int code) noexcept;

// Sends the order and returns the whole answer. ENOENT or ECONNREFUSED: there is no
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
