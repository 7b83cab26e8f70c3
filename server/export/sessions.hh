// Tracks the newest connection of each client, so that no older connection touches the disk any more. A
// client that reconnects sends again the requests that its old connection did not answer, and writes on.
// Requests that the old connection still holds, unread in a socket, partly received or in progress at the
// disk, would undo newer writes if they were carried out later. So before the new connection starts, the old
// connections are fenced: cut off, and awaited.
//
// The same holds for a machine that attaches its device again, or that boots again: its session is then
// another, and its host identity shows which connections belonged to it. session_option.hh states the
// guarantees.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <expected>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/protocol/session_option.hh"
#include "server/transport/socket_io.hh"

namespace holdfast::server {

// Interface to a connection for the thread of another connection.
class Fenceable {
public:
    // Stops the connection from starting requests; disk operations in progress continue. Does not block.
    virtual void fence() noexcept = 0;

    // Whether the machine at the other end is reachable, independent of this server's threads. The call makes
    // the connection probe the peer; a later call returns the result.
    enum class PeerState : std::uint8_t {
        gone,     // the peer has closed or reset the connection
        silent,   // nothing received since `since`
        answers,  // the peer's kernel has acknowledged something since `since`
        sleeps,   // like `answers`, but the peer has sent no data for idle_bound or longer
    };
    // After this time without data, acknowledgements may come from a proxy whose client is unreachable.
    static constexpr std::chrono::seconds idle_bound{10};
    // Does not block.
    [[nodiscard]] virtual PeerState look_for_peer(Clock::time_point since) noexcept = 0;
    // Ends the probing; the connection goes on.
    virtual void look_no_more() noexcept = 0;

protected:
    ~Fenceable() = default;
};

struct SessionKey {
    nbd::Uuid session{};
    std::uint32_t slot = 0;
    std::string export_name;  // as configured

    auto operator<=>(const SessionKey&) const = default;
};

// A client's machine and device, and the disk that the client writes to.
struct HostKey {
    std::string disk;  // the disk's identity, whatever the export is called
    nbd::Uuid host{};

    auto operator<=>(const HostKey&) const = default;
};

// Attachment of a device by a host.
struct HostClaim {
    HostKey key;
    nbd::Uuid boot{};
    std::uint64_t attachment = 0;
    std::string address;  // the peer's, without the port
};

// A connection that was fenced for a newer connection and has released the disk.
struct FencedConnection {
    std::string peer;
    std::uint32_t generation = 0;
    std::uint64_t unread = 0;    // bytes received and not processed
    bool other_session = false;  // fenced by another session of its host

    bool operator==(const FencedConnection&) const = default;
};

// Reason for refusing a claim.
struct ClaimRefusal {
    enum class Why : std::uint8_t {
        generation,   // same or higher generation already seen
        attachment,   // newer attachment in the same boot of the host already seen
        superseded,   // the host's connection, or its boot, was fenced for a newer attachment
        other_alive,  // another machine of the same identity is attached, and answers
        left,         // the client has disconnected, or the server stops
        late,         // the deadline passed before the other machine was known to be unreachable
    };
    Why why = Why::generation;
    std::uint32_t generation = 0;  // valid only if `generation`
    std::string peer;              // valid only if `other_alive`

    // Text for log and client.
    [[nodiscard]] std::string text(std::uint32_t claimed) const;
};

class Sessions;

// A connection's place in its session, from its claim until it has released the disk. No newer connection
// starts while the place exists.
class SessionPlace {
public:
    SessionPlace(const SessionPlace&) = delete;
    SessionPlace& operator=(const SessionPlace&) = delete;
    // Releases the place.
    ~SessionPlace();

    enum class Fence : std::uint8_t {
        stands,     // every older connection has released the disk
        overtaken,  // a newer connection came
        late,       // the deadline passed
        left,       // the client has disconnected, or the server stops
        failed,     // no descriptor available for waiting
    };
    // Waits until the fence is established, or until the client disconnects: `socket` is its connection.
    [[nodiscard]] Fence wait(int socket, Deadline deadline);
    [[nodiscard]] bool fenced() const;
    // Connections that released the disk while this place was the newest.
    [[nodiscard]] std::vector<FencedConnection> fenced_by_this() const;
    // Whether the session had no earlier connection to any export, as far as remembered.
    [[nodiscard]] bool is_first() const noexcept { return first_; }
    // Number of unprocessed bytes of this connection, reported to the connection that fenced it. Set before
    // releasing the place.
    void set_unread(std::uint64_t bytes) { unread_ = bytes; }

private:
    friend class Sessions;
    SessionPlace(Sessions& sessions, SessionKey key, std::uint32_t generation, Fenceable& connection,
                 std::string peer, std::optional<HostClaim> host)
        : sessions_(sessions),
          key_(std::move(key)),
          generation_(generation),
          connection_(connection),
          peer_(std::move(peer)),
          host_(std::move(host)) {}

