// Which connection of a client is its newest, so that no older one touches the disk any more.
// A client that reconnects sends again what its old connection did not answer, and writes on. What the old
// one still holds, unread in a socket, received in part, or with the disk, would undo that if it were carried
// out later. So before the new one begins, the old ones are fenced: cut off, and awaited.
//
// The same holds for a machine that attaches its device anew, or that boots again: its session is another one
// then, and its host identity says what belonged to it. session_option.hh says what is guaranteed.
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

#include "common/linux/fd.hh"
#include "common/protocol/session_option.hh"
#include "server/transport/socket_io.hh"

namespace holdfast::server {

// A connection as another one's thread sees it.
class Fenceable {
public:
    // It takes up nothing more; what is with the disk goes on. Does not block.
    virtual void fence() noexcept = 0;

    // Whether the machine at the other end is there, whatever this end's threads are busy with. The
    // connection is made to ask it; the answer is there at a later look.
    enum class PeerState : std::uint8_t {
        gone,     // it has closed or reset the connection
        silent,   // nothing has come since `since`
        answers,  // its kernel has acknowledged something since `since`
        sleeps,   // the same, but it has sent nothing for idle_bound or longer
    };
    // From then on a client that only acknowledges may as well be a proxy for one that has gone.
    static constexpr std::chrono::seconds idle_bound{10};
    // Does not block.
    [[nodiscard]] virtual PeerState look_for_peer(std::chrono::steady_clock::time_point since) noexcept = 0;
    // Looking for the peer is over, and the connection goes on.
    virtual void look_no_more() noexcept = 0;

protected:
    ~Fenceable() = default;
};

struct SessionKey {
    nbd::Uuid session{};
    std::uint32_t slot = 0;
    std::string export_name;  // as the configuration has it

    auto operator<=>(const SessionKey&) const = default;
};

// A client's machine and device, and the disk that it writes to.
struct HostKey {
    std::string disk;  // the disk's identity, whatever the export is called
    nbd::Uuid host{};

    auto operator<=>(const HostKey&) const = default;
};

// An attachment of a host.
struct HostClaim {
    HostKey key;
    nbd::Uuid boot{};
    std::uint64_t attachment = 0;
    std::string address;  // the peer's, without the port
};

// A connection that was fenced for a newer one, when it has let go.
struct FencedConnection {
    std::string peer;
    std::uint32_t generation = 0;
    std::uint64_t unread = 0;    // bytes that it had been sent and had not taken up
    bool other_session = false;  // fenced for its host's sake

    bool operator==(const FencedConnection&) const = default;
};

// Why a claim is refused.
struct ClaimRefusal {
    enum class Why : std::uint8_t {
        generation,   // one as high or higher was there
        attachment,   // a newer attachment of the same boot of the host was there
        superseded,   // the host's connection, or its boot, was fenced for a newer attachment
        other_alive,  // another machine of the same identity is attached, and answers
        left,         // the client is gone, or the server stops
        late,         // the deadline was over before the other machine was known to be gone
    };
    Why why = Why::generation;
    std::uint32_t generation = 0;  // valid only if `generation`
    std::string peer;              // valid only if `other_alive`

    // For log and client.
    [[nodiscard]] std::string text(std::uint32_t claimed) const;
};

class Sessions;

// A connection's place in its session: from its claim on until it has let go of the disk, and while it has it
// no newer one begins.
class SessionPlace {
public:
    SessionPlace(const SessionPlace&) = delete;
    SessionPlace& operator=(const SessionPlace&) = delete;
    // Lets go.
    ~SessionPlace();

    enum class Fence : std::uint8_t {
        stands,     // every older connection has let go
        overtaken,  // a newer one came
        late,       // the deadline did
        left,       // the client is gone, or the server stops
        failed,     // no descriptor to wait with
    };
    // Waits until the fence stands, but not for a client that is not there any more: `socket` is its
    // connection.
    [[nodiscard]] Fence wait(int socket, Deadline deadline);
    [[nodiscard]] bool fenced() const;
    // Those that let go while this was the newest.
    [[nodiscard]] std::vector<FencedConnection> fenced_by_this() const;
    // Its session had no connection before, to any export, as far as is remembered.
    [[nodiscard]] bool is_first() const noexcept { return first_; }
    // Of this connection, for who fenced it. Before it lets go.
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
    std::uint64_t unread_ = 0;  // its own thread's
    // Under the mutex of `sessions_`:
    bool fenced_ = false;
    std::vector<FencedConnection> fenced_by_this_;
    Fd let_go_;  // an eventfd while it waits: an older one has let go
};

// Safe to be called from any thread. Must outlive all places.
class Sessions {
public:
    // How many slots of an export are remembered while they have no connection: those that had one last.
    static constexpr std::size_t most_remembered = 1024;

    // How many hosts of a disk are remembered while they have no connection, and how many earlier boots of
    // one.
    static constexpr std::size_t most_hosts = 1024;
    static constexpr std::size_t most_boots = 8;
    // A machine that acknowledges nothing for so long while it is asked is not there any more.
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
    // Takes the place and fences every older connection of the key, and of the host where one is named; then
    // wait(). Does not block, unless the host is known to have been attached in another boot by a connection
    // that is still there: then it is found out whether its machine is, for silence_bound at most, and
    // `socket`, the claimant's, is watched meanwhile.
    [[nodiscard]] Claimed claim(const Claimant& claimant, int socket = -1, Deadline deadline = {});

    // How many slots are known, with a connection or without; and how many hosts.
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] std::size_t hosts() const;

private:
    friend class SessionPlace;
    using Idle = std::list<SessionKey>;  // the one that is longest without a connection comes first
    struct Slot {
        std::uint32_t generation = 0;       // the highest that was seen
        std::vector<SessionPlace*> places;  // in the order of their generations
        Idle::iterator idle;                // gives meaning to a slot without places: itself in idle_
        bool superseded = false;            // fenced for another session of its host
    };
    struct Host {
        nbd::Uuid session{};  // the newest attachment: its session, boot and number
        nbd::Uuid boot{};
        std::uint64_t attachment = 0;
        std::vector<nbd::Uuid> superseded_boots;  // the latest most_boots, the oldest first
        std::vector<SessionPlace*> places;        // in the order of their claims
        std::uint64_t used = 0;                   // when it was claimed last, in claims
    };
    enum class Rival : std::uint8_t { none, unknown, alive };

    // All of these under the mutex.
    [[nodiscard]] std::optional<ClaimRefusal> flaw_of(const Claimant& claimant) const;
    [[nodiscard]] Rival look_for_rival(const Claimant& claimant, std::chrono::steady_clock::time_point since,
                                       std::string& peer);
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
    // By export, so that those who may use one cannot make us forget another's.
    std::map<std::string, Idle, std::less<>> idle_;
    std::map<HostKey, Host> hosts_;
    std::uint64_t claims_ = 0;
    const std::chrono::milliseconds silence_;
};

}  // namespace holdfast::server
