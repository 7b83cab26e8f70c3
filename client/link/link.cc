// Sets the socket's options before connecting, so that a silent peer is detected from the start.

#include "client/link/link.hh"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "common/linux/result.hh"
#include "common/text/printable.hh"
#include "common/text/utf8.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

// Maximum number of sends and receives in an advance().
constexpr int most_steps = 256;

void set_option(int socket, int level, int option, int value) {
    // Ignores a refusal: the socket carries data without the option, and there is no remedy.
    [[maybe_unused]] const int result = ::setsockopt(socket, level, option, &value, sizeof value);
}

// A silent dead peer causes no event: on an idle link, keepalive detects the silence, within a second less
// than `dead_after`. Under load, the daemon checks for unacknowledged data. TCP_USER_TIMEOUT is not used:
// that option also ends a connection whose peer acknowledges but keeps its window closed (tcp_probe_timer),
// that is, a server that is merely slow.
void prepare_tcp(int socket, std::chrono::seconds dead_after) {
    const int whole = std::max(static_cast<int>(dead_after.count()) - 1, 2);
    const int idle = std::max(whole / 3, 1);
    const int interval = std::max((whole - idle) / 3, 1);
    set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, idle);
    set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, interval);
    set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, std::max((whole - idle) / interval, 1));
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
}

LineText failure_of(const char* call, int code) { return SysError{code, call}.text(); }

// Returns a server's text with hidden characters escaped as \xNN.
LineText printable_words(std::string_view words) {
    LineText text;
    while (!words.empty()) {
        const std::size_t length = utf8_length(words);
        const std::string_view sequence = words.substr(0, length == 0 ? 1 : length);
        if (length != 0 && !is_hidden(words, length))
            text.append(sequence);
        else
            for (const char byte : sequence)
                text.add("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
        words.remove_prefix(sequence.size());
    }
    return text;
}

// Connects relative to a folder. connect(2) supports only the working directory, which a single-threaded
// process has for itself.
int connect_in(const KeptFolder& kept, int socket, const sockaddr_un& address) noexcept {
    if (::fchdir(kept.folder.get()) != 0) return -1;
    const int result = ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int code = errno;
    [[maybe_unused]] const int back = ::fchdir(kept.working_folder.get());
    errno = code;
    return result;
}

int connect_to(const Endpoint& endpoint, int socket) noexcept {
    const auto* const address = reinterpret_cast<const sockaddr*>(&endpoint.address);
    if (endpoint.folder == nullptr) return ::connect(socket, address, endpoint.length);
    sockaddr_un named{};
    std::memcpy(&named, &endpoint.address, sizeof named);
    sockaddr_un in_folder{};
    in_folder.sun_family = AF_UNIX;
    const char* const name = std::strrchr(named.sun_path, '/') + 1;
    std::memcpy(in_folder.sun_path, name, std::strlen(name) + 1);
    if (connect_in(*endpoint.folder, socket, in_folder) == 0) return 0;
    // Tries the path, because the folder may have been recreated, like a service's in /run.
    if (errno != ENOENT || endpoint.folder->instead_of_path) return -1;
    return ::connect(socket, address, endpoint.length);
}

std::string endpoint_text(const sockaddr* address, socklen_t length, std::uint16_t port) {
    std::array<char, NI_MAXHOST> host;
    if (::getnameinfo(address, length, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) return "?";
    return address->sa_family == AF_INET6 ? fmt::format("[{}]:{}", host.data(), port)
                                          : fmt::format("{}:{}", host.data(), port);
}

Endpoint unix_endpoint(const std::string& path) {
    Endpoint endpoint;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    std::memcpy(&endpoint.address, &address, sizeof address);
    endpoint.length = sizeof address;
    endpoint.text = "unix:" + path;
    return endpoint;
}

}  // namespace

void keep_folder(Endpoint& endpoint, bool instead_of_path) {
    if (endpoint.address.ss_family != AF_UNIX) return;
    sockaddr_un address{};
    std::memcpy(&address, &endpoint.address, sizeof address);
    const std::string_view path(address.sun_path);
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return;
    const std::string folder(path.substr(0, std::max<std::size_t>(slash, 1)));
    const auto open_folder = [](const char* name) {
        return Fd(::open(name, O_PATH | O_DIRECTORY | O_CLOEXEC));
    };
    KeptFolder kept{open_folder(folder.c_str()), open_folder("/dev"), instead_of_path};
    if (kept.folder && kept.working_folder)
        endpoint.folder = std::make_shared<const KeptFolder>(std::move(kept));
}

LinkAttempt::LinkAttempt(const Endpoint& endpoint, const nbd::ClientHandshake& handshake,
                         std::chrono::seconds dead_after)
    : handshake_(handshake) {
    const int family = endpoint.address.ss_family;
    socket_.reset(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_) {
        fail(LinkFault::unreachable, failure_of("socket", errno));
        return;
    }
    if (family != AF_UNIX) prepare_tcp(socket_.get(), dead_after);
    if (connect_to(endpoint, socket_.get()) == 0) {
        connecting_ = false;
        advance();
        return;
    }
    if (errno == EINPROGRESS || errno == EINTR) return;
    fail(LinkFault::unreachable, failure_of("connect", errno));
}

short LinkAttempt::events() const noexcept {
    return connecting_ || !handshake_.output().empty() ? POLLOUT : POLLIN;
}

void LinkAttempt::fail(LinkFault fault, const LineText& text) {
    state_ = State::failed;
    error_ = {fault, text, !connecting_};
    socket_.reset();
}

void LinkAttempt::expire() {
    if (state_ != State::running) return;
    fail(LinkFault::unreachable,
         connecting_ ? "the connection attempt timed out" : "connected, but the handshake timed out");
}

void LinkAttempt::finish_connect() {
    // Checks poll() first: SO_ERROR is also 0 while the connection is being established.
    pollfd entry{socket_.get(), POLLOUT, 0};
    if (::poll(&entry, 1, 0) == 0) return;
    int code = 0;
    socklen_t length = sizeof code;
    if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &code, &length) != 0) code = errno;
    if (code != 0) return fail(LinkFault::unreachable, failure_of("connect", code));
    connecting_ = false;
}

