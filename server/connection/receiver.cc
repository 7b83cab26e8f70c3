// At most one kind of wait for each receive.

#include "server/connection/receiver.hh"

#include <cerrno>

namespace holdfast::server {

Receiver::Reception Receiver::receive(Next next, std::span<std::uint8_t> ahead, bool may_wait) {
    if (just_taken_ > 1) busy_poll_.several();
    // Before the busy poll: a low-water mark that is still set would hide received data from the poll.
    const bool waits = may_wait && !wait_for_several(next);
    const bool single = waits && just_taken_ == 1 && next == Next::request && input_.bytes().empty();
    just_taken_ = 0;
    std::size_t into_ahead = 0;
    const std::size_t most = most_for(next);
    switch (single ? receive_single(most) : input_.receive(ahead, most, waits, into_ahead)) {
        case Received::complete: return {Outcome::data, into_ahead, 0};
        case Received::timed_out: return {waits ? Outcome::silent : Outcome::nothing, 0, 0};
        case Received::closed: return {Outcome::closed, 0, 0};
        case Received::failed: break;
    }
    return {Outcome::failed, 0, errno};
}

bool Receiver::wait_for_several(Next next) {
    coalescing_.took(just_taken_);
    if (small_ && next == Next::request) return coalescing_.wait(sizeof(nbd::WireRequest));
    coalescing_.off();
    return false;
}

Received Receiver::receive_single(std::size_t most) {
    std::size_t into_ahead = 0;  // always: no payload is expected
    Received got = Received::timed_out;
    busy_poll_.begin();
    while (got == Received::timed_out && busy_poll_.looks())
        got = input_.receive({}, most, false, into_ahead);
    if (got == Received::timed_out) got = input_.receive({}, most, true, into_ahead);
    const int error = errno;
    busy_poll_.end();
    errno = error;
    return got;
}

}  // namespace holdfast::server
