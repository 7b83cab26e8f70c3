// Only root can open the socket; the peer's credentials are checked anyway.

#include "client/control/control_server.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "client/control/device_status.hh"
#include "client/control/record_file.hh"

namespace holdfast::client {
namespace {

constexpr std::array orders{
    std::pair{Order::status, "status"},
    std::pair{Order::detach, "detach"},
    std::pair{Order::detach_forced, "detach forced"},
    std::pair{Order::resize, "resize"},
    std::pair{Order::take_over, "take over"},
    std::pair{Order::ready, "ready"},
    std::pair{Order::mine, "mine"},
};

// Limit on an answer: a record has a line for each server, with a name of up to 4096 bytes in hex.
constexpr std::size_t longest_answer = 4 * 1024 * 1024;

sockaddr_un address_of(std::string_view name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = std::string(run_directory) + "/" + std::string(name);
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
}

FixedText<32> name_of(std::uint32_t index) { return FixedText<32>::of("nbd{}.sock", index); }

// Converts text to a C string for a path, without allocating: used after the seal, too.
template <std::size_t Capacity>
std::array<char, Capacity + 1> c_string(const FixedText<Capacity>& text) noexcept {
    std::array<char, Capacity + 1> string{};
    text.view().copy(string.data(), Capacity);
    return string;
}

Result<Fd> call(std::uint32_t index, std::chrono::milliseconds patience) {
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) return sys_error("socket");
    const sockaddr_un address = address_of(name_of(index));
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
Result<std::size_t> receive_until(int socket, msghdr& message,
                                  std::chrono::steady_clock::time_point end) noexcept {
    for (;;) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
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
    const auto end = std::chrono::steady_clock::now() + patience;
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

const char* word_of(Order order) noexcept {
    for (const auto& [candidate, word] : orders)
        if (candidate == order) return word;
    return "";
}

std::optional<Order> read_order(std::string_view line) noexcept {
    for (const auto& [order, word] : orders)
        if (line == word) return order;
    return std::nullopt;
}

LineText growth_answer(const Result<void>& done, std::uint64_t wanted, std::uint64_t present) {
    if (!done)
        return LineText::of("error the kernel refused {} bytes: {}; the device still has {}\n", wanted,
                            done.error().text(), present);
    if (present < wanted)
        return LineText::of(
            "error the export was seen to have {} bytes, and the new link offers no more than {}\n", wanted,
            present);
    return LineText::of("ok {}\n", present);
}

Result<void> make_run_directory() {
    if (::mkdir(run_directory, 0755) != 0 && errno != EEXIST) return sys_error("mkdir /run/holdfast");
    // Corrects the mode of a folder made by an older version, or under another umask.
    struct stat found {};
    if (::stat(run_directory, &found) != 0) return sys_error("stat /run/holdfast");
    if ((found.st_mode & 07777) != 0755 && ::chmod(run_directory, 0755) != 0)
        return sys_error("chmod /run/holdfast");
    return {};
}

ControlConnection::Outcome ControlConnection::receive(std::optional<Order>& order) noexcept {
    const ssize_t count = ::recv(socket.get(), text.data() + length, text.size() - length, MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EINTR ? Outcome::more : Outcome::closed;
    if (count == 0) return Outcome::closed;
    length += static_cast<std::size_t>(count);
    const std::string_view so_far(text.data(), length);
    const std::size_t end = so_far.find('\n');
    if (end == std::string_view::npos) return length == text.size() ? Outcome::malformed : Outcome::more;
    // Ignores the order of a caller that has hung up: the caller has reported to its user that nothing was
    // done, so a stopped or slow daemon must not execute the order later.
    pollfd peer{socket.get(), 0, 0};
    if (::poll(&peer, 1, 0) > 0 && (peer.revents & POLLHUP) != 0) return Outcome::closed;
    order = read_order(so_far.substr(0, end));
    return order ? Outcome::order : Outcome::malformed;
}

void ControlConnection::answer(std::string_view reply) noexcept {
    // A reply fits the socket's buffer; a caller that does not read it loses it.
    [[maybe_unused]] const ssize_t count =
        ::send(socket.get(), reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    socket.reset();
    length = 0;
}

void ControlConnection::reply(std::string_view first, std::string_view second, int descriptor) noexcept {
    std::array<iovec, 2> parts{iovec{const_cast<char*>(first.data()), first.size()},
                               iovec{const_cast<char*>(second.data()), second.size()}};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room{};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    if (descriptor >= 0) {
        message.msg_control = room.data();
        message.msg_controllen = room.size();
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
    }
    length = 0;
    // Drops a caller that cannot take the reply at once: such a caller is unfit for a takeover.
    const auto all = static_cast<ssize_t>(first.size() + second.size());
    if (::sendmsg(socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) != all) socket.reset();
}

Result<ControlServer> ControlServer::open(std::uint32_t index) {
    if (auto made = make_run_directory(); !made) return std::unexpected(made.error());
    ControlServer server;
    server.directory_.reset(::open(run_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!server.directory_) return sys_error("open /run/holdfast");
    server.name_ = name_of(index);
    server.first_name_ = FixedText<48>::of("{}.{}", server.name_, ::getpid());
    server.socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!server.socket_) return sys_error("socket");
    const auto first_name = c_string(server.first_name_);
    if (::unlinkat(server.directory_.get(), first_name.data(), 0) != 0 && errno != ENOENT)
        return sys_error("unlink an old control socket");
    const sockaddr_un address = address_of(server.first_name_);
    const mode_t before = ::umask(0177);
    const int bound =
        ::bind(server.socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int code = errno;
    ::umask(before);
    if (bound != 0) return std::unexpected(SysError{code, "bind the control socket"});
    if (::listen(server.socket_.get(), 8) != 0) return sys_error("listen on the control socket");
    struct stat own {};
    if (::fstatat(server.directory_.get(), first_name.data(), &own, AT_SYMLINK_NOFOLLOW) != 0)
        return sys_error("stat the control socket");
    server.inode_ = own.st_ino;
    return server;
}

Result<void> ControlServer::publish() noexcept {
    if (::renameat(directory_.get(), c_string(first_name_).data(), directory_.get(),
                   c_string(name_).data()) != 0)
        return sys_error("rename the control socket");
    return {};
}

Fd ControlServer::accept() const noexcept {
    Fd caller(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    ucred peer{};
    socklen_t length = sizeof peer;
    if (!caller || ::getsockopt(caller.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.uid != 0)
        return {};
    return caller;
}

void ControlServer::remove() noexcept {
    for (const auto& name : {c_string(FixedText<48>(name_.view())), c_string(first_name_)}) {
        struct stat present {};
        if (::fstatat(directory_.get(), name.data(), &present, AT_SYMLINK_NOFOLLOW) == 0 &&
            present.st_ino == inode_)
            ::unlinkat(directory_.get(), name.data(), 0);
    }
    socket_.reset();
}

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
    return (code == EACCES || code == EPERM) && ::geteuid() != 0 ? "; run it as root" : "";
}

std::string describe_failure(std::uint32_t index, const SysError& error) {
    if (error.code != ETIMEDOUT) return "its daemon: " + error.message() + root_hint(error.code);
    // Uses the process named in the public file, available even when earlier callers fill the daemon's queue.
    DeviceStatus status;
    const auto file = read_public_file(index);
    if (file && file->alive) take_public_lines(status, file->text, true, std::chrono::milliseconds{0});
    if (status.daemon_pid == 0)
        return fmt::format(
            "its daemon does not answer; end it (its name is holdfast-nbd{}), and give the device another "
            "one "
            "with `holdfast-client takeover nbd{}`",
            index, index);
    return fmt::format(
        "its daemon, process {}, does not answer; end it with `kill -KILL {}`, and give the device another "
        "one "
        "with `holdfast-client takeover nbd{}`",
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
    const auto end = std::chrono::steady_clock::now() + patience;
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
    auto count = receive_until(socket, message, std::chrono::steady_clock::now() + patience);
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
