// The kernel answers ENOENT for a socket that it does not find, and also if it cannot load the module for the
// lookup. A dump with no states distinguishes the two: the dump examines no socket, and fails only if the
// module is missing. The cookie in a name protects a later connection with the same addresses.

#include "client/kernel/socket_diagnostics.hh"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>

namespace holdfast::client {
namespace {

// Writes an address in the format of socket diagnostics: four words, of which IPv4 uses the first.
void put_address(const SocketAddress& address, __be32 (&words)[4], __be16& port) {
    if (address.bytes.ss_family == AF_INET6) {
        sockaddr_in6 inet6{};
        std::memcpy(&inet6, &address.bytes, sizeof inet6);
        std::memcpy(words, &inet6.sin6_addr, sizeof words);
        port = inet6.sin6_port;
        return;
    }
    sockaddr_in inet{};
    std::memcpy(&inet, &address.bytes, sizeof inet);
    words[0] = inet.sin_addr.s_addr;
    port = inet.sin_port;
}

inet_diag_req_v2 request_for(const NamedSocket& socket) {
    inet_diag_req_v2 request{};
    request.sdiag_family = static_cast<__u8>(socket.local.bytes.ss_family);
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_states = ~0U;
    put_address(socket.local, request.id.idiag_src, request.id.idiag_sport);
    put_address(socket.remote, request.id.idiag_dst, request.id.idiag_dport);
    // Sets the interface, which a link-local address needs.
    if (socket.local.bytes.ss_family == AF_INET6) {
        sockaddr_in6 inet6{};
        std::memcpy(&inet6, &socket.local.bytes, sizeof inet6);
        request.id.idiag_if = inet6.sin6_scope_id;
    }
    request.id.idiag_cookie[0] = static_cast<__u32>(socket.cookie);
    request.id.idiag_cookie[1] = static_cast<__u32>(socket.cookie >> 32);
    return request;
}

// Sends a request. The kernel executes it within send(), so the answer is available when send() returns. A
// kernel error is the result.
Result<void> ask(int netlink, std::uint16_t type, std::uint16_t flags, const inet_diag_req_v2& body,
                 const char* call) noexcept {
    struct {
        nlmsghdr head;
        inet_diag_req_v2 body;
    } request{};
    request.head.nlmsg_len = sizeof request;
    request.head.nlmsg_type = type;
    request.head.nlmsg_flags = static_cast<__u16>(NLM_F_REQUEST | flags);
    request.body = body;
    while (::send(netlink, &request, sizeof request, 0) < 0)
        if (errno != EINTR) return sys_error(call);
    struct {
        nlmsghdr head;
        nlmsgerr error;
    } answer{};
    const ssize_t count = ::recv(netlink, &answer, sizeof answer, MSG_DONTWAIT);
    if (count < 0) return sys_error(call);
    // The end of a dump has its error at the same offset.
    const bool tells = answer.head.nlmsg_type == NLMSG_ERROR || answer.head.nlmsg_type == NLMSG_DONE;
    if (!tells || count < static_cast<ssize_t>(sizeof answer.head + sizeof(int)))
        return std::unexpected(SysError{EPROTO, call});
    if (answer.error.error != 0) return std::unexpected(SysError{-answer.error.error, call});
    return {};
}

// Returns whether the child, which may wait for the disk with the kernel's modules, finished in time.
bool has_ended_well(pid_t child, int pipe, std::chrono::milliseconds patience) noexcept {
    pollfd entry{pipe, POLLIN, 0};
    char byte = 0;
    const bool done =
        ::poll(&entry, 1, static_cast<int>(patience.count())) > 0 && ::read(pipe, &byte, 1) == 1;
    // Leaves the child behind if the child is in uninterruptible sleep.
    if (!done) ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, done ? 0 : WNOHANG);
    return done;
}

}  // namespace

Result<SocketDiagnostics> SocketDiagnostics::open(int protocol) {
    Fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!netlink) return sys_error("socket diagnostics");
    inet_diag_req_v2 nothing{};
    nothing.sdiag_family = AF_INET;
    nothing.sdiag_protocol = static_cast<__u8>(protocol);
    const auto there = ask(netlink.get(), SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, nothing, "socket diagnostics");
    if (there) return SocketDiagnostics(std::move(netlink));
    const int code = there.error().code == ENOENT ? EPROTONOSUPPORT : there.error().code;
    return std::unexpected(SysError{code, "socket diagnostics of TCP"});
}

Result<SocketDiagnostics> SocketDiagnostics::open_in_time(std::chrono::milliseconds patience) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return sys_error("pipe");
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
        // Closes descriptors, so that a hanging child holds no lock and no pipe of this process.
        ::dup2(writing.get(), STDOUT_FILENO);
        ::close_range(STDERR_FILENO, ~0U, 0);
        (void)open();
        ::_exit(::write(STDOUT_FILENO, "y", 1) == 1 ? 0 : 1);
    }
    if (child < 0) return sys_error("fork");
    writing.reset();
    if (!has_ended_well(child, reading.get(), patience))
        return std::unexpected(SysError{ETIMEDOUT, "socket diagnostics of TCP"});
    return open();
}

Result<void> SocketDiagnostics::destroy(std::string_view name) const noexcept {
    if (name == no_socket) return {};
    if (name == unix_socket) return std::unexpected(SysError{EAFNOSUPPORT, "a UNIX socket"});
    const auto socket = read_socket_name(name);
    if (!socket) return std::unexpected(SysError{EINVAL, "the socket's name"});
    if (socket->network && socket->network != network_of_socket(netlink_.get()))
        return std::unexpected(SysError{EXDEV, "a socket of another network namespace"});
    const auto done = ask(netlink_.get(), SOCK_DESTROY, NLM_F_ACK, request_for(*socket), "SOCK_DESTROY");
    if (!done && done.error().code == ENOENT) return {};
    return done;
}

Result<void> SocketDiagnostics::destroy_all(const SocketNames& names) const noexcept {
    if (names.empty()) return std::unexpected(SysError{EINVAL, "no record of the socket"});
    Result<void> result;
    for (std::string_view rest = names; !rest.empty();)
        if (const auto done = destroy(take_name(rest)); !done && result) result = done;
    return result;
}

LineText reason_not_to_disconnect(const SysError& error, std::uint32_t index) {
    const auto mend = [&]() -> LineText {
        switch (error.code) {
            case EPROTONOSUPPORT:
            case ETIMEDOUT:
                return LineText::of(
                    "run `modprobe tcp_diag` and `holdfast-client takeover nbd{}`, then try again", index);
            case EAFNOSUPPORT:
                return LineText::of(
                    "run `holdfast-client takeover nbd{}`, whose new link lets a fencing server end the old "
                    "one, or stop the server, then try again",
                    index);
            case EXDEV: return "try again in that namespace";
            default: return "kill the connection with `ss --kill dst SERVER`, then try again";
        }
    };
    return LineText::of(
        "its connection cannot be destroyed ({}), and requests are in flight on it; disconnecting now could "
        "block every nbd device of this machine; {}",
        error.text(), mend());
}

}  // namespace holdfast::client
