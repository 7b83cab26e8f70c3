// Reads the authfiles through the opener for the clients in the lobby that wait for them. Each client waits
// until the authfiles have been read after its arrival, so that a change in an authfile counts from the next
// connection on.
#pragma once

#include <memory>

#include "common/linux/clock.hh"
#include "common/linux/epoll.hh"
#include "server/access/log_limit.hh"
#include "server/config/access_table.hh"
#include "server/connection/lobby.hh"
#include "server/opener/opener_client.hh"

namespace holdfast::server {

class AuthfileReading {
public:
    // All arguments must outlive this object. `log` is for events caused by clients without an export.
    AuthfileReading(const Epoll& epoll, OpenerClient& opener, Lobby& lobby, LogLimit& log)
        : epoll_(epoll), opener_(opener), lobby_(lobby), log_(log) {}

    // Asks for the authfiles, if clients wait for them and the opener was not asked yet.
    void ask();
    // Handles input on a watched descriptor. False: the descriptor belongs to something else.
    [[nodiscard]] bool on_input(int fd);
    [[nodiscard]] Deadline deadline() const { return deadline_; }
    void on_time(Clock::time_point now);

private:
    void on_answer(const OpenerOutcome& answer);

    const Epoll& epoll_;
    OpenerClient& opener_;
    Lobby& lobby_;
    LogLimit& log_;
    std::shared_ptr<const AccessTable> access_;  // as read last; null before the first read
    OpenerQuestion question_;                    // while the authfiles are being read
    Admission::Ticket asked_at_ = 0;   // valid only with `question_`: the answer covers earlier clients
    Deadline deadline_ = no_deadline;  // for the answer
};

}  // namespace holdfast::server