// Both return true if the other direction may have work, false if there is nothing more to do now.
bool LinkAttempt::send_some() {
    const auto bytes = handshake_.output();
    const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count >= 0) {
        handshake_.sent(static_cast<std::size_t>(count));
        return true;
    }
    if (errno == EINTR) return true;
    if (errno != EAGAIN) fail(LinkFault::unreachable, failure_of("send", errno));
    return false;
}

bool LinkAttempt::receive_some() {
    std::array<std::uint8_t, 4096> buffer;
    const std::size_t wanted = std::min(handshake_.wanted(), buffer.size());
    if (wanted == 0) {
        fail(LinkFault::unusable, "the handshake waits for nothing");
        return false;
    }
    const ssize_t count = ::recv(socket_.get(), buffer.data(), wanted, 0);
    if (count > 0) {
        handshake_.receive({buffer.data(), static_cast<std::size_t>(count)});
        return true;
    }
    if (count == 0)
        fail(LinkFault::unreachable, "the server closed the connection during the handshake");
    else if (errno == EINTR)
        return true;
    else if (errno != EAGAIN)
        fail(LinkFault::unreachable, failure_of("receive", errno));
    return false;
}

void LinkAttempt::take_verdict() {
    using Handshake = nbd::ClientHandshake;
    switch (handshake_.state()) {
        case Handshake::State::running: break;
        case Handshake::State::done: state_ = State::done; break;
        case Handshake::State::refused: {
            const LineText words = printable_words(handshake_.text());
            fail(LinkFault::refused,
                 LineText::of("refused: {}{}{}{}", nbd::describe(handshake_.refusal()),
                              words.empty() ? "" : " (", words, words.empty() ? "" : ")"));
            break;
        }
        case Handshake::State::failed: fail(LinkFault::unusable, printable_words(handshake_.text())); break;
    }
}

