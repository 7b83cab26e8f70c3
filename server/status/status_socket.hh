// Answers "how are you" on a UNIX socket, in HTTP (GET, and the connection is closed after the answer), so
// that curl and a proxy for Prometheus can ask as well as `holdfast-server status` does. Served by the main
// thread's loop and never blocks it: a few clients at once, each with a small request and a few seconds for
// all of it.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "common/linux/fd.hh"
#include "server/process/identity.hh"
#include "server/status/status_report.hh"

namespace holdfast::server {

class StatusSocket {
public:
    using Clock = std::chrono::steady_clock;
    using Source = std::function<StatusReport()>;
    static constexpr std::size_t most_clients = 8;
    static constexpr std::size_t longest_request = 4096;
    static constexpr std::chrono::seconds patience{5};

    StatusSocket() = default;
    StatusSocket(const StatusSocket&) = delete;
    StatusSocket& operator=(const StatusSocket&) = delete;

    // Binds, with mode 0660, for `owner` where there is one; makes the folder where only that is missing.
    // The opener removes the socket at the end. `source` must be callable as long as this lives. Nothing is
    // opened by its path after this. The error names the path.
    [[nodiscard]] std::expected<void, std::string> open(const std::string& path,
                                                        const std::optional<Identity>& owner, Source source);
    // To be watched for reading; then turn(). -1 before open().
    [[nodiscard]] int descriptor() const { return epoll_.get(); }
    // Does what can be done without waiting.
    void turn();
    // When on_time() has something to do; Clock's last moment while there are no clients.
    [[nodiscard]] Clock::time_point deadline() const;
    // Drops who took too long.
    void on_time(Clock::time_point now);

private:
    struct Client {
        Fd socket;
        Clock::time_point deadline;
        std::string request;
        std::string answer;  // what is left to send; empty until the request is there
    };
    enum class Outcome : std::uint8_t { goes_on, done };

    void accept_all();
    [[nodiscard]] Outcome serve(Client& client);
    [[nodiscard]] static Outcome send_some(Client& client);

    Source source_;
    Fd epoll_;  // the listener's and the clients' own, so that the main loop sees one descriptor
    Fd listener_;
    std::list<Client> clients_;
};

// The answer to the head of a request: a whole HTTP response. Pure but for `source`, which is called at most
// once.
[[nodiscard]] std::string answer_to(std::string_view request, const StatusSocket::Source& source);

}  // namespace holdfast::server
