// Tries servers in rounds. A round resolves all servers even if the first is usable: the daemon needs the
// addresses of the others, and cannot resolve names later.

#include "client/attach/server_search.hh"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "client/address/uri.hh"
#include "client/attach/targets.hh"
#include "client/kernel/block_size.hh"
#include "client/kernel/partition_table.hh"
#include "client/link/first_bytes.hh"
#include "common/linux/clock.hh"
#include "common/linux/pause.hh"

namespace holdfast::client {
namespace {

constexpr std::chrono::seconds pause_between_rounds{1};

// Time for a server's disk to answer a read: it may have to spin up. The first read through the kernel has as
// long (device_settling.cc).
constexpr std::chrono::seconds read_patience{60};

std::uint32_t page_size() { return static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE)); }

ExitCode code_of(LinkFault fault) {
    return fault == LinkFault::unreachable ? ExitCode::unreachable : ExitCode::refused;
}

// Tries each address of each server in turn, up to the first usable address. Collects every failure of the
// round.
class Search {
public:
    Search(const SearchRequest& request, Claimant& claimant, const Report& report)
        : request_(request), claimant_(claimant), report_(report) {}
    // No round begins later.
    [[nodiscard]] Clock::time_point end() const noexcept { return begin_ + request_.patience; }
    std::expected<Found, Failure> round();
    // Returns true if another round cannot help.
    [[nodiscard]] bool over() const noexcept { return end_.has_value(); }

private:
    std::expected<Found, Failure> all_servers();
    void tell_failures();
    bool try_target(Found& found, const Target& target);
    bool use_target(Found& found, const Target& target);
    std::expected<std::uint32_t, Failure> block_size_for(const Link& link) const;
    [[nodiscard]] Clock::duration time_to_read() const noexcept;
    nbd::SessionClaim next_claim(const Claimant::Identity& identity) const;
    void note_failure(ExitCode code, std::string text);

    const SearchRequest& request_;
    Claimant& claimant_;
    const Report& report_;
    const Clock::time_point begin_ = Clock::now();
    std::vector<std::string> failures_;
    std::vector<std::string> reported_;
    ExitCode code_ = ExitCode::unreachable;
    // The last claim that a server may have received; generation 0 before the first claim.
    nbd::SessionClaim last_;
    std::optional<Failure> end_;
    // Addresses of this round still to be tried, with the present one; of a server that is not resolved yet,
    // one.
    std::size_t targets_left_ = 1;
};

void Search::note_failure(ExitCode code, std::string text) {
    // A refusal is more informative than an unreachable server, so it determines the exit code.
    if (code == ExitCode::refused) code_ = code;
    failures_.push_back(std::move(text));
}

// Increments the generation only after a claim that a server may have received: the first claim that a server
// receives is the session's first, so no losses are reported for a session that has written nothing.
nbd::SessionClaim Search::next_claim(const Claimant::Identity& identity) const {
    const std::uint32_t before = identity.session == last_.session ? last_.generation : 0;
    return {identity.session, 0, before + 1, identity.host};
}

bool Search::try_target(Found& found, const Target& target) {
    const auto identity = claimant_.take();
    if (!identity) {
        end_ = identity.error();
        return false;
    }
    found.claim = next_claim(*identity);
    const bool usable = use_target(found, target);
    if (!usable) claimant_.release();
    return usable;
}

// A single round has no end of its own. One hanging disk must not take the time of the servers after it.
Clock::duration Search::time_to_read() const noexcept {
    if (request_.patience == std::chrono::seconds::zero()) return read_patience;
    const auto share = (end() - Clock::now()) / static_cast<Clock::rep>(targets_left_);
    return std::clamp<Clock::duration>(share, request_.least_read_patience, read_patience);
}