void LinkAttempt::advance() {
    if (state_ != State::running) return;
    if (connecting_) {
        finish_connect();
        if (connecting_ || state_ != State::running) return;
    }
    for (int steps = 0; state_ == State::running && steps < most_steps; ++steps) {
        const bool more = handshake_.output().empty() ? receive_some() : send_some();
        if (state_ != State::running) return;
        take_verdict();
        if (!more) return;
    }
}

Link LinkAttempt::take_link() {
    // Sends the ABORT after info and list if possible; its loss is harmless.
    while (!handshake_.output().empty() && send_some()) continue;
    Link link{std::move(socket_), handshake_.offer(), handshake_.block_sizes_given(), std::nullopt};
    if (const auto answer = handshake_.session()) {
        const std::uint32_t flags = handshake_.host().value_or(nbd::HostAnswer{}).flags;
        link.session = SessionFacts{answer->boot_identity, printable_words(answer->export_identity).view(),
                                    (flags & nbd::host_fenced) != 0, (flags & nbd::writes_stable) != 0};
    }
    return link;
}

void expect_answers(int socket, std::chrono::seconds dead_after) noexcept {
    int domain = AF_UNIX;
    socklen_t length = sizeof domain;
    if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain != AF_UNIX)
        prepare_tcp(socket, dead_after);
}

std::expected<std::vector<Endpoint>, LinkError> resolve(const ServerAddress& server) {
    if (server.kind == ServerAddress::Kind::unix_socket)
        return std::vector{unix_endpoint(server.socket_path)};
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    const std::string port = std::to_string(server.port);
    addrinfo* found = nullptr;
    // Tries the host as an address first, which needs none of the C library's name service modules: an
    // initramfs may lack them.
    int code = ::getaddrinfo(server.host.c_str(), port.c_str(), &hints, &found);
    if (code == EAI_NONAME) {
        hints.ai_flags = AI_NUMERICSERV;
        code = ::getaddrinfo(server.host.c_str(), port.c_str(), &hints, &found);
    }
    if (code != 0)
        return std::unexpected(LinkError{
            LinkFault::unreachable,
            LineText::of(
                "the host name {} cannot be resolved ({}); use the server's address, or configure a resolver",
                printable(server.host), code == EAI_SYSTEM ? ::strerror(errno) : ::gai_strerror(code))});
    std::vector<Endpoint> endpoints;
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
        Endpoint endpoint;
        std::memcpy(&endpoint.address, entry->ai_addr, entry->ai_addrlen);
        endpoint.length = entry->ai_addrlen;
        endpoint.text = endpoint_text(entry->ai_addr, entry->ai_addrlen, server.port);
        endpoints.push_back(std::move(endpoint));
    }
    ::freeaddrinfo(found);
    return endpoints;
}

std::expected<Link, LinkError> make_link(const Endpoint& endpoint, const nbd::ClientHandshake& handshake,
                                         std::chrono::seconds dead_after,
                                         std::chrono::milliseconds patience) {
    const auto start = Clock::now();
    LinkAttempt attempt(endpoint, handshake, dead_after);
    while (attempt.state() == LinkAttempt::State::running) {
        const auto end =
            start + (attempt.connecting() ? std::min<milliseconds>(connect_patience, patience) : patience);
        const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
        pollfd entry{attempt.descriptor(), attempt.events(), 0};
        if (left <= 0)
            attempt.expire();
        else if (::poll(&entry, 1, static_cast<int>(left)) > 0)
            attempt.advance();
    }
    if (attempt.state() == LinkAttempt::State::failed) return std::unexpected(attempt.error());
    return attempt.take_link();
}

}  // namespace holdfast::client
