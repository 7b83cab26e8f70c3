// Receive buffer: received, not yet parsed. Data are received in large pieces and handed out in the units of
// the protocol.
#pragma once

#include <cstdint>
#include <span>

#include "server/transport/buffers.hh"
#include "server/transport/socket_io.hh"

namespace holdfast::server {

class ReceiveBuffer {
public:
    static constexpr std::size_t size = 64U << 10;

    // `socket` and `buffers` must outlive this object.
    ReceiveBuffer(int socket, Buffers& buffers) : socket_(socket), buffers_(buffers) {}
    ReceiveBuffer(const ReceiveBuffer&) = delete;
    ReceiveBuffer& operator=(const ReceiveBuffer&) = delete;
    ~ReceiveBuffer() { close(); }

    // Buffered bytes. Valid until the next receive.
    [[nodiscard]] std::span<std::uint8_t> bytes() const { return area_.subspan(begin_, end_ - begin_); }
    void consume(std::size_t count) { begin_ += count; }
    // Moves as many buffered bytes as fit into `to`, and returns their number.
    std::size_t move_to(std::span<std::uint8_t> to);

    // Calls recvmsg once: received data go into `ahead` first, then at most `most` bytes behind the buffered
    // bytes. `into_ahead` is set to the number of bytes in `ahead`. If no data have arrived, waits if `wait`
    // is set, and otherwise returns `timed_out`. Returns `failed` with ENOMEM if there is no memory to
    // receive into.
    [[nodiscard]] Received receive(std::span<std::uint8_t> ahead, std::size_t most, bool wait,
                                   std::size_t& into_ahead);
    // Number of received bytes not handed out yet, here and in the kernel.
    [[nodiscard]] std::uint64_t unread() const;
    // Releases the memory, if no bytes are buffered.
    void close();

private:
    // Moves the buffered bytes to the beginning of the area. Returns false if there is no memory for an area.
    [[nodiscard]] bool make_room();

    int socket_;
    Buffers& buffers_;
    std::span<std::uint8_t> area_;  // `size` bytes, or empty
    std::size_t begin_ = 0;         // bounds of the buffered bytes
    std::size_t end_ = 0;
};

}  // namespace holdfast::server
