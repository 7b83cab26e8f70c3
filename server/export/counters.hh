// Counts requests per connection and per export; the server status reports the counts.
// Each connection has its own counters, so that connections share no cache line. The counts of an export are
// the sum over its live connections and the totals of its ended connections.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/protocol/session_option.hh"

namespace holdfast::server {

// Number of counters: the commands of the protocol by number, plus a counter for unknown numbers.
inline constexpr std::size_t counted_commands = 9;
// Name of a counter in the status: "read", "write", ..., "other".
[[nodiscard]] std::string_view counted_command_name(std::size_t index) noexcept;

// Snapshot of the counters.
struct Tally {
    struct Command {
        std::uint64_t requests = 0;  // finished, including errors
        std::uint64_t errors = 0;    // answered with an error
        std::uint64_t bytes = 0;     // range lengths of the successful requests
    };
    std::array<Command, counted_commands> commands{};
    std::uint64_t in_flight = 0;  // started and not finished

    Tally& operator+=(const Tally& other) noexcept;
    [[nodiscard]] std::uint64_t requests() const noexcept;
    [[nodiscard]] std::uint64_t errors() const noexcept;
    [[nodiscard]] std::uint64_t bytes_in() const noexcept;   // bytes of successful writes
    [[nodiscard]] std::uint64_t bytes_out() const noexcept;  // bytes of successful reads
};

// Counters of one connection. Callable from any thread; no function blocks.
class alignas(64) RequestCounters {
public:
    void taken_up() noexcept { in_flight_.fetch_add(1, std::memory_order_relaxed); }
    // Takes back the last taken_up(): the request is not started now.
    void put_back() noexcept { in_flight_.fetch_sub(1, std::memory_order_relaxed); }
    // Counts the end of a started request. `command` is the number in the request, `bytes` the length of its
    // range.
    void finished(std::uint16_t command, std::uint64_t bytes, bool good) noexcept;
    [[nodiscard]] Tally tally() const noexcept;

private:
    struct Command {
        std::atomic<std::uint64_t> requests = 0;
        std::atomic<std::uint64_t> errors = 0;
        std::atomic<std::uint64_t> bytes = 0;
    };
    std::array<Command, counted_commands> commands_;
    std::atomic<std::uint64_t> in_flight_ = 0;
};

// Facts about a connection for the status.
struct ConnectionFacts {
    struct Session {
        nbd::Uuid id{};
        std::uint32_t slot = 0;
        std::uint32_t generation = 0;
    };
    std::string export_name;
    std::string peer;
    bool read_only = false;
    std::string_view cache;          // mode in which the disk is open
    std::optional<Session> session;  // only for clients with a session
    std::chrono::system_clock::time_point since;
    std::uint64_t size = 0;  // bytes that the client was offered
    // Disk of this client, if other clients of the export get others.
    struct OwnDisk {
        std::string path;
        std::string section;      // section of the configuration; export_name may name a host
        std::string host;         // in the path
        bool of_session = false;  // `host` is the word of a session
        std::string address{};    // the client's, without the port
    };
    std::optional<OwnDisk> own{};
};

// Reasons to reject a client before it has opened an export.
enum class TurnedAway : std::uint8_t {
    max_connections,  // limit of the server
    max_per_address,
    handshakes,          // too many clients in the handshake, most of them in this client's network
    export_connections,  // maxconnections of the export
    not_allowed,         // refused by the authfile
};
inline constexpr std::size_t turned_away_reasons = 5;
[[nodiscard]] std::string_view name_of(TurnedAway reason) noexcept;

// Safe to be called from any thread.
class Statistics {
public:
    // A connection, counted from the opening of its export. Its counts are added to the export's totals at
    // the end.
    class Connection {
    public:
        Connection(Statistics& statistics, ConnectionFacts facts);
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;
        ~Connection();
        RequestCounters counters;

    private:
        friend class Statistics;
        Statistics& statistics_;
        const ConnectionFacts facts_;
    };

    struct ConnectionStatus {
        ConnectionFacts facts;
        Tally tally;
    };
    struct ExportStatus {
        std::uint64_t connections = 0;  // all since the server started
        Tally tally;
        std::string last_peer{};  // client of the connection that ended last; empty: none since the start
        std::chrono::system_clock::time_point last_seen{};  // end of this connection
    };
    // The last client of a disk that is the client's own, since the server started.
    struct OwnDiskSeen {
        std::string export_name;
        ConnectionFacts::OwnDisk disk;
        std::string peer;
        std::chrono::system_clock::time_point when;  // end of its connection
    };
    struct Snapshot {
        std::vector<OwnDiskSeen> own_disks;
        std::vector<ConnectionStatus> connections;  // oldest first
        std::map<std::string, ExportStatus, std::less<>> exports;
        std::array<std::uint64_t, turned_away_reasons> turned_away{};
    };
    [[nodiscard]] Snapshot snapshot() const;

    // Whether a live connection of the session uses the export for writing.
    [[nodiscard]] bool has_writer(std::string_view export_name, const nbd::Uuid& session) const;

    // Whether a live connection uses the volume of this session.
    [[nodiscard]] bool is_used(std::string_view export_name, std::string_view session) const;
    // The session of the newest live connection from the address to an export with volumes of sessions;
    // empty: there is none.
    [[nodiscard]] std::string session_at(std::string_view export_name, std::string_view address) const;

    void turned_away(TurnedAway reason) noexcept;

private:
    void forget_oldest_session();

    mutable std::mutex mutex_;
    std::set<const Connection*> live_;
    std::map<std::string, ExportStatus, std::less<>> ended_;
    std::map<std::string, OwnDiskSeen, std::less<>> own_disks_;  // by path
    std::array<std::atomic<std::uint64_t>, turned_away_reasons> turned_away_{};
};

}  // namespace holdfast::server