    Sessions& sessions_;
    const SessionKey key_;
    const std::uint32_t generation_;
    Fenceable& connection_;
    const std::string peer_;
    const std::optional<HostClaim> host_;
    bool first_ = false;        // set once, by take()
    std::uint64_t unread_ = 0;  // used only by the connection's thread
    // Under the mutex of `sessions_`:
    bool fenced_ = false;
    std::vector<FencedConnection> fenced_by_this_;
    Fd let_go_;  // eventfd while waiting; signaled when an older connection releases its place
};

// Safe to be called from any thread. Must outlive all places.
class Sessions {
public:
    // Number of slots per export that are remembered without a connection: the most recently used slots.
    static constexpr std::size_t most_remembered = 1024;

    // Number of hosts per disk that are remembered without a connection, and number of earlier boots
    // remembered per host.
    static constexpr std::size_t most_hosts = 1024;
    static constexpr std::size_t most_boots = 8;
    // A machine that acknowledges nothing for this time, while being probed, counts as unreachable.
    static constexpr std::chrono::seconds silence_bound{5};

    explicit Sessions(std::chrono::milliseconds silence = silence_bound) : silence_(silence) {}

    using Claimed = std::expected<std::unique_ptr<SessionPlace>, ClaimRefusal>;
    // A connection and its claim.
    struct Claimant {
        SessionKey key;
        std::uint32_t generation = 0;
        Fenceable& connection;  // must outlive the place
        std::string peer;
        std::optional<HostClaim> host{};
    };
    // Takes the place and fences every older connection of the key, and of the host if given; wait() must
    // follow. Does not block, unless a connection from another boot of the host still exists: then claim()
    // probes whether the machine of that connection is reachable, for silence_bound at most, and also watches
    // `socket`, the claimant's connection.
    [[nodiscard]] Claimed claim(const Claimant& claimant, int socket = -1, Deadline deadline = {});

    // Number of known slots, with or without a connection; number of known hosts.
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] std::size_t hosts() const;

private:
    friend class SessionPlace;
    using Idle = std::list<SessionKey>;  // longest without a connection comes first
    struct Slot {
        std::uint32_t generation = 0;       // highest generation seen
        std::vector<SessionPlace*> places;  // in the order of generations
        Idle::iterator idle;                // valid only without places: this slot's entry in idle_
        bool superseded = false;            // fenced for another session of its host
    };
    struct Host {
        nbd::Uuid session{};  // session, boot and number of the newest attachment
        nbd::Uuid boot{};
        std::uint64_t attachment = 0;
        std::vector<nbd::Uuid> superseded_boots;  // the latest most_boots, oldest first
        std::vector<SessionPlace*> places;        // in the order of claims
        std::uint64_t used = 0;                   // number of the host's last claim
    };
    enum class Rival : std::uint8_t { none, unknown, alive };

    // The following functions need the mutex.
    [[nodiscard]] std::optional<ClaimRefusal> flaw_of(const Claimant& claimant) const;
    [[nodiscard]] Rival look_for_rival(const Claimant& claimant, Clock::time_point since, std::string& peer);
    // Probes the peer of one connection of the host.
    [[nodiscard]] Rival probe(const SessionPlace& place, const Claimant& claimant,
                              Clock::time_point since) const;
    [[nodiscard]] bool knows_session(const nbd::Uuid& session) const;
    [[nodiscard]] std::unique_ptr<SessionPlace> take(const Claimant& claimant);
    void enter_host(const HostClaim& claim, SessionPlace& place);
    void fence(SessionPlace& place);
    [[nodiscard]] bool stands(const SessionPlace& place) const;
    void forget_oldest_host(const std::string& disk);

    void let_go(SessionPlace& place);
    void leave_host(SessionPlace& place);
    void forget_oldest(const std::string& export_name);

    mutable std::mutex mutex_;
    std::map<SessionKey, Slot> slots_;
    // Kept per export, so that users of an export cannot evict the slots of another.
    std::map<std::string, Idle, std::less<>> idle_;
    std::map<HostKey, Host> hosts_;
    std::uint64_t claims_ = 0;
    const std::chrono::milliseconds silence_;
};

}  // namespace holdfast::server
