// Uses relaxed memory order everywhere: the counters synchronize nothing.

#include "server/export/counters.hh"

#include <algorithm>

#include "common/protocol/constants.hh"

namespace holdfast::server {
namespace {

constexpr std::size_t other = counted_commands - 1;
constexpr auto relaxed = std::memory_order_relaxed;

std::size_t index_of(nbd::Command command) { return static_cast<std::size_t>(command); }

}  // namespace

std::string_view counted_command_name(std::size_t index) noexcept {
    constexpr std::array<std::string_view, counted_commands> names{
        "read", "write", "disconnect", "flush", "trim", "cache", "write_zeroes", "block_status", "other"};
    return names[index];
}

std::string_view name_of(TurnedAway reason) noexcept {
    switch (reason) {
        case TurnedAway::max_connections: return "maxconnections";
        case TurnedAway::max_per_address: return "maxperaddress";
        case TurnedAway::handshakes: return "handshakes";
        case TurnedAway::export_connections: return "export_maxconnections";
        case TurnedAway::not_allowed: return "authfile";
    }
    return "";
}

Tally& Tally::operator+=(const Tally& added) noexcept {
    for (std::size_t i = 0; i < counted_commands; ++i) {
        commands[i].requests += added.commands[i].requests;
        commands[i].errors += added.commands[i].errors;
        commands[i].bytes += added.commands[i].bytes;
    }
    in_flight += added.in_flight;
    return *this;
}

std::uint64_t Tally::requests() const noexcept {
    std::uint64_t sum = 0;
    for (const Command& one : commands) sum += one.requests;
    return sum;
}

std::uint64_t Tally::errors() const noexcept {
    std::uint64_t sum = 0;
    for (const Command& one : commands) sum += one.errors;
    return sum;
}

std::uint64_t Tally::bytes_in() const noexcept { return commands[index_of(nbd::Command::write)].bytes; }
std::uint64_t Tally::bytes_out() const noexcept { return commands[index_of(nbd::Command::read)].bytes; }

void RequestCounters::finished(std::uint16_t command, std::uint64_t bytes, bool good) noexcept {
    Command& one = commands_[std::min<std::size_t>(command, other)];
    one.requests.fetch_add(1, relaxed);
    if (good) {
        one.bytes.fetch_add(bytes, relaxed);
    } else {
        one.errors.fetch_add(1, relaxed);
    }
    in_flight_.fetch_sub(1, relaxed);
}

Tally RequestCounters::tally() const noexcept {
    Tally tally;
    for (std::size_t i = 0; i < counted_commands; ++i) {
        tally.commands[i] = {commands_[i].requests.load(relaxed), commands_[i].errors.load(relaxed),
                             commands_[i].bytes.load(relaxed)};
    }
    tally.in_flight = in_flight_.load(relaxed);
    return tally;
}

Statistics::Connection::Connection(Statistics& statistics, ConnectionFacts facts)
    : statistics_(statistics), facts_(std::move(facts)) {
    const std::lock_guard lock(statistics_.mutex_);
    statistics_.live_.insert(this);
    ++statistics_.ended_[facts_.export_name].connections;
}

Statistics::Connection::~Connection() {
    Tally tally = counters.tally();
    tally.in_flight = 0;  // the requests were given up
    const std::lock_guard lock(statistics_.mutex_);
    statistics_.live_.erase(this);
    ExportStatus& ended = statistics_.ended_[facts_.export_name];
    ended.tally += tally;
    ended.last_peer = facts_.peer;
    ended.last_seen = std::chrono::system_clock::now();
    if (facts_.own)
        statistics_.own_disks_[facts_.own->path] = {facts_.export_name, *facts_.own, facts_.peer,
                                                    ended.last_seen};
    if (facts_.own && facts_.own->of_session) statistics_.forget_oldest_session();
}

// Sessions come and go without end. Needs the mutex.
void Statistics::forget_oldest_session() {
    constexpr std::ptrdiff_t most_sessions = 1024;
    const auto is_of_session = [](const auto& one) { return one.second.disk.of_session; };
    if (std::ranges::count_if(own_disks_, is_of_session) <= most_sessions) return;
    auto oldest = own_disks_.end();
    for (auto one = own_disks_.begin(); one != own_disks_.end(); ++one)
        if (is_of_session(*one) && (oldest == own_disks_.end() || one->second.when < oldest->second.when))
            oldest = one;
    own_disks_.erase(oldest);
}

bool Statistics::has_writer(std::string_view export_name, const nbd::Uuid& session) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(live_, [&](const Connection* one) {
        const ConnectionFacts& facts = one->facts_;
        return facts.export_name == export_name && !facts.read_only && facts.session &&
               facts.session->id == session;
    });
}

bool Statistics::is_used(std::string_view export_name, std::string_view session) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(live_, [&](const Connection* one) {
        const ConnectionFacts& facts = one->facts_;
        return facts.own && facts.own->of_session && facts.own->host == session &&
               facts.export_name == export_name;
    });
}

std::string Statistics::session_at(std::string_view export_name, std::string_view address) const {
    const std::lock_guard lock(mutex_);
    const ConnectionFacts* newest = nullptr;
    for (const Connection* const one : live_) {
        const ConnectionFacts& facts = one->facts_;
        const bool fits = facts.own && facts.own->of_session && facts.own->address == address &&
                          facts.export_name == export_name;
        if (fits && (newest == nullptr || newest->since < facts.since)) newest = &facts;
    }
    return newest != nullptr ? newest->own->host : std::string();
}

void Statistics::turned_away(TurnedAway reason) noexcept {
    turned_away_[static_cast<std::size_t>(reason)].fetch_add(1, relaxed);
}

Statistics::Snapshot Statistics::snapshot() const {
    Snapshot result;
    for (std::size_t i = 0; i < turned_away_reasons; ++i)
        result.turned_away[i] = turned_away_[i].load(relaxed);
    {
        const std::lock_guard lock(mutex_);
        result.exports = ended_;
        for (const auto& [path, seen] : own_disks_) result.own_disks.push_back(seen);
        result.connections.reserve(live_.size());
        for (const Connection* one : live_)
            result.connections.push_back({one->facts_, one->counters.tally()});
    }
    for (const ConnectionStatus& one : result.connections)
        result.exports[one.facts.export_name].tally += one.tally;
    std::ranges::sort(result.connections, {}, [](const ConnectionStatus& one) { return one.facts.since; });
    return result;
}

}  // namespace holdfast::server
