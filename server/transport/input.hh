// What a client has sent and nobody has taken up yet: received in large pieces, handed out as the protocol
// has them.
#pragma once

#include <cstdint>
#include <span>

#include "server/transport/buffers.hh"
#include "server/transport/socket_io.hh"

namespace holdfast::server {

class Input {
public:
    static constexpr std::size_t size = 64U << 10;

    // Both must outlive it.
    Input(int socket, Buffers& buffers) : socket_(socket), buffers_(buffers) {}
    Input(const Input&) = delete;
    Input& operator=(const Input&) = delete;
    ~Input() { close(); }

    // What is here. Stays in place until the next receive.
    [[nodiscard]] std::span<std::uint8_t> bytes() const { return area_.subspan(begin_, end_ - begin_); }
    void consume(std::size_t count) { begin_ += count; }
    // Moves as much as is here and fits into `to`, and says how much.
    std::size_t move_to(std::span<std::uint8_t> to);

    // One recvmsg: what has arrived goes into `ahead` first, the rest, at most `most`, behind what is here.
    // `into_ahead` says how much went there. Waits if nothing has arrived and `wait` says so; `timed_out`
    // otherwise. `failed` with ENOMEM when there is no memory to receive into.
    [[nodiscard]] Received receive(std::span<std::uint8_t> ahead, std::size_t most, bool wait,
                                   std::size_t& into_ahead);
    // How much of what has arrived is not handed out, here and in the kernel.
    [[nodiscard]] std::uint64_t unread() const;
    // Gives the memory back, if nothing is here.
    void close();

private:
    int socket_;
    Buffers& buffers_;
    std::span<std::uint8_t> area_;  // of `size`, or none
    std::size_t begin_ = 0;         // of what is here
    std::size_t end_ = 0;
};

}  // namespace holdfast::server
