// Receives large payloads directly into their buffers, together with the following bytes in the same call.

#include "server/transport/receive_buffer.hh"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

namespace holdfast::server {

std::size_t ReceiveBuffer::move_to(std::span<std::uint8_t> to) {
    const std::size_t count = std::min(to.size(), end_ - begin_);
    if (count > 0) std::memcpy(to.data(), area_.data() + begin_, count);
    begin_ += count;
    return count;
}

bool ReceiveBuffer::make_room() {
    if (area_.empty()) area_ = buffers_.take(size);
    // The rest is shorter than a request header.
    if (begin_ > 0) std::memmove(area_.data(), area_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    return !area_.empty();
}

Received ReceiveBuffer::receive(std::span<std::uint8_t> ahead, std::size_t most, bool wait,
                                std::size_t& into_ahead) {
    if (!make_room()) {
        errno = ENOMEM;
        return Received::failed;
    }
    const std::span<std::uint8_t> room = area_.subspan(end_, std::min(most, size - end_));
    iovec places[2] = {{ahead.data(), ahead.size()}, {room.data(), room.size()}};
    msghdr message{};
    message.msg_iov = ahead.empty() ? places + 1 : places;
    message.msg_iovlen = ahead.empty() ? 1 : 2;
    for (;;) {
        const ssize_t got = ::recvmsg(socket_, &message, wait ? 0 : MSG_DONTWAIT);
        if (got > 0) {
            into_ahead = std::min(static_cast<std::size_t>(got), ahead.size());
            end_ += static_cast<std::size_t>(got) - into_ahead;
            return Received::complete;
        }
        if (got == 0 || errno == ECONNRESET) return Received::closed;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return Received::timed_out;
        if (errno != EINTR) return Received::failed;
    }
}

std::uint64_t ReceiveBuffer::unread() const {
    int queued = 0;
    if (::ioctl(socket_, FIONREAD, &queued) != 0) queued = 0;
    return end_ - begin_ + static_cast<std::uint64_t>(std::max(queued, 0));
}

void ReceiveBuffer::close() {
    if (begin_ < end_) return;
    buffers_.give(area_);
    area_ = {};
    begin_ = end_ = 0;
}

}  // namespace holdfast::server
