// What was done for whom: counted where requests finish, read by whoever asks for the status.
// A connection counts for itself, so that connections share no cache line. An export's figures are those of
// its connections; those of the ended ones have been added up.
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

// The commands of the protocol by their numbers, and one for all numbers that are none.
inline constexpr std::size_t counted_commands = 9;
// "read", "write", ..., "other": as the status names them.
[[nodiscard]] std::string_view counted_command_name(std::size_t index) noexcept;

// A count at one moment.
struct Tally {
    struct Command {
        std::uint64_t requests = 0;  // finished, those with an error too
        std::uint64_t errors = 0;    // answered with one
        std::uint64_t bytes = 0;     // of the ranges of those that were carried out
    };
    std::array<Command, counted_commands> commands{};
    std::uint64_t in_flight = 0;  // taken up and not finished

    Tally& operator+=(const Tally& other) noexcept;
    [[nodiscard]] std::uint64_t requests() const noexcept;
    [[nodiscard]] std::uint64_t errors() const noexcept;
    [[nodiscard]] std::uint64_t bytes_in() const noexcept;   // of writes
    [[nodiscard]] std::uint64_t bytes_out() const noexcept;  // of reads
};

// One connection's. From any thread; neither call waits for anything.
class alignas(64) RequestCounters {
public:
    void taken_up() noexcept { in_flight_.fetch_add(1, std::memory_order_relaxed); }
    // Of one that was taken up. `command` as the request had it; `bytes`: the length of its range.
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

// Whom a connection serves with what.
struct ConnectionFacts {
    struct Session {
        nbd::Uuid id{};
        std::uint32_t slot = 0;
        std::uint32_t generation = 0;
    };
    std::string export_name;
    std::string peer;
    bool read_only = false;
    std::string_view cache;          // the mode in which the disk is open
    std::optional<Session> session;  // of clients that have one
    std::chrono::system_clock::time_point since;
};

// Why a client was turned away before it had an export.
enum class TurnedAway : std::uint8_t {
    max_connections,  // the server's
    max_per_address,
    handshakes,          // too many are in the handshake, and most of its network
    export_connections,  // the export's maxconnections
    not_allowed,         // by the authfile
};
inline constexpr std::size_t turned_away_reasons = 5;
[[nodiscard]] std::string_view name_of(TurnedAway reason) noexcept;

// Safe to be called from any thread.
class Statistics {
public:
    // A connection from its export's opening on. What it had counted stays with the export.
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
        std::uint64_t connections = 0;  // that were ever begun
        Tally tally;
    };
    struct Snapshot {
        std::vector<ConnectionStatus> connections;  // the oldest first
        std::map<std::string, ExportStatus, std::less<>> exports;
        std::array<std::uint64_t, turned_away_reasons> turned_away{};
    };
    [[nodiscard]] Snapshot snapshot() const;

    void turned_away(TurnedAway reason) noexcept;

private:
    mutable std::mutex mutex_;
    std::set<const Connection*> live_;
    std::map<std::string, ExportStatus, std::less<>> ended_;
    std::array<std::atomic<std::uint64_t>, turned_away_reasons> turned_away_{};
};

}  // namespace holdfast::server
