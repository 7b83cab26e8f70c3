// Which connection of a client is its newest, so that no older one touches the disk any more.
// A client that reconnects sends again what its old connection did not answer, and writes on. What the old
// one still holds, unread in a socket, received in part, or with the disk, would undo that if it were carried
// out later. So before the new one begins, the old ones are fenced: cut off, and awaited.
#pragma once

#include <compare>
#include <cstdint>
#include <expected>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/linux/fd.hh"
#include "common/protocol/session_option.hh"
#include "server/socket_io.hh"

namespace holdfast::server {

// A connection as another one's thread sees it.
class Fenceable {
public:
    // It takes up nothing more; what is with the disk goes on. Does not block.
    virtual void fence() noexcept = 0;

protected:
    ~Fenceable() = default;
};

struct SessionKey {
    nbd::Uuid session{};
    std::uint32_t slot = 0;
    std::string export_name;  // as the configuration has it

    auto operator<=>(const SessionKey&) const = default;
};

// A connection that was fenced for a newer one, when it has let go.
struct FencedConnection {
    std::string peer;
    std::uint32_t generation = 0;
    std::uint64_t unread = 0;  // bytes that it had been sent and had not taken up

    bool operator==(const FencedConnection&) const = default;
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
    // Of this connection, for who fenced it. Before it lets go.
    void set_unread(std::uint64_t bytes) { unread_ = bytes; }

private:
    friend class Sessions;
    SessionPlace(Sessions& sessions, SessionKey key, std::uint32_t generation, Fenceable& connection,
                 std::string peer)
        : sessions_(sessions),
          key_(std::move(key)),
          generation_(generation),
          connection_(connection),
          peer_(std::move(peer)) {}

    Sessions& sessions_;
    const SessionKey key_;
    const std::uint32_t generation_;
    Fenceable& connection_;
    const std::string peer_;
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

    // Takes the place and fences every older connection of the key; then wait(). The error: the generation
    // that was there, as high or higher. `connection` must outlive the place.
    [[nodiscard]] std::expected<std::unique_ptr<SessionPlace>, std::uint32_t> claim(SessionKey key,
                                                                                    std::uint32_t generation,
                                                                                    Fenceable& connection,
                                                                                    std::string peer);

    // How many slots are known, with a connection or without.
    [[nodiscard]] std::size_t size() const;

private:
    friend class SessionPlace;
    using Idle = std::list<SessionKey>;  // the one that is longest without a connection comes first
    struct Slot {
        std::uint32_t generation = 0;       // the highest that was seen
        std::vector<SessionPlace*> places;  // in the order of their generations
        Idle::iterator idle;                // gives meaning to a slot without places: itself in idle_
    };

    void let_go(SessionPlace& place);
    void forget_oldest(const std::string& export_name);

    mutable std::mutex mutex_;
    std::map<SessionKey, Slot> slots_;
    // By export, so that those who may use one cannot make us forget another's.
    std::map<std::string, Idle, std::less<>> idle_;
};

}  // namespace holdfast::server
