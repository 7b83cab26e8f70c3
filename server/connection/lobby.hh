// Handshakes in the main thread's event loop, so that a silent client costs no thread. A request for an
// export may wait for a disk, so a thread runs it. The number of these threads per export is bounded: further
// requests are queued without a thread. No thread ever waits for its client to read.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "server/access/admission.hh"
#include "server/config/access_table.hh"
#include "server/connection/connection.hh"

namespace holdfast::server {

class Lobby {
public:
    // Maximum number of threads that run handshakes of the same export.
    static constexpr std::size_t most_calls_for_one = 32;

    // Fails if no descriptor is available.
    [[nodiscard]] Result<void> open();
    // Descriptor to poll for reading; when readable, call turn().
    [[nodiscard]] int descriptor() const { return epoll_.get(); }

    // None of these functions waits. A connection whose handshake failed has ended() or is ending afterwards,
    // and is no longer known here. `connection` must live until then, or until it is served.
    void enter(Connection& connection, bool known, bool judged, Deadline deadline);
    // Delivers access verdicts to the unjudged connections with tickets before `ticket`.
    void judge(Admission::Ticket ticket, const std::function<Verdicts(const Address&)>& verdicts);
    void turn();
    // Call after a thread has reported a change.
    void take_back();
    void on_time(Clock::time_point now);
    [[nodiscard]] Deadline deadline() const;
    // Makes room for another connection if needed. False: there is no room at the moment.
    [[nodiscard]] bool make_room(Clock::time_point now, bool even_so = false);
    // Ends all handshakes for which no thread works.
    void end_all();

    // Whether a connection's handshake is still kept here; its thread may already have ended.
    [[nodiscard]] bool has(const Connection& connection) const {
        return guests_.contains(connection.socket());
    }
    // Whether a handshake has been ended since the last call.
    [[nodiscard]] bool take_ended() { return std::exchange(ended_, false); }
    [[nodiscard]] const Admission& admission() const { return admission_; }
    [[nodiscard]] std::size_t unjudged() const { return unjudged_; }

private:
    enum class State : std::uint8_t { unjudged, talking, queued, calling, leaving };
    struct Guest {
        Connection* connection;
        Admission::Ticket ticket;
        Deadline deadline;
        State state = State::talking;
        std::uint32_t events = 0;  // polled events; 0: none
        std::string called{};      // the export; valid only if `queued` or `calling`
    };
    using Guests = std::map<int, Guest>;  // by socket
    struct Calls {
        std::size_t running = 0;
        std::deque<int> queued;
    };

    void step(Guests::iterator guest);
    void serve(Guests::iterator guest);
    void watch(Guest& guest, std::uint32_t events);
    void call(Guests::iterator guest);
    void start_call(Guests::iterator guest);
    void call_over(const std::string& name);
    void begin_leaving(Guests::iterator guest);
    void drain(Guests::iterator guest);
    // Remove a guest from the lobby: end() also ends the connection.
    Guests::iterator end(Guests::iterator guest);
    Guests::iterator forget(Guests::iterator guest);

    Fd epoll_;
    Admission admission_;
    Guests guests_;
    std::map<std::string, Calls, std::less<>> calls_;
    std::size_t unjudged_ = 0;
    bool ended_ = false;
};

}  // namespace holdfast::server
