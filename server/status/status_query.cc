// Sends a request and reads the answer, with a time limit for both.

#include "server/status/status_query.hh"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cstdio>
#include <cstring>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::server {
namespace {

// A live server answers in milliseconds.
constexpr timeval patience{.tv_sec = 10, .tv_usec = 0};

std::unexpected<std::string> failed(const char* call) {
    return std::unexpected(SysError{errno, call}.message());
}

std::expected<Fd, std::string> connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return std::unexpected(std::string("the path is too long"));
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) return failed("socket");
    for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
        (void)::setsockopt(socket.get(), SOL_SOCKET, option, &patience, sizeof patience);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return socket;
    const SysError error{errno, "connect"};
    // If the folder's SELinux type or mode denies access, the error is another.
    if (error.code != ENOENT && error.code != ECONNREFUSED) return std::unexpected(error.message());
    return std::unexpected(error.message() +
                           "; no server is running, or its statussocket is another one (set --socket) or "
                           "none, as for a server with --export only");
}

std::expected<std::string, std::string> receive_all(int socket) {
    std::string answer;
    std::array<char, 65536> bytes;
    for (;;) {
        const ssize_t count = ::recv(socket, bytes.data(), bytes.size(), 0);
        if (count < 0) return failed("recv");
        if (count == 0) return answer;
        answer.append(bytes.data(), static_cast<std::size_t>(count));
    }
}

}  // namespace

std::expected<std::string, std::string> ask_server(const std::string& path, std::string_view what) {
    const std::expected<Fd, std::string> socket = connect_to(path);
    if (!socket) return std::unexpected(socket.error());
    const std::string request = fmt::format("GET {} HTTP/1.0\r\n\r\n", what);
    if (::send(socket->get(), request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size()))
        return failed("send");
    const std::expected<std::string, std::string> answer = receive_all(socket->get());
    if (!answer) return answer;
    const std::size_t head = answer->find("\r\n\r\n");
    if (!answer->starts_with("HTTP/1.0 200 ") || head == std::string::npos)
        return std::unexpected(
            answer->starts_with("NBDMAGIC")
                ? std::string("NBD clients connect to this socket; name the statussocket of "
                              "the configuration")
            : answer->empty() ? std::string("too many status clients; try again")
                              : "the server replied " + answer->substr(0, answer->find('\r')));
    return answer->substr(head + 4);
}

int usage_error(std::string_view command, std::string_view text) {
    std::fputs(fmt::format("holdfast-server {}: {}\nTry --help.\n", command, text).c_str(), stderr);
    return bad_usage;
}

}  // namespace holdfast::server
