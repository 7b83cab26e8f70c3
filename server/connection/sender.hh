// Sends to the client, and shows meanwhile that replies are being sent.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "common/linux/result.hh"
#include "server/connection/page_pipe.hh"
#include "server/transport/reply_queue.hh"
#include "server/transport/socket_io.hh"

namespace holdfast::server {

class Sender {
public:
    // `sending` must outlive this object; it is set while the client has not received everything.
    // `stall_timeout`: the socket's SO_SNDTIMEO, for failure_text().
    Sender(int socket, std::atomic<bool>& sending, std::chrono::seconds stall_timeout)
        : socket_(socket), sending_(sending), stall_timeout_(stall_timeout) {}

    // Block until the socket accepts everything. After an error the connection must end.
    [[nodiscard]] Result<void> send(ReplyQueue& replies) {
        return marked([&] { return replies.send(socket_); });
    }
    [[nodiscard]] Result<void> send(std::span<const std::uint8_t> data, bool more_follows) {
        return marked([&] { return send_all(socket_, data, more_follows); });
    }
    [[nodiscard]] Result<void> send(PagePipe& pages, std::size_t length) {
        return marked([&] { return pages.send(socket_, length); });
    }

    // Explains a failed send, as the reason for the end of the connection.
    [[nodiscard]] std::string failure_text(const SysError& error) const {
        return error.code == EAGAIN
                   ? fmt::format("the client received nothing of a reply for {} s (stalltimeout)",
                                 stall_timeout_.count())
                   : "the connection was lost: " + error.message();
    }

private:
    [[nodiscard]] Result<void> marked(auto send) {
        sending_ = true;
        Result<void> sent = send();
        sending_ = false;
        return sent;
    }

    int socket_;
    std::atomic<bool>& sending_;
    std::chrono::seconds stall_timeout_;
};

}  // namespace holdfast::server
