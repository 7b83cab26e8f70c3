// Warns of exports whose paths cannot be opened at present. The opener looks at the paths, after the start
// and after each reload, and again when a block device has appeared or is gone: then only changes are logged.
#pragma once

#include <set>
#include <string>

#include "common/linux/epoll.hh"
#include "server/opener/opener_client.hh"

namespace holdfast::server {

class PathWarnings {
public:
    // Both arguments must outlive this object.
    PathWarnings(const Epoll& epoll, OpenerClient& opener) : epoll_(epoll), opener_(opener) {}

    // Asks the opener; on_input() logs the answer.
    void ask();
    // Same, but logs only what has changed since the last answer.
    void ask_for_changes();
    // Handles input on a watched descriptor. False: the descriptor belongs to something else.
    [[nodiscard]] bool on_input(int fd);

private:
    void log_changes(const std::set<std::string>& now) const;

    const Epoll& epoll_;
    OpenerClient& opener_;
    OpenerQuestion question_;
    bool all_ = true;              // log every warning of the answer
    std::set<std::string> known_;  // warnings of the last answer
};

}  // namespace holdfast::server
