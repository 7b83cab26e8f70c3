// Answers status requests on a UNIX socket, in HTTP (GET; the connection is closed after the answer), so that
// curl and a proxy for Prometheus can ask as well as `holdfast-server status`. Runs in the main thread's loop
// and never blocks: a few clients at once, each with a small request and a few seconds in total.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "server/process/service_user.hh"
#include "server/status/status_report.hh"

namespace holdfast::server {

class StatusSocket {
public:
    using Source = std::function<StatusReport()>;
    static constexpr std::size_t most_clients = 8;
    static constexpr std::size_t longest_request = 4096;
    static constexpr std::chrono::seconds patience{5};

    StatusSocket() = default;
    StatusSocket(const StatusSocket&) = delete;
    StatusSocket& operator=(const StatusSocket&) = delete;

    // Binds the socket with mode 0660, for `owner` if set; creates the folder if only that is missing. The
    // opener removes the socket at the end. `source` must stay callable while this object lives. Opens
    // nothing by path afterwards. The error names the path.
    [[nodiscard]] std::expected<void, std::string> open(const std::string& path,
                                                        const std::optional<ServiceUser>& owner,
                                                        Source source);
    // Watch for reading; then call turn(). -1 before open().
    [[nodiscard]] int descriptor() const { return epoll_.get(); }
    // Does all work that needs no waiting.
    void turn();
    // Time of the next on_time(); Clock's last moment while there are no clients.
    [[nodiscard]] Deadline deadline() const;
    // Drops clients past their deadline.
    void on_time(Clock::time_point now);

private:
    struct Client {
        Fd socket;
        Deadline deadline;
        std::string request;
        std::string answer;  // rest to send; empty until the request is complete
    };
    enum class Outcome : std::uint8_t { goes_on, done };

    void accept_all();
    [[nodiscard]] Outcome serve(Client& client);
    [[nodiscard]] static Outcome send_some(Client& client);

    Source source_;
    Fd epoll_;  // contains the listener and the clients, so that the main loop watches a single descriptor
    Fd listener_;
    std::list<Client> clients_;
};

// Answers the head of a request with a whole HTTP response. Pure except for `source`, which is called at most
// once.
[[nodiscard]] std::string answer_to(std::string_view request, const StatusSocket::Source& source);

}  // namespace holdfast::server
