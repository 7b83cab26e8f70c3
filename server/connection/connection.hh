// Client connection from accept to close: handshake with a deadline, then requests.
// The main thread runs the handshake (lobby.hh), except for steps that may wait for a disk. Requests run in a
// thread per connection instead of a common event loop, because reading and writing files blocks. The thread
// of a silent client ends after a while; the connection then sleeps until its socket is readable.
#pragma once

#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/protocol/server_handshake.hh"
#include "server/config/access_table.hh"
#include "server/connection/transmission.hh"
#include "server/export/client_exports.hh"

namespace holdfast::server {

class Connection final : private Fenceable {
public:
    // Environment of the connection. `shared` must outlive the connection. The connection's thread calls
    // `changed` when a call of the handshake has ended, and when the connection has ended.
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

    // Handshake, called from the main thread; none of these functions waits. begin() comes first and returns
    // false if this client may use no export, which it has logged.
    [[nodiscard]] bool begin(Verdicts verdicts);
    enum class Turn : std::uint8_t {
        reads,   // call again when the socket is readable
        writes,  // call again when the socket is writable
        calls,   // call start_call(), then check phase()
        serves,  // call start_serving(); the handshake is over
        leaves,  // close the socket when the client has received the output
        over,    // call end()
    };
    // Advances the handshake as far as possible without waiting.
    [[nodiscard]] Turn turn();
    // The requested export. Valid only after turn() returned `calls`.
    [[nodiscard]] std::string called_export();
    // Starts a thread for the step that may wait. Logs an error.
    [[nodiscard]] bool start_call();
    // Starts the thread that serves requests. Logs an error.
    [[nodiscard]] bool start_serving();
    enum class Phase : std::uint8_t {
        handshake,
        calling,  // a thread works for the handshake
        back,     // thread has ended; call sleep(), then turn() again
        served,   // the thread serves requests, or has ended
        leaving,  // the handshake failed; a thread releases the disk
    };
    [[nodiscard]] Phase phase() const noexcept { return phase_; }
    // Ends a failed handshake: ended() from here on, or as soon as a thread has released a claimed disk. Not
    // while a thread works for the handshake.
    void end();
    // end() could not start a thread. Call end() again later.
    [[nodiscard]] bool waits_for_thread() const noexcept { return phase_ == Phase::leaving && !started_; }
    // For a handshake whose thread has ended: the new deadline if the client has handed in part of its boot
    // files meanwhile.
    [[nodiscard]] std::optional<Deadline> take_progress();
    void log_handshake_end(const std::string& why) const;
    void log_timeout() const;
    void log_pushed_out() const;

    // Starts the thread of a sleeping connection whose socket is readable.
    [[nodiscard]] Result<void> start();
    // The client has been silent for a while, and the thread has ended or is about to. The main thread must
    // first call sleep(), and start() as soon as the socket is readable; stop(), abandon() and a fence make
    // the socket readable, too.
    [[nodiscard]] bool is_dormant() const noexcept { return dormant_; }
    void sleep() noexcept;
    [[nodiscard]] int socket() const noexcept { return socket_.get(); }
    // From the main thread: finishes and answers the started requests, and starts no new request.
    void stop() noexcept;
    // Use of the disk by a client that sends requests; constant.
    struct Served {
        std::string export_name;
        DisksInUse::Use disk;
        std::uint64_t size = 0;  // as offered to the client
        bool in_session = false;
        std::string own_session{};  // word of the session whose volume it is; see ExportConfig::by_session()
    };
    // Callable from the main thread. nullptr before the first request.
    [[nodiscard]] const Served* served() const noexcept { return is_served_ ? &served_ : nullptr; }
    // From the main thread: like stop(), and also stops waiting for the peer. Disk operations in progress
    // continue.
    void abandon() noexcept;
    // Replies are being sent, and the client has not received all of them yet.
    [[nodiscard]] bool is_sending() const noexcept { return sending_; }
    // The thread is finished, so the destructor does not wait.
    [[nodiscard]] bool ended() const noexcept { return ended_; }
    [[nodiscard]] const Peer& peer() const noexcept { return peer_; }

private:
    // Called from the thread of the connection that takes over, or tries to.
    void fence() noexcept override;
    [[nodiscard]] PeerState look_for_peer(Clock::time_point since) noexcept override;
    void look_no_more() noexcept override;

    static void* thread_main(void* self);
    void run();
    // Returns false if the handshake continues in the main thread.
    [[nodiscard]] bool carry_out_call();
    // Sends as much of the handshake's output as the socket accepts without blocking.
    enum class Sent : std::uint8_t { everything, in_part, link_lost };
    [[nodiscard]] Sent send_output();
    // Parts of turn(). nullopt: the turn continues.
    [[nodiscard]] std::optional<Turn> turn_of_state() const;
    [[nodiscard]] std::optional<Turn> receive_options();
    [[nodiscard]] Turn leave_lost_link() const;
    [[nodiscard]] Turn leave_quietly() const;
    [[nodiscard]] bool start_thread_for(Phase phase);
    void begin_transmission();
    void finish();
    void say_goodbye() noexcept;
    // Has the volume removed, unless another connection of its session uses it.
    void end_session(DiskWanted volume);
    // Sets the order to stop, unless the order is to fence.
    void give_order_to_stop() noexcept;

    // The destructor closes the descriptor number: other threads may use the number until then. The socket
    // itself may already be closed by say_goodbye().
    Fd socket_;
    Peer peer_;
    ListenScope scope_;
    Context context_;
    pthread_t thread_{};
    bool started_ = false;
    Deadline deadline_{};         // for the handshake
    Deadline upload_bound_{};     // for a handshake with boot files
    std::uint32_t progress_ = 0;  // boot file commands carried out so far
    std::atomic<Phase> phase_ = Phase::handshake;
    std::atomic<Order> order_ = Order::serve;
    std::atomic<bool> sending_ = false;
    std::atomic<bool> dormant_ = false;
    std::atomic<bool> ended_ = false;
    std::atomic<bool> looked_for_ = false;  // TCP keepalive probes of the peer are frequent
    Served served_;                         // constant once is_served_ is set
    std::atomic<bool> is_served_ = false;
    // Used by the connection's current thread only:
    std::optional<ClientExports> exports_;
    std::unique_ptr<nbd::ServerHandshake> handshake_;  // until the transmission phase
    nbd::Offer offer_;
    std::string label_;
    std::unique_ptr<Transmission> transmission_;  // from the end of the handshake on
};

}  // namespace holdfast::server
