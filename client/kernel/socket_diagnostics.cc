// The kernel answers ENOENT for a socket that it does not find, and also if it cannot load the module for the
// lookup. A dump with no states distinguishes the two: the dump examines no socket, and fails only if the
// module is missing. The cookie in a name protects a later connection with the same addresses.

#include "client/kernel/socket_diagnostics.hh"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "common/linux/clock.hh"

namespace holdfast::client {
namespace {

constexpr const char* diagnostics = "socket diagnostics";

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

unix_diag_req request_for(const NamedUnixSocket& socket) {
    unix_diag_req request{};
    request.sdiag_family = AF_UNIX;
    request.udiag_states = ~0U;
    request.udiag_ino = socket.inode;
    request.udiag_cookie[0] = static_cast<__u32>(socket.cookie);
    request.udiag_cookie[1] = static_cast<__u32>(socket.cookie >> 32);
    return request;
}

// Sends a request with the given body. The kernel executes it within send(), so the answer is available when
// send() returns. A kernel error is the result.
Result<void> ask_with(int netlink, std::uint16_t type, std::uint16_t flags,
                      std::span<const std::uint8_t> body, const char* call) noexcept {
    struct {
        nlmsghdr head;
        std::array<std::uint8_t, sizeof(inet_diag_req_v2)> body;
    } request{};
    request.head.nlmsg_len = static_cast<__u32>(sizeof request.head + body.size());
    request.head.nlmsg_type = type;
    request.head.nlmsg_flags = static_cast<__u16>(NLM_F_REQUEST | flags);
    std::ranges::copy(body, request.body.begin());
    while (::send(netlink, &request, request.head.nlmsg_len, 0) < 0)
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

template <typename Body>
Result<void> ask(int netlink, std::uint16_t type, std::uint16_t flags, const Body& body,
                 const char* call) noexcept {
    static_assert(sizeof body <= sizeof(inet_diag_req_v2));
    return ask_with(netlink, type, flags, {reinterpret_cast<const std::uint8_t*>(&body), sizeof body}, call);
}

// Answer of the child to one question: an errno value, 0 for support.
using Answer = int;

bool has_complete_unix_name(const SocketNames& names) noexcept {
    for (std::string_view rest = names; !rest.empty();)
        if (read_unix_socket_name(take_name(rest))) return true;
    return false;
}

// TCP first: a module for UNIX sockets that does not come in time must not cost the answer about TCP. Uses a
// netlink socket of its own: a late answer must not reach the parent's.
[[noreturn]] void ask_in_child(int pipe, const DiagnosticsQuestions& questions, bool wants_unix) noexcept {
    // Closes descriptors, so that a hanging child holds no lock and no pipe of this process.
    ::dup2(pipe, STDOUT_FILENO);
    ::close_range(STDERR_FILENO, ~0U, 0);
    const int netlink = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    const auto pass_on = [](const Result<void>& there) {
        const Answer answer = there ? 0 : there.error().code;
        return ::write(STDOUT_FILENO, &answer, sizeof answer) == sizeof answer && answer == 0;
    };
    if (pass_on(questions.tcp(netlink)) && wants_unix) pass_on(questions.unix_sockets(netlink));
    ::_exit(0);
}

// Waits for the child's next answer; empty without an answer in time.
std::optional<Answer> next_answer(int pipe, Clock::time_point end) noexcept {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd entry{pipe, POLLIN, 0};
    Answer answer = 0;
    if (::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left, 0))) <= 0) return std::nullopt;
    return ::read(pipe, &answer, sizeof answer) == sizeof answer ? std::optional(answer) : std::nullopt;
}

}  // namespace

Result<void> ask_for_inet_sockets(int netlink, int protocol) noexcept {
    inet_diag_req_v2 nothing{};
    nothing.sdiag_family = AF_INET;
    nothing.sdiag_protocol = static_cast<__u8>(protocol);
    return ask(netlink, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, nothing, diagnostics);
}

Result<void> ask_for_tcp_sockets(int netlink) noexcept { return ask_for_inet_sockets(netlink, IPPROTO_TCP); }

Result<void> ask_for_unix_sockets(int netlink) noexcept {
    unix_diag_req nothing{};
    nothing.sdiag_family = AF_UNIX;
    return ask(netlink, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, nothing, diagnostics);
}

// This process asks only for sockets that the child has found to be supported: any other question may wait
// for a disk.
Result<SocketDiagnostics> SocketDiagnostics::open(std::chrono::milliseconds patience,
                                                  const SocketNames& names,
                                                  const DiagnosticsQuestions& questions) {
    const auto end = Clock::now() + patience;
    Fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    std::array<int, 2> ends{};
    if (!netlink) return sys_error(diagnostics);
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return sys_error("pipe");
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const bool wants_unix = has_complete_unix_name(names);
    const pid_t child = ::fork();
    if (child == 0) ask_in_child(writing.get(), questions, wants_unix);
    if (child < 0) return sys_error("fork");
    writing.reset();
    const std::optional<Answer> tcp = next_answer(reading.get(), end);
    const bool goes_on = tcp == 0 && wants_unix;
    const std::optional<Answer> unix_sockets = goes_on ? next_answer(reading.get(), end) : std::nullopt;
    const bool done = goes_on ? unix_sockets.has_value() : tcp.has_value();
    // Leaves the child behind if the child is in uninterruptible sleep.
    if (!done) ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, done ? 0 : WNOHANG);
    if (tcp == 0) return SocketDiagnostics(std::move(netlink), unix_sockets == 0);
    const Answer code = tcp.value_or(ETIMEDOUT);
    return std::unexpected(SysError{code == ENOENT ? EPROTONOSUPPORT : code, "socket diagnostics of TCP"});
}

Result<void> SocketDiagnostics::destroy(std::string_view name) const noexcept {
    if (name == no_socket) return {};
    if (names_unix_socket(name)) return std::unexpected(SysError{EAFNOSUPPORT, "a UNIX socket"});
    const auto socket = read_socket_name(name);
    if (!socket) return std::unexpected(SysError{EINVAL, "the socket's name"});
    if (socket->network && socket->network != network_of_socket(netlink_.get()))
        return std::unexpected(SysError{EXDEV, "a socket of another network namespace"});
    const auto done = ask(netlink_.get(), SOCK_DESTROY, NLM_F_ACK, request_for(*socket), "SOCK_DESTROY");
    if (!done && done.error().code == ENOENT) return {};
    return done;
}

bool SocketDiagnostics::has_vanished(std::string_view name) const noexcept {
    const auto tcp = read_socket_name(name);
    const auto local = read_unix_socket_name(name);
    const auto network = local ? local->network : tcp ? tcp->network.value_or(0) : 0;
    if ((local && !finds_unix_) || network == 0 || network_of_socket(netlink_.get()) != network) return false;
    const auto found = local ? ask(netlink_.get(), SOCK_DIAG_BY_FAMILY, 0, request_for(*local), diagnostics)
                             : ask(netlink_.get(), SOCK_DIAG_BY_FAMILY, 0, request_for(*tcp), diagnostics);
    // ESTALE: the socket found is a later one.
    return !found && (found.error().code == ENOENT || found.error().code == ESTALE);
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
        "its connection cannot be destroyed ({}), and requests are in flight on it (or not counted: "
        "queue/iostats is 0); disconnecting now could "
        "block every nbd device of this machine; {}",
        error.text(), mend());
}

}  // namespace holdfast::client
