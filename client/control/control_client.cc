// Waits for the daemon at most the given time, in connect(), too.

#include "client/control/control_client.hh"

#include <errno.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>

#include "client/control/device_status.hh"
#include "client/control/record_file.hh"
#include "client/control/socket_address.hh"
#include "common/linux/clock.hh"

namespace holdfast::client {
namespace {

// Limit on an answer: a record has a line for each server, with a name of up to 4096 bytes in hex.
constexpr std::size_t longest_answer = std::size_t{4} << 20;

Result<Fd> call(std::uint32_t index, std::chrono::milliseconds patience) {
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) return sys_error("socket");
    const sockaddr_un address = address_of(socket_name(index));
    // Limits the wait in connect(): a stopped daemon accepts no callers, and connect() sleeps if its queue is
    // full.
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(patience);
    const timeval limit{whole.count(), std::chrono::microseconds(patience - whole).count()};
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        return sys_error("setsockopt");
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == EAGAIN) return std::unexpected(SysError{ETIMEDOUT, "connect to the daemon"});
        return sys_error("connect to the daemon");
    }
    return socket;
}

Result<void> send_order(int socket, Order order) noexcept {
    std::array<char, longest_order> line{};
    const std::string_view word = word_of(order);
    word.copy(line.data(), word.size());
    line[word.size()] = '\n';
    if (::send(socket, line.data(), word.size() + 1, MSG_NOSIGNAL) < 0)
        return sys_error("send to the daemon");
    return {};
}

// Receives available bytes, waiting until `end` at most; 0 bytes: the daemon has closed the connection.
Result<std::size_t> receive_until(int socket, msghdr& message, Clock::time_point end) noexcept {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
        pollfd entry{socket, POLLIN, 0};
        const int ready = left <= 0 ? 0 : ::poll(&entry, 1, static_cast<int>(left));
        if (ready == 0) return std::unexpected(SysError{ETIMEDOUT, "wait for the daemon's answer"});
        if (ready < 0) continue;
        const ssize_t count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno != EINTR) return sys_error("receive from the daemon");
    }
}

// Receives the whole answer: until the connection ends or, if the dialogue continues, an empty line.
Result<std::string> receive_answer(int socket, bool until_empty_line, std::chrono::milliseconds patience) {
    const auto end = Clock::now() + patience;
    std::string answer;
    for (;;) {
        std::array<char, 4096> buffer;
        iovec part{buffer.data(), buffer.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        const auto count = receive_until(socket, message, end);
        if (!count) return std::unexpected(count.error());
        if (*count == 0 && (answer.empty() || until_empty_line))
            return std::unexpected(SysError{ECONNRESET, "receive from the daemon"});
        if (*count == 0) return answer;
        answer.append(buffer.data(), *count);
        if (until_empty_line && answer.ends_with("\n\n")) return answer;
        if (answer.size() > longest_answer)
            return std::unexpected(SysError{EMSGSIZE, "receive from the daemon"});
    }
}

}  // namespace

Result<std::string> ask(std::uint32_t index, Order order, std::chrono::milliseconds patience,
                        void (*waits)(std::uint32_t index)) {
    constexpr std::chrono::milliseconds silent{3000};
    const auto socket = call(index, patience);
    if (!socket) return std::unexpected(socket.error());
    if (auto sent = send_order(socket->get(), order); !sent) return std::unexpected(sent.error());
    pollfd entry{socket->get(), POLLIN, 0};
    if (waits != nullptr && ::poll(&entry, 1, silent.count()) == 0) {
        waits(index);
        patience -= silent;
    }
    return receive_answer(socket->get(), false, patience);
}

const char* root_hint(int code) noexcept {
    return (code == EACCES || code == EPERM) && ::geteuid() != 0 ? "; run as root" : "";
}

std::string describe_failure(std::uint32_t index, const SysError& error) {
    if (error.code != ETIMEDOUT) return "the daemon: " + error.message() + root_hint(error.code);
    // Uses the process named in the public file, available even when earlier callers fill the daemon's queue.
    DeviceStatus status;
    const auto file = read_public_file(index);
    if (file && file->alive) take_public_lines(status, file->text, true, std::chrono::milliseconds{0});
    if (status.daemon_pid == 0)
        return fmt::format(
            "the daemon does not answer; kill it (its name is holdfast-nbd{}), then start another one with "
            "`holdfast-client takeover nbd{}`",
            index, index);
    return fmt::format(
        "the daemon, process {}, does not answer; kill it with `kill -KILL {}`, then start another one with "
        "`holdfast-client takeover nbd{}`",
        status.daemon_pid, status.daemon_pid, index);
}

Result<TakeoverCall> TakeoverCall::begin(std::uint32_t index, std::chrono::milliseconds patience) {
    auto socket = call(index, patience);
    if (!socket) return std::unexpected(socket.error());
    TakeoverCall takeover;
    takeover.socket_ = std::move(*socket);
    if (auto sent = send_order(takeover.socket_.get(), Order::take_over); !sent)
        return std::unexpected(sent.error());
    auto record = receive_answer(takeover.socket_.get(), true, patience);
    if (!record) return std::unexpected(record.error());
    takeover.record_ = std::move(*record);
    return takeover;
}

pid_t TakeoverCall::daemon() const noexcept {
    // SO_PEERCRED returns the process that called listen().
    ucred peer{};
    socklen_t length = sizeof peer;
    return ::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? peer.pid : 0;
}

Result<TakeoverCall::Handed> TakeoverCall::take(std::chrono::milliseconds patience) noexcept {
    if (auto sent = send_order(socket_.get(), Order::ready); !sent) return std::unexpected(sent.error());
    const auto end = Clock::now() + patience;
    Handed handed;
    while (!handed.lines.view().ends_with("\n\n")) {
        std::array<char, 1024> buffer;
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room{};
        iovec part{buffer.data(), buffer.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = room.data();
        message.msg_controllen = room.size();
        const auto count = receive_until(socket_.get(), message, end);
        if (!count) return std::unexpected(count.error());
        for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
            int descriptor = -1;
            if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
            std::memcpy(&descriptor, CMSG_DATA(head), sizeof descriptor);
            handed.link.reset(descriptor);
        }
        if (*count == 0) return std::unexpected(SysError{ECONNRESET, "receive from the daemon"});
        handed.lines.append({buffer.data(), *count});
        if (handed.lines.full()) return std::unexpected(SysError{EMSGSIZE, "receive from the daemon"});
    }
    return handed;
}

Result<void> TakeoverCall::confirm(std::chrono::milliseconds patience) noexcept {
    return claim_device(socket_.get(), patience);
}

Result<void> claim_device(int socket, std::chrono::milliseconds patience) noexcept {
    if (auto sent = send_order(socket, Order::mine); !sent) return sent;
    std::array<char, 16> buffer;
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    auto count = receive_until(socket, message, Clock::now() + patience);
    if (!count) {
        // Handles a late "go", in case this process was stopped meanwhile. After the shutdown the kernel
        // refuses "go" to the sender, which then stays in charge; an already received "go" is still readable.
        ::shutdown(socket, SHUT_RD);
        const ssize_t left = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (left <= 0) return std::unexpected(count.error());
        count = static_cast<std::size_t>(left);
    }
    if (std::string_view(buffer.data(), *count) != "go\n")
        return std::unexpected(SysError{ECONNRESET, "receive from the daemon"});
    return {};
}

}  // namespace holdfast::client
