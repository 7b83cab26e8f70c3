// Queue of finished replies, which are all sent in a single call.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <vector>

#include "common/linux/result.hh"
#include "server/transport/buffers.hh"

namespace holdfast::server {

class ReplyQueue {
public:
    explicit ReplyQueue(Buffers& buffers) : buffers_(buffers) {}
    ReplyQueue(const ReplyQueue&) = delete;
    ReplyQueue& operator=(const ReplyQueue&) = delete;
    ~ReplyQueue() { clear(); }

    // Copies `head`; `data`, an area of the buffers or empty, is returned to the buffers when sent or
    // discarded.
    void add(std::span<const std::uint8_t> head, std::span<const std::uint8_t> data = {});
    [[nodiscard]] bool empty() const { return replies_.empty(); }
    // Whether the replies should be sent now: the client can process them meanwhile, and they are still in
    // the processor's cache.
    [[nodiscard]] bool full() const { return replies_.size() >= most_replies || data_size_ >= most_data; }
    // Sends all replies. Blocks until the socket accepts the data. Empty afterwards, also after an error.
    // Fails with EAGAIN like send_all().
    [[nodiscard]] Result<void> send(int socket);
    void clear();
    // Also releases the queue's own memory. Only when empty.
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
    std::vector<std::uint8_t> heads_;  // consecutive
    std::vector<Reply> replies_;
    std::vector<iovec> pieces_;  // argument of sendmsg
    std::size_t data_size_ = 0;
};

}  // namespace holdfast::server
