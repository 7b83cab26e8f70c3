// One attempt to make a link: connect a socket, drive the handshake, hand over a socket in transmission.
//
// Non-blocking, as a machine that is told when its descriptor is ready: `attach` waits for it in a loop of
// its own, the daemon among its other events. The handshake itself is in common/protocol and knows no
// sockets.
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

#include "client/address/export_address.hh"
#include "client/link/endpoint.hh"
#include "common/linux/fd.hh"
#include "common/protocol/client_handshake.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

using Clock = std::chrono::steady_clock;

// How long one attempt may take in all, and how long a server may leave the first packets unanswered.
inline constexpr std::chrono::seconds attempt_patience{10};
inline constexpr std::chrono::seconds connect_patience{5};
// When a silent peer is dead, where nobody says otherwise (list, and looks that end soon in any case).
inline constexpr std::chrono::seconds default_dead_after{15};

// Keeps the folder of a UNIX socket from now on; does nothing for another endpoint, and where there is no
// such folder. Each attempt leaves /dev as the working folder, like leave_terminal(). Before the daemon's
// seal.
void keep_folder(Endpoint& endpoint, bool instead_of_path);

enum class LinkFault : std::uint8_t {
    unreachable,  // no name, no route, no answer, or the connection broke
    refused,      // the server said no
    unusable,     // the server broke the protocol, or offers what the kernel cannot use
};

struct LinkError {
    LinkFault fault = LinkFault::unreachable;
    LineText text;           // printable; names neither server nor export: the one who logs it does
    bool connected = false;  // the connection stood, so the server may have received the claim
};

// A socket in transmission (goal go), or one that has told what was asked (info, list).
struct Link {
    Fd socket;
    nbd::Offer offer;
    bool block_sizes_given = false;
    std::optional<SessionFacts> session;  // empty: the server does not know the option, or was not asked
};

class LinkAttempt {
public:
    enum class State : std::uint8_t { running, done, failed };

    // Opens the socket and starts to connect. What fails already here is told by state(). A peer that is
    // silent for `dead_after` will end the connection.
    LinkAttempt(const Endpoint& endpoint, const nbd::ClientHandshake& handshake,
                std::chrono::seconds dead_after);

    [[nodiscard]] State state() const noexcept { return state_; }
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
    // POLLIN or POLLOUT: what to wait for while running.
    [[nodiscard]] short events() const noexcept;
    // Does some of what can be done without waiting. Returns also while the server goes on sending, so that
    // the caller can look at its clock.
    void advance();
    // The attempt has taken too long.
    void expire();
    // True until the connection stands; `connect_patience` is for this part.
    [[nodiscard]] bool connecting() const noexcept { return connecting_; }

    // Once, when done.
    [[nodiscard]] Link take_link();
    // When failed.
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

// Lets the kernel end a connection whose peer is silent for `dead_after`. Does nothing for a UNIX socket. May
// be used after the seal.
void expect_answers(int socket, std::chrono::seconds dead_after) noexcept;

// The addresses of a server, in the resolver's order. Blocks on the name service unless the host is an
// address.
[[nodiscard]] std::expected<std::vector<Endpoint>, LinkError> resolve(const ServerAddress& server);

// Blocks until the attempt is done, at most `patience`, also while the server goes on sending.
[[nodiscard]] std::expected<Link, LinkError> make_link(const Endpoint& endpoint,
                                                       const nbd::ClientHandshake& handshake,
                                                       std::chrono::seconds dead_after = default_dead_after,
                                                       std::chrono::milliseconds patience = attempt_patience);

}  // namespace holdfast::client
