// Warns of exports whose paths cannot be opened at present. The opener looks at the paths, after the start
// and after each reload.
#pragma once

#include "common/linux/epoll.hh"
#include "server/opener/opener_client.hh"

namespace holdfast::server {

class PathWarnings {
public:
    // Both arguments must outlive this object.
    PathWarnings(const Epoll& epoll, OpenerClient& opener) : epoll_(epoll), opener_(opener) {}

    // Asks the opener; on_input() logs the answer.
    void ask();
    // Handles input on a watched descriptor. False: the descriptor belongs to something else.
    [[nodiscard]] bool on_input(int fd);

private:
    const Epoll& epoll_;
    OpenerClient& opener_;
    OpenerQuestion question_;
};

}  // namespace holdfast::server
