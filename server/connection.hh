// One client from accept to close, in a thread of its own: handshake under a deadline, then its requests.
// A thread each and not one loop for all, because reading and writing files blocks. A client that is silent
// for a while needs none: the connection sleeps until it has something to say.
#pragma once

#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/linux/fd.hh"
#include "server/admission.hh"
#include "server/exports.hh"
#include "server/transmission.hh"

namespace holdfast::server {

class Connection final : private Fenceable {
public:
    // What the connection is given. `shared` and `admission` must outlive it. `changed` is called from its
    // thread when the handshake is over and when all is over. The peer has been admitted: the connection
    // leaves the admission.
    struct Context {
        std::shared_ptr<const Config> config;
        Shared& shared;
        Admission& admission;
        std::function<void()> changed;
    };

    Connection(Fd socket, Peer peer, ListenScope scope, Context context);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    // Waits for the thread.
    ~Connection();

    // Starts the thread: at first, and when a sleeping connection has something to do.
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
    // From the thread of the connection that takes its place.
    void fence() noexcept override;

    static void* thread_main(void* self);
    void run();
    // The handshake. Where transmission follows, there is one afterwards.
    void begin();
    // Whether transmission follows.
    [[nodiscard]] bool shake_hands(nbd::ServerHandshake& handshake, Deadline deadline);
    void begin_transmission();
    void finish();
    void leave_admission();
    void say_goodbye() noexcept;
    // A fence stays one.
    void give_order_to_stop() noexcept;
    void log_handshake_end(const std::string& why) const;

    // The number is closed by the destructor: other threads may use it until then. The socket may be closed
    // before, by the farewell.
    Fd socket_;
    Peer peer_;
    ListenScope scope_;
    Context context_;
    pthread_t thread_{};
    bool started_ = false;
    bool admitted_ = true;
    std::atomic<Order> order_ = Order::serve;
    std::atomic<bool> sending_ = false;
    std::atomic<bool> dormant_ = false;
    std::atomic<bool> ended_ = false;
    // These are the thread's, whichever it is by now:
    std::optional<ClientExports> exports_;
    nbd::Offer offer_;
    std::string label_;
    std::unique_ptr<Transmission> transmission_;  // from the end of the handshake on
};

}  // namespace holdfast::server
