// The socket is non-blocking. Whatever the server sends, no more is received than was asked for.

#include "client/link/first_bytes.hh"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <span>

#include "common/linux/result.hh"
#include "common/protocol/transmission.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

std::unexpected<LinkError> broken(LinkFault fault, const LineText& text) {
    return std::unexpected(LinkError{fault, text, true});
}

// Waits until the socket has `event`. False: the time is over.
bool wait_for(int socket, short event, Clock::time_point end) {
    for (;;) {
        const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
        if (left <= 0) return false;
        pollfd entry{socket, event, 0};
        if (::poll(&entry, 1, static_cast<int>(left)) > 0) return true;
    }
}

using Done = std::expected<void, LinkError>;

// Sends or receives all of the bytes.
template <class Transfer>
Done transfer_all(int socket, short event, std::size_t length, Clock::time_point end, Transfer transfer) {
    for (std::size_t done = 0; done < length;) {
        const ssize_t count = transfer(done);
        if (count > 0) {
            done += static_cast<std::size_t>(count);
        } else if (count == 0) {
            return broken(LinkFault::unreachable, "the server closed the connection before its first reply");
        } else if (errno != EINTR && errno != EAGAIN) {
            return broken(LinkFault::unreachable, SysError{errno, "first read"}.text());
        } else if (!wait_for(socket, event, end)) {
            return broken(LinkFault::unreachable, "connected, but the first read of the disk timed out");
        }
    }
    return {};
}

Done send_all(int socket, std::span<const std::uint8_t> bytes, Clock::time_point end) {
    return transfer_all(socket, POLLOUT, bytes.size(), end, [&](std::size_t at) {
        return ::send(socket, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    });
}

Done receive_all(int socket, std::span<std::uint8_t> bytes, Clock::time_point end) {
    return transfer_all(socket, POLLIN, bytes.size(), end, [&](std::size_t at) {
        return ::recv(socket, bytes.data() + at, bytes.size() - at, 0);
    });
}

}  // namespace

std::expected<std::vector<std::uint8_t>, LinkError> read_first_bytes(const Link& link, std::uint32_t length,
                                                                     milliseconds patience) {
    const auto end = Clock::now() + patience;
    const int socket = link.socket.get();
    constexpr std::uint64_t cookie = 0x686f6c6466617374;
    const nbd::WireRequest request =
        nbd::encode_request({0, static_cast<std::uint16_t>(nbd::Command::read), cookie, 0, length});
    if (const Done sent = send_all(socket, nbd::bytes_of(request), end); !sent)
        return std::unexpected(sent.error());
    std::array<std::uint8_t, sizeof(nbd::WireSimpleReply)> head{};
    if (const Done got = receive_all(socket, head, end); !got) return std::unexpected(got.error());
    const auto reply = nbd::decode_simple_reply(head);
    if (!reply || reply->cookie != cookie)
        return broken(LinkFault::unusable, "the server's first reply fits no request");
    if (reply->error != nbd::ErrorCode::none) return std::vector<std::uint8_t>();
    std::vector<std::uint8_t> data(length);
    if (const Done got = receive_all(socket, data, end); !got) return std::unexpected(got.error());
    return data;
}

}  // namespace holdfast::client
