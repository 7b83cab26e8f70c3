// The handshakes, as far as they wait for clients: in the main thread's loop, so that a client that says
// nothing costs no thread. A request for an export, which may wait for a disk, gets a thread for as long as
// it takes, and one export has a bounded number of these: the others wait for their turns without a thread.
// A thread never waits for its client to read.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/linux/fd.hh"
#include "server/access/admission.hh"
#include "server/config/access_table.hh"
#include "server/connection/connection.hh"

namespace holdfast::server {

class Lobby {
public:
    using Clock = std::chrono::steady_clock;
    // How many threads may work for handshakes of one export at once.
    static constexpr std::size_t most_calls_for_one = 32;

    // The error: no descriptor for it.
    [[nodiscard]] Result<void> open();
    // To be watched for reading; then turn().
    [[nodiscard]] int descriptor() const { return epoll_.get(); }

    // These never wait. A connection that comes to its end has ended() afterwards, and is not known here.
    // `connection` must live until then, or until it is served.
    void enter(Connection& connection, bool known, bool judged, Clock::time_point deadline);
    // Those that came before `ticket` and wait for it are told what they may have.
    void judge(Admission::Ticket ticket, const std::function<Verdicts(const Address&)>& verdicts);
    void turn();
    // After a thread has said that something has changed.
    void take_back();
    void on_time(Clock::time_point now);
    [[nodiscard]] Clock::time_point deadline() const;
    // Room for one more is made, if need be. False: there is none at the moment.
    [[nodiscard]] bool make_room(Clock::time_point now, bool even_so = false);
    // Those that no thread works for.
    void end_all();

    // Whether a connection's handshake is still kept here, though its thread may have ended by now.
    [[nodiscard]] bool has(const Connection& connection) const {
        return guests_.contains(connection.socket());
    }
    // Whether a connection has come to its end since the last call.
    [[nodiscard]] bool take_ended() { return std::exchange(ended_, false); }
    [[nodiscard]] const Admission& admission() const { return admission_; }
    [[nodiscard]] std::size_t unjudged() const { return unjudged_; }

private:
    enum class State : std::uint8_t { unjudged, talking, queued, calling, leaving };
    struct Guest {
        Connection* connection;
        Admission::Ticket ticket;
        Clock::time_point deadline;
        State state = State::talking;
        std::uint32_t events = 0;  // that are watched for; 0: none
        std::string called{};      // gives meaning to `queued` and `calling`: the export
    };
    using Guests = std::map<int, Guest>;  // by their sockets
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
    // The connection has come to its end, or is not this class's any more.
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