// Chooses the block size for which the disk's partition table was made, unless the user has chosen another.
std::expected<std::uint32_t, Failure> Search::block_size_for(const Link& link) const {
    const auto refused = [](std::string why) {
        return std::unexpected(Failure{ExitCode::refused, std::move(why)});
    };
    const nbd::BlockSizes& offered = link.offer.block_sizes;
    const auto smallest = choose_block_size(offered, request_.block_size, page_size());
    if (!smallest) return refused(smallest.error());
    const std::uint32_t length = std::max(table_bytes, offered.minimum);
    if (link.offer.size < length || offered.maximum < length) return *smallest;
    const auto start =
        read_first_bytes(link, length, std::chrono::ceil<std::chrono::milliseconds>(time_to_read()));
    if (!start)
        return std::unexpected(Failure{code_of(start.error().fault), std::string(start.error().text.view())});
    const auto table = block_size_of_table(*start, link.offer.size);
    if (!table || *table == *smallest) return *smallest;
    if (request_.block_size) {
        report_.note(
            fmt::format("block-size={}: the partition table on this disk was made for blocks of {} "
                        "bytes, so its partitions will not be found",
                        *smallest, *table));
        return *smallest;
    }
    const auto chosen = choose_block_size_of_table(offered, *table);
    if (!chosen) return refused(chosen.error());
    return *chosen;
}

bool Search::use_target(Found& found, const Target& target) {
    const std::string where = target.endpoint.text.starts_with("unix:")
                                  ? target.uri
                                  : fmt::format("{} ({})", target.uri, target.endpoint.text);
    auto link =
        make_link(target.endpoint,
                  nbd::ClientHandshake(nbd::ClientHandshake::Goal::go, target.export_name, found.claim),
                  request_.dead_after);
    if (link || link.error().connected) last_ = found.claim;
    if (!link) {
        note_failure(code_of(link.error().fault), fmt::format("{}: {}", where, link.error().text));
        return false;
    }
    const auto block_size = block_size_for(*link);
    if (!block_size) {
        note_failure(block_size.error().code, fmt::format("{}: {}", where, block_size.error().text));
        return false;
    }
    const auto request_limit = choose_request_limit(link->offer.block_sizes, *block_size, page_size());
    if (!request_limit) {
        note_failure(ExitCode::refused, fmt::format("{}: {}", where, request_limit.error()));
        return false;
    }
    if (whole_blocks(link->offer.size, *block_size) == 0) {
        note_failure(ExitCode::refused, fmt::format("{}: the export has {} bytes, less than one block of {}",
                                                    where, link->offer.size, *block_size));
        return false;
    }
    found.link = std::move(*link);
    found.block_size = *block_size;
    found.request_limit = *request_limit;
    return true;
}

std::expected<Found, Failure> Search::round() {
    failures_.clear();
    code_ = ExitCode::unreachable;
    auto found = all_servers();
    tell_failures();
    return found;
}

// Reports failures only if they differ from the previous round: a repetition every second would hide
// important lines.
void Search::tell_failures() {
    if (failures_ != reported_)
        for (const std::string& failure : failures_) report_.error(failure);
    reported_ = failures_;
}

std::expected<Found, Failure> Search::all_servers() {
    Found found;
    TargetList list;
    bool usable = false;
    std::size_t servers_left = request_.servers.size();
    for (const ServerAddress& server : request_.servers) {
        --servers_left;
        auto endpoints = resolve(server);
        if (!endpoints) {
            note_failure(ExitCode::unreachable,
                         fmt::format("{}: {}", to_uri(server), endpoints.error().text));
            continue;
        }
        // Resolve the servers after the usable server, too: the daemon cannot do so later.
        std::size_t endpoints_left = endpoints->size();
        for (Endpoint& endpoint : *endpoints) {
            targets_left_ = servers_left + endpoints_left--;
            if (!list.add(std::move(endpoint), server) || usable) continue;
            found.target = list.targets().size() - 1;
            usable = try_target(found, list.targets().back());
            if (end_) return std::unexpected(*end_);
        }
    }
    if (std::string warning = list.warning(); !warning.empty()) failures_.push_back(std::move(warning));
    found.targets = list.take();
    if (usable) return found;
    return std::unexpected(Failure{code_, "no usable server"});
}

}  // namespace

std::expected<Found, Failure> search(const SearchRequest& request, Claimant& claimant, const Report& report) {
    Search search(request, claimant, report);
    for (;;) {
        auto found = search.round();
        if (report.abandoned())
            return std::unexpected(Failure{ExitCode::failure, "canceled: the calling process has ended"});
        if (found || search.over() || Clock::now() + pause_between_rounds > search.end()) return found;
        pause_for(pause_between_rounds);
    }
}

}  // namespace holdfast::client
