// The socket's folder is closed to all but root; the peer's credentials are looked at all the same.

#include "client/control.hh"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <utility>

namespace holdfast::client {
namespace {

constexpr std::array orders{
    std::pair{Order::status, "status"},
    std::pair{Order::detach, "detach"},
    std::pair{Order::detach_forced, "detach forced"},
};

constexpr std::size_t longest_answer = 64 * 1024;

sockaddr_un address_of(std::uint32_t index) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = std::string(run_directory) + "/nbd" + std::to_string(index) + ".sock";
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
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

ControlConnection::Outcome ControlConnection::receive(std::optional<Order>& order) noexcept {
    const ssize_t count = ::recv(socket.get(), text.data() + length, text.size() - length, MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EINTR ? Outcome::more : Outcome::closed;
    if (count == 0) return Outcome::closed;
    length += static_cast<std::size_t>(count);
    const std::string_view so_far(text.data(), length);
    const std::size_t end = so_far.find('\n');
    if (end == std::string_view::npos) return length == text.size() ? Outcome::malformed : Outcome::more;
    order = read_order(so_far.substr(0, end));
    return order ? Outcome::order : Outcome::malformed;
}

void ControlConnection::answer(std::string_view reply) noexcept {
    // A reply fits the socket's buffer; a caller who does not read it goes without.
    [[maybe_unused]] const ssize_t count =
        ::send(socket.get(), reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    socket.reset();
    length = 0;
}

Result<ControlServer> ControlServer::open(std::uint32_t index) {
    if (::mkdir(run_directory, 0700) != 0 && errno != EEXIST) return sys_error("mkdir /run/holdfast");
    ControlServer server;
    server.directory_.reset(::open(run_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!server.directory_) return sys_error("open /run/holdfast");
    server.name_ = "nbd" + std::to_string(index) + ".sock";
    server.socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!server.socket_) return sys_error("socket");
    if (::unlinkat(server.directory_.get(), server.name_.c_str(), 0) != 0 && errno != ENOENT)
        return sys_error("unlink the old control socket");
    const sockaddr_un address = address_of(index);
    const mode_t before = ::umask(0177);
    const int bound =
        ::bind(server.socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int code = errno;
    ::umask(before);
    if (bound != 0) return std::unexpected(SysError{code, "bind the control socket"});
    if (::listen(server.socket_.get(), 8) != 0) return sys_error("listen on the control socket");
    struct stat own {};
    if (::fstatat(server.directory_.get(), server.name_.c_str(), &own, AT_SYMLINK_NOFOLLOW) != 0)
        return sys_error("stat the control socket");
    server.inode_ = own.st_ino;
    return server;
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
    struct stat present {};
    if (::fstatat(directory_.get(), name_.c_str(), &present, AT_SYMLINK_NOFOLLOW) == 0 &&
        present.st_ino == inode_)
        ::unlinkat(directory_.get(), name_.c_str(), 0);
    socket_.reset();
}

Result<std::string> ask(std::uint32_t index, Order order, std::chrono::milliseconds patience) {
    const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) return sys_error("socket");
    const sockaddr_un address = address_of(index);
    // A stopped daemon takes no callers; when too many wait, connect() sleeps for as long as this says.
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(patience);
    const timeval limit{whole.count(), std::chrono::microseconds(patience - whole).count()};
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        return sys_error("setsockopt");
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == EAGAIN) return std::unexpected(SysError{ETIMEDOUT, "connect to the daemon"});
        return sys_error("connect to the daemon");
    }
    const std::string line = std::string(word_of(order)) + "\n";
    if (::send(socket.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0)
        return sys_error("send to the daemon");
    const auto end = std::chrono::steady_clock::now() + patience;
    std::string answer;
    for (;;) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
        pollfd entry{socket.get(), POLLIN, 0};
        const int ready = left <= 0 ? 0 : ::poll(&entry, 1, static_cast<int>(left));
        if (ready == 0) return std::unexpected(SysError{ETIMEDOUT, "wait for the daemon's answer"});
        if (ready < 0) continue;
        std::array<char, 4096> buffer;
        const ssize_t count = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
        if (count < 0 && errno != EINTR) return sys_error("receive from the daemon");
        if (count == 0 && answer.empty())
            return std::unexpected(SysError{ECONNRESET, "receive from the daemon"});
        if (count == 0) return answer;
        if (count > 0) answer.append(buffer.data(), static_cast<std::size_t>(count));
        if (answer.size() > longest_answer)
            return std::unexpected(SysError{EMSGSIZE, "receive from the daemon"});
    }
}

}  // namespace holdfast::client
