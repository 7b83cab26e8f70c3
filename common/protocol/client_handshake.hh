// The client's half of the fixed newstyle handshake, as a machine of bytes in and bytes out.
// Allocates nothing and knows no sockets: the daemon of a dead root disk runs it. It asks for exactly the bytes that it
// is about to understand, so that what follows the handshake stays in the socket for the kernel.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "common/protocol/constants.hh"
#include "common/protocol/transmission.hh"
#include "common/protocol/wire.hh"

namespace holdfast::nbd {

class ClientHandshake {
public:
    enum class Goal : std::uint8_t {
        go,    // enter transmission: NBD_OPT_GO, or EXPORT_NAME where the server does not know GO
        info,  // only look: NBD_OPT_INFO, then ABORT
        list,  // NBD_OPT_LIST, then ABORT
    };
    enum class State : std::uint8_t {
        running,
        done,     // go: the socket is in transmission. info, list: the answer is here and ABORT is in output()
        refused,  // the server said no: refusal() and text() say what
        failed,   // the server broke the protocol, or cannot do what is asked: text() says what
    };
    // Called once for each export of a LIST, with its name and description; the views live during the call.
    using ListSink = std::function<void(std::string_view name, std::string_view description)>;

    // `export_name` is copied. A name over longest_string makes a machine that has failed.
    ClientHandshake(Goal goal, std::string_view export_name) noexcept;
    ClientHandshake(ListSink sink) noexcept;

    // Bytes to send, and the note that `count` of them were sent. Send before receiving.
    [[nodiscard]] std::span<const std::uint8_t> output() const noexcept;
    void sent(std::size_t count) noexcept;

    // How many bytes the machine can take now: read at most so many. 0 when it is not running.
    [[nodiscard]] std::size_t wanted() const noexcept;
    // Takes at most wanted() bytes.
    void receive(std::span<const std::uint8_t> bytes) noexcept;

    [[nodiscard]] State state() const noexcept { return state_; }
    // Valid when done, for go and info.
    [[nodiscard]] const Offer& offer() const noexcept { return offer_; }
    // Whether the server named block sizes; without, offer() has the specification's defaults.
    [[nodiscard]] bool block_sizes_given() const noexcept { return block_sizes_given_; }
    // Valid when refused.
    [[nodiscard]] OptionReply refusal() const noexcept { return refusal_; }
    // The server's words when refused (what fits; control characters as they came), our reason when failed.
    [[nodiscard]] std::string_view text() const noexcept;

private:
    // (the implementation's own state goes here)
    Goal goal_;
    State state_ = State::running;
    Offer offer_;
    bool block_sizes_given_ = false;
    OptionReply refusal_{};
};

// "NBD_REP_ERR_POLICY: the server does not allow it", for messages.
[[nodiscard]] const char* describe(OptionReply refusal) noexcept;

}  // namespace holdfast::nbd
