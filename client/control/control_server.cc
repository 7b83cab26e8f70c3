// Only root can open the socket; the peer's credentials are checked anyway.

#include "client/control/control_server.hh"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "client/control/run_directory.hh"
#include "client/control/socket_address.hh"

namespace holdfast::client {
namespace {

// Converts text to a C string for a path, without allocating: used after the seal, too.
template <std::size_t Capacity>
std::array<char, Capacity + 1> c_string(const FixedText<Capacity>& text) noexcept {
    std::array<char, Capacity + 1> string{};
    text.view().copy(string.data(), Capacity);
    return string;
}

}  // namespace

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
    server.name_ = socket_name(index);
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

}  // namespace holdfast::client
