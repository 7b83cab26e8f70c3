// HTTP/1.0 as far as needed for GET: the first line holds the whole request, the rest of the head is read and
// ignored.

#include "server/status/status_socket.hh"

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "common/linux/result.hh"
#include "common/text/text.hh"
#include "server/listen/listener.hh"
#include "server/process/helper_process.hh"
#include "server/status/volume_list.hh"

namespace holdfast::server {
namespace {

std::string response(std::string_view status, std::string_view type, const std::string& body) {
    return fmt::format(
        "HTTP/1.0 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: "
        "close\r\n\r\n{}",
        status, type, body.size(), body);
}

}  // namespace

std::string answer_to(std::string_view request, const StatusSocket::Source& source) {
    std::string_view line = take_line(request);
    const std::string_view method = take_word(line);
    const std::string_view path = take_word(line);
    constexpr std::string_view plain = "text/plain; charset=utf-8";
    if (method != "GET") return response("405 Method Not Allowed", plain, "GET only\n");
    if (path == "/status") return response("200 OK", plain, to_text(source()));
    if (path == "/status.json") return response("200 OK", "application/json", to_json(source()));
    if (path == "/metrics")
        return response("200 OK", "text/plain; version=0.0.4; charset=utf-8", to_prometheus(source()));
    if (path == "/volumes") return response("200 OK", plain, encode_volumes(source()));
    return response("404 Not Found", plain, "/status /status.json /metrics /volumes\n");
}

std::expected<void, std::string> StatusSocket::open(const std::string& path,
                                                    const std::optional<ServiceUser>& owner, Source source) {
    constexpr std::chrono::seconds file_system_patience{10};
    const auto made = ask_helper(
        [&] {
            (void)::mkdir(path.substr(0, path.rfind('/')).c_str(), 0755);
            return OpenerAnswer();
        },
        file_system_patience);
    if (!made) return std::unexpected(fmt::format("the status: {}: {}", path, made.error()));
    InheritedSockets none;
    std::expected<std::vector<Fd>, std::string> sockets =
        listen_apart({.host = {}, .port = 0, .unix_path = path}, owner, none);
    if (!sockets) return std::unexpected("the status: " + sockets.error());
    Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    if (!epoll || ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, sockets->front().get(), &event) != 0)
        return std::unexpected("the status: " + SysError{errno, "epoll"}.message());
    source_ = std::move(source);
    epoll_ = std::move(epoll);
    listener_ = std::move(sockets->front());
    return {};
}

void StatusSocket::turn() {
    std::array<epoll_event, most_clients + 1> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
    bool called = false;
    for (int i = 0; i < count; ++i) {
        auto* const client = static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (client == nullptr) {
            called = true;
        } else if (serve(*client) == Outcome::done) {
            clients_.remove_if([&](const Client& one) { return &one == client; });
        }
    }
    if (called) accept_all();
}

// Closes excess clients at once: they can ask again, and waiting clients would keep the loop awake.
void StatusSocket::accept_all() {
    for (std::size_t i = 0; i < 2 * most_clients; ++i) {
        Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket) return;
        if (clients_.size() >= most_clients) continue;
        Client& client = clients_.emplace_back(std::move(socket), Clock::now() + patience, "", "");
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = &client;
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client.socket.get(), &event) != 0) clients_.pop_back();
    }
}

StatusSocket::Outcome StatusSocket::serve(Client& client) {
    if (!client.answer.empty()) return send_some(client);
    std::array<char, 1024> bytes;
    const ssize_t count = ::recv(client.socket.get(), bytes.data(), bytes.size(), 0);
    if (count < 0) return errno == EAGAIN || errno == EINTR ? Outcome::goes_on : Outcome::done;
    if (count == 0) return Outcome::done;
    client.request.append(bytes.data(), static_cast<std::size_t>(count));
    const bool whole = client.request.find("\r\n\r\n") != std::string::npos ||
                       client.request.find("\n\n") != std::string::npos;
    if (!whole) return client.request.size() < longest_request ? Outcome::goes_on : Outcome::done;
    client.answer = answer_to(client.request, source_);
    epoll_event event{};
    event.events = EPOLLOUT;
    event.data.ptr = &client;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.socket.get(), &event) != 0) return Outcome::done;
    return send_some(client);
}

StatusSocket::Outcome StatusSocket::send_some(Client& client) {
    const ssize_t count =
        ::send(client.socket.get(), client.answer.data(), client.answer.size(), MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EINTR ? Outcome::goes_on : Outcome::done;
    client.answer.erase(0, static_cast<std::size_t>(count));
    return client.answer.empty() ? Outcome::done : Outcome::goes_on;
}

Deadline StatusSocket::deadline() const {
    // Clients are in order of arrival, and so of deadlines.
    return clients_.empty() ? no_deadline : clients_.front().deadline;
}

void StatusSocket::on_time(Clock::time_point now) {
    clients_.remove_if([&](const Client& one) { return one.deadline <= now; });
}

}  // namespace holdfast::server
