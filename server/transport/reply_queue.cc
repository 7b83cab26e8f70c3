// Adjacent heads without data between them are sent as one piece.

#include "server/transport/reply_queue.hh"

#include <sys/socket.h>

#include <limits>

#include "server/transport/socket_io.hh"

namespace holdfast::server {

void ReplyQueue::add(std::span<const std::uint8_t> head, std::span<const std::uint8_t> data) {
    heads_.insert(heads_.end(), head.begin(), head.end());
    replies_.push_back({head.size(), data});
    data_size_ += data.size();
}

void ReplyQueue::make_pieces() {
    pieces_.clear();
    std::uint8_t* head = heads_.data();
    bool joins = false;  // the last piece is a head that the next head continues
    for (const Reply& reply : replies_) {
        if (joins) {
            pieces_.back().iov_len += reply.head_size;
        } else {
            pieces_.push_back({head, reply.head_size});
        }
        head += reply.head_size;
        joins = reply.data.empty();
        // sendmsg takes a non-const pointer, but does not write to the data.
        if (!joins) pieces_.push_back({const_cast<std::uint8_t*>(reply.data.data()), reply.data.size()});
    }
}

Result<void> ReplyQueue::send(int socket) {
    make_pieces();
    msghdr message{};
    message.msg_iov = pieces_.data();
    message.msg_iovlen = pieces_.size();
    Result<void> result;
    int waiting = std::numeric_limits<int>::max();
    while (message.msg_iovlen > 0) {
        const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN && took_something(socket, waiting)) continue;
        if (sent < 0) {
            result = sys_error("sendmsg");
            break;
        }
        auto count = static_cast<std::size_t>(sent);
        while (message.msg_iovlen > 0 && count >= message.msg_iov->iov_len) {
            count -= message.msg_iov->iov_len;
            ++message.msg_iov;
            --message.msg_iovlen;
        }
        if (count > 0) {
            message.msg_iov->iov_base = static_cast<std::uint8_t*>(message.msg_iov->iov_base) + count;
            message.msg_iov->iov_len -= count;
        }
    }
    clear();
    return result;
}

void ReplyQueue::clear() {
    for (const Reply& reply : replies_) buffers_.give(reply.data);
    heads_.clear();
    replies_.clear();
    data_size_ = 0;
}

void ReplyQueue::release() {
    // (= {} would keep the memory.)
    std::vector<std::uint8_t>().swap(heads_);
    std::vector<Reply>().swap(replies_);
    std::vector<iovec>().swap(pieces_);
}

}  // namespace holdfast::server
