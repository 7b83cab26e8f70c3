// Replies that are ready, until all of them go out in one send.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <vector>

#include "common/linux/result.hh"
#include "server/transport/buffers.hh"

namespace holdfast::server {

class Outbox {
public:
    explicit Outbox(Buffers& buffers) : buffers_(buffers) {}
    Outbox(const Outbox&) = delete;
    Outbox& operator=(const Outbox&) = delete;
    ~Outbox() { clear(); }

    // `head` is copied; `data`, an area of the buffers or nothing, is given back when it is sent or thrown
    // away.
    void add(std::span<const std::uint8_t> head, std::span<const std::uint8_t> data = {});
    [[nodiscard]] bool empty() const { return replies_.empty(); }
    // So much that it is better sent now than later: the client can work on it meanwhile, and it is still in
    // the cache.
    [[nodiscard]] bool full() const { return replies_.size() >= most_replies || data_size_ >= most_data; }
    // All of it. Blocks until the client's end of the link has room. Empty afterwards, also after an error.
    // EAGAIN as from send_all().
    [[nodiscard]] Result<void> send(int socket);
    void clear();
    // Gives its own memory back, too. Only when empty.
    void release();

private:
    static constexpr std::size_t most_replies = 128;
    static constexpr std::size_t most_data = 256U << 10;

    struct Reply {
        std::size_t head_size;
        std::span<const std::uint8_t> data;
    };

    void make_pieces();

    Buffers& buffers_;
    std::vector<std::uint8_t> heads_;  // one behind the other
    std::vector<Reply> replies_;
    std::vector<iovec> pieces_;  // what sendmsg is given
    std::size_t data_size_ = 0;
};

}  // namespace holdfast::server
