// Receives a client's requests and their payloads, and decides how to wait for them: for several small
// requests at a time (coalescing.hh), by polling for the next of single requests (busy_poll.hh), or asleep.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "common/protocol/transmission.hh"
#include "server/config/config.hh"
#include "server/transport/buffers.hh"
#include "server/transport/busy_poll.hh"
#include "server/transport/coalescing.hh"
#include "server/transport/receive_buffer.hh"

namespace holdfast::server {

class Receiver {
public:
    // All arguments must outlive this object.
    Receiver(int socket, Buffers& buffers, PollSeats& seats, const ExportConfig& config)
        : input_(socket, buffers), busy_poll_(seats, config.busypoll), coalescing_(socket, config.coalesce) {}

    // Received bytes, not yet consumed. Valid until the next receive.
    [[nodiscard]] std::span<std::uint8_t> bytes() const { return input_.bytes(); }
    void consume(std::size_t count) { input_.consume(count); }
    // Moves as many bytes as fit into `to`, and returns their number.
    std::size_t move_to(std::span<std::uint8_t> to) { return input_.move_to(to); }
    // Consumes the header of a request that is started now.
    void take(const nbd::Request& request) {
        input_.consume(sizeof(nbd::WireRequest));
        ++just_taken_;
        small_ = request.length <= small_payload;
        large_writes_ = request.command == static_cast<std::uint16_t>(nbd::Command::write) && !small_;
    }

    // Part of the protocol to which the next bytes belong.
    enum class Next : std::uint8_t {
        request,
        payload,
        discarded,  // payload of a refused write
    };
    enum class Outcome : std::uint8_t {
        data,
        nothing,  // no data yet, without waiting or after waiting for several requests
        silent,   // no data for SO_RCVTIMEO
        closed,
        failed,
    };
    struct Reception {
        Outcome outcome;
        std::size_t into_ahead;  // number of bytes in `ahead`; valid only with `data`
        int error;               // errno of recvmsg; valid only with `failed`
    };
    // Receives once, into `ahead` first: the destination of a payload, or empty. Blocks only if `may_wait`.
    [[nodiscard]] Reception receive(Next next, std::span<std::uint8_t> ahead, bool may_wait);
    // Makes the socket readable at any byte. Call before any other kind of wait.
    void expect_any_byte() { coalescing_.off(); }

    // Number of bytes that the client has sent and that are not consumed, here and in the kernel. One system
    // call.
    [[nodiscard]] std::uint64_t unread() const { return input_.unread(); }
    // Releases the memory, if no bytes are buffered.
    void close() { input_.close(); }

private:
    // After a write with a longer payload, the next payload is received directly into its buffer, not
    // together with its request. Waiting for several such requests does not pay off either.
    static constexpr std::size_t small_payload = 16U << 10;

    // Number of bytes to receive beside those of a payload. After a large write only the header of the next
    // request, so that its payload need not be copied.
    [[nodiscard]] std::size_t most_for(Next next) const {
        return large_writes_ && next != Next::discarded ? sizeof(nbd::WireRequest) : ReceiveBuffer::size;
    }
    // Returns whether there is data to receive.
    [[nodiscard]] bool wait_for_several(Next next);
    // Waits for the next request of a client that sends one at a time.
    [[nodiscard]] Received receive_single(std::size_t most);

    ReceiveBuffer input_;
    BusyPoll busy_poll_;
    Coalescing coalescing_;
    std::uint32_t just_taken_ = 0;  // requests started since the last receive
    bool small_ = true;             // the last request is no longer than small_payload
    bool large_writes_ = false;     // the last request was a write with a large payload; the next may be, too
};

}  // namespace holdfast::server
