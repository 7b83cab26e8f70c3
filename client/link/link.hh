// A single attempt to establish a link: connects a socket, runs the handshake, and returns a socket in
// transmission.
//
// Non-blocking, driven by readiness of its descriptor: `attach` waits in its own loop, the daemon among its
// other events. The handshake itself is in common/protocol and uses no sockets.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/address/server_address.hh"
#include "client/link/endpoint.hh"
#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/protocol/client_handshake.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

// Time limit for a whole attempt, and for a server's first reply to the connection attempt.
inline constexpr std::chrono::seconds attempt_patience{10};
inline constexpr std::chrono::seconds connect_patience{5};
// Time after which a silent peer is dead, if not configured (list, and probes that end soon in any case).
inline constexpr std::chrono::seconds default_dead_after{15};

// Opens and keeps the folder of a UNIX socket; does nothing for another endpoint, or if there is no such
// folder. Each attempt leaves /dev as the working directory, like leave_terminal(). Use only before the
// daemon's seal.
void keep_folder(Endpoint& endpoint, bool instead_of_path);

enum class LinkFault : std::uint8_t {
    unreachable,  // no name, no route, no answer, or a broken connection
    refused,      // the server refused
    unusable,     // the server broke the protocol, or its offer does not suit the kernel
};

struct LinkError {
    LinkFault fault = LinkFault::unreachable;
    LineText text;           // printable; without server or export, which the logging caller adds
    bool connected = false;  // the connection was established, so the server may have received the claim
};

// A socket in transmission (goal go), or the server's answer (info, list).
struct Link {
    Fd socket;
    nbd::Offer offer;
    bool block_sizes_given = false;
    std::optional<SessionFacts>
        session;  // empty: the server does not support the option, or the option was not sent
};

class LinkAttempt {
public:
    enum class State : std::uint8_t { running, done, failed };

    // Opens the socket and starts to connect; state() reports an immediate failure. The connection ends if
    // the peer is silent for `dead_after`.
    LinkAttempt(const Endpoint& endpoint, const nbd::ClientHandshake& handshake,
                std::chrono::seconds dead_after);

    [[nodiscard]] State state() const noexcept { return state_; }
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
    // POLLIN or POLLOUT: the events to wait for while running.
    [[nodiscard]] short events() const noexcept;
    // Makes progress without blocking. Returns even while the server goes on sending, so that the caller can
    // check its clock.
    void advance();
    // Fails the attempt because its time is over.
    void expire();
    // True until the connection is established; limited by `connect_patience`.
    [[nodiscard]] bool connecting() const noexcept { return connecting_; }

    // Call once, when done.
    [[nodiscard]] Link take_link();
    // Valid when failed.
    [[nodiscard]] const LinkError& error() const noexcept { return error_; }

private:
    void fail(LinkFault fault, const LineText& text);
    void finish_connect();
    bool send_some();
    bool receive_some();
    void take_verdict();

    Fd socket_;
    nbd::ClientHandshake handshake_;
    bool connecting_ = true;
    State state_ = State::running;
    LinkError error_;
};

// Makes the kernel end a connection whose peer is silent for `dead_after`. Does nothing for a UNIX socket.
// May be used after the seal.
void expect_answers(int socket, std::chrono::seconds dead_after) noexcept;

// Returns the addresses of a server, in the resolver's order. Blocks on the name service unless the host is
// an address.
[[nodiscard]] std::expected<std::vector<Endpoint>, LinkError> resolve(const ServerAddress& server);

// Blocks until the attempt is done, at most for `patience`, even while the server goes on sending.
[[nodiscard]] std::expected<Link, LinkError> make_link(const Endpoint& endpoint,
                                                       const nbd::ClientHandshake& handshake,
                                                       std::chrono::seconds dead_after = default_dead_after,
                                                       std::chrono::milliseconds patience = attempt_patience);

}  // namespace holdfast::client
