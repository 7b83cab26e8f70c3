// One client from accept to close: handshake under a deadline, then its requests.
// The handshake is the main thread's (lobby.hh), except what may wait for a disk. Requests have a thread for
// each connection and not one loop for all, because reading and writing files blocks. A client that is silent
// for a while needs none: the connection sleeps until it has something to say.
#pragma once

#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/linux/fd.hh"
#include "common/protocol/server_handshake.hh"
#include "server/config/access_table.hh"
#include "server/connection/transmission.hh"
#include "server/export/exports.hh"

namespace holdfast::server {

class Connection final : private Fenceable {
public:
    // What the connection is given. `shared` must outlive it. `changed` is called from its thread when a call
    // of the handshake is over and when all is over.
    struct Context {
        std::shared_ptr<const Config> config;
        Shared& shared;
        std::function<void()> changed;
    };

    Connection(Fd socket, Peer peer, ListenScope scope, Context context);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    // Waits for the thread.
    ~Connection();

    // The handshake, from the main thread, which never waits in these. begin() comes first; false: there is
    // no export that this client may have, which it has logged.
    [[nodiscard]] bool begin(Verdicts verdicts);
    enum class Turn : std::uint8_t {
        reads,   // when the socket is readable, again
        writes,  // when the socket is writable, again
        calls,   // start_call(), and then phase()
        serves,  // start_serving(), and then it is not the handshake's any more
        leaves,  // the socket is to be closed when the client has what was sent
        over,    // end()
    };
    // Does what can be done without waiting.
    [[nodiscard]] Turn turn();
    // Gives meaning to `calls`: the export that is asked for.
    [[nodiscard]] std::string called_export() const;
    // Starts a thread that carries out what may wait. Logs why it cannot.
    [[nodiscard]] bool start_call();
    // Starts the thread that serves requests. Logs why it cannot.
    [[nodiscard]] bool start_serving();
    enum class Phase : std::uint8_t {
        handshake,
        calling,  // a thread works for the handshake
        back,     // it has ended; sleep(), and then turn() again
        served,   // the thread goes on with requests, or has come to the end
        leaving,  // the handshake has come to nothing, and a thread lets the disk go
    };
    [[nodiscard]] Phase phase() const noexcept { return phase_; }
    // The handshake has come to nothing: ended() from here on, or as soon as a thread has let a disk go that
    // it claimed. Not while a thread works for it.
    void end();
    // There was no thread to be had for that. Call end() again later.
    [[nodiscard]] bool waits_for_thread() const noexcept { return phase_ == Phase::leaving && !started_; }
    void log_handshake_end(const std::string& why) const;
    void log_timeout() const;
    void log_pushed_out() const;

    // Starts the thread of a sleeping connection that has something to do.
    [[nodiscard]] Result<void> start();
    // The client has had nothing to say for a while, and the thread has ended or is about to. Before
    // anything else, the main thread calls sleep(), and then start() as soon as the socket is readable;
    // stop(), abandon() and a fence make it so, too.
    [[nodiscard]] bool is_dormant() const noexcept { return dormant_; }
    void sleep() noexcept;
    [[nodiscard]] int socket() const noexcept { return socket_.get(); }
    // From the main thread: what was taken up is finished and answered, nothing more is taken up.
    void stop() noexcept;
    // From the main thread: also whoever waits for the peer gives up. What is with the disk goes on.
    void abandon() noexcept;
    // It is giving its client replies, and the client has not taken all of them yet.
    [[nodiscard]] bool is_sending() const noexcept { return sending_; }
    // The thread has nothing more to do, and the destructor will not wait.
    [[nodiscard]] bool ended() const noexcept { return ended_; }
    [[nodiscard]] const Peer& peer() const noexcept { return peer_; }

private:
    // From the thread of the connection that takes its place, or would.
    void fence() noexcept override;
    [[nodiscard]] PeerState look_for_peer(std::chrono::steady_clock::time_point since) noexcept override;
    void look_no_more() noexcept override;

    static void* thread_main(void* self);
    void run();
    // False: the handshake goes on in the main thread.
    [[nodiscard]] bool carry_out_call();
    // Sends as much of the handshake's output as the client takes at once.
    enum class Sent : std::uint8_t { everything, in_part, link_lost };
    [[nodiscard]] Sent send_output();
    [[nodiscard]] Turn leave_quietly() const;
    [[nodiscard]] bool start_thread_for(Phase phase);
    void begin_transmission();
    void finish();
    void say_goodbye() noexcept;
    // A fence stays one.
    void give_order_to_stop() noexcept;

    // The number is closed by the destructor: other threads may use it until then. The socket may be closed
    // before, by the farewell.
    Fd socket_;
    Peer peer_;
    ListenScope scope_;
    Context context_;
    pthread_t thread_{};
    bool started_ = false;
    Deadline deadline_{};  // of the handshake
    std::atomic<Phase> phase_ = Phase::handshake;
    std::atomic<Order> order_ = Order::serve;
    std::atomic<bool> sending_ = false;
    std::atomic<bool> dormant_ = false;
    std::atomic<bool> ended_ = false;
    std::atomic<bool> looked_for_ = false;  // its peer is asked often whether it is there
    // These are the thread's, whichever it is by now:
    std::optional<ClientExports> exports_;
    std::unique_ptr<nbd::ServerHandshake> handshake_;  // until transmission
    nbd::Offer offer_;
    std::string label_;
    std::unique_ptr<Transmission> transmission_;  // from the end of the handshake on
};

}  // namespace holdfast::server
