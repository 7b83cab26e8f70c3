// A round goes through all servers even when the first can be used: the daemon needs the addresses of the
// others, and cannot resolve names later.

#include "client/search.hh"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "client/block_size.hh"
#include "client/pause.hh"

namespace holdfast::client {
namespace {

constexpr std::chrono::seconds pause_between_rounds{1};

ExitCode code_of(LinkFault fault) {
    return fault == LinkFault::unreachable ? ExitCode::unreachable : ExitCode::refused;
}

// One attempt at each address of each server in turn; the first that can be used. Every failure of the round
// is kept.
class Search {
public:
    Search(const SearchRequest& request, const Report& report) : request_(request), report_(report) {}
    std::expected<Found, Failure> round();

private:
    bool try_target(Found& found, std::size_t number);
    void note_failure(ExitCode code, std::string text);

    const SearchRequest& request_;
    const Report& report_;
    std::vector<std::string> failures_;
    std::vector<std::string> told_;
    ExitCode code_ = ExitCode::unreachable;
    std::uint32_t generation_ = 0;
};

void Search::note_failure(ExitCode code, std::string text) {
    // A refusal says more than a silence: it is what the exit code tells.
    if (code == ExitCode::refused) code_ = code;
    failures_.push_back(std::move(text));
}

bool Search::try_target(Found& found, std::size_t number) {
    const Target& target = found.targets[number];
    const std::string where = target.endpoint.text.starts_with("unix:")
                                  ? target.uri
                                  : fmt::format("{} ({})", target.uri, target.endpoint.text);
    const nbd::SessionClaim claim{request_.session, 0, generation_ + 1, request_.host};
    auto link = make_link(target.endpoint,
                          nbd::ClientHandshake(nbd::ClientHandshake::Goal::go, target.export_name, claim),
                          request_.dead_after);
    // The first claim that a server receives is the session's first: who has written nothing lost nothing.
    if (link || link.error().connected) ++generation_;
    if (!link) {
        note_failure(code_of(link.error().fault), fmt::format("{}: {}", where, link.error().text));
        return false;
    }
    const auto page = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
    auto block_size = choose_block_size(link->offer.block_sizes, request_.block_size, page);
    if (!block_size) {
        note_failure(ExitCode::refused, fmt::format("{}: {}", where, block_size.error()));
        return false;
    }
    const auto request_limit = choose_request_limit(link->offer.block_sizes, *block_size, page);
    if (!request_limit) {
        note_failure(ExitCode::refused, fmt::format("{}: {}", where, request_limit.error()));
        return false;
    }
    if (whole_blocks(link->offer.size, *block_size) == 0) {
        note_failure(ExitCode::refused, fmt::format("{}: the export has {} bytes, not one whole block of {}",
                                                    where, link->offer.size, *block_size));
        return false;
    }
    found.target = number;
    found.generation = generation_;
    found.link = std::move(*link);
    found.block_size = *block_size;
    found.request_limit = *request_limit;
    return true;
}

std::expected<Found, Failure> Search::round() {
    failures_.clear();
    code_ = ExitCode::unreachable;
    Found found;
    bool usable = false;
    for (const ServerAddress& server : request_.servers) {
        const std::string uri = to_uri(server);
        auto endpoints = resolve(server);
        if (!endpoints) {
            note_failure(ExitCode::unreachable, fmt::format("{}: {}", uri, endpoints.error().text));
            continue;
        }
        // Servers after the one that was found are resolved too: the daemon cannot do so later.
        for (Endpoint& endpoint : *endpoints) {
            found.targets.push_back({std::move(endpoint), server.export_name, uri});
            if (!usable) usable = try_target(found, found.targets.size() - 1);
        }
    }
    // Told when they are other than in the round before: the same every second would hide what matters.
    if (failures_ != told_)
        for (const std::string& failure : failures_) report_.error(failure);
    told_ = failures_;
    if (usable) return found;
    return std::unexpected(Failure{code_, "no server could be used"});
}

}  // namespace

std::expected<Found, Failure> search(const SearchRequest& request, const Report& report) {
    const auto end = Clock::now() + request.patience;
    Search search(request, report);
    for (;;) {
        auto found = search.round();
        if (report.abandoned()) return std::unexpected(Failure{ExitCode::failure, "nobody waits any more"});
        if (found || Clock::now() + pause_between_rounds > end) return found;
        pause_for(pause_between_rounds);
    }
}

}  // namespace holdfast::client
