// Checks the disk of other servers. A server reports its export's disk only with a claim of a session. This
// claim uses a new session, so it fences no connection, and ends with INFO, so the server enters no session.

#include "client/attach/new_targets.hh"

#include <errno.h>
#include <fmt/core.h>
#include <sys/random.h>

#include <cstring>
#include <optional>
#include <utility>

#include "client/address/uri.hh"
#include "client/attach/targets.hh"
#include "client/daemon/offer_verdict.hh"
#include "client/kernel/block_size.hh"
#include "common/linux/result.hh"

namespace holdfast::client {
namespace {

bool is_same(const Target& one, const Target& other) {
    return one.export_name == other.export_name && one.endpoint.length == other.endpoint.length &&
           std::memcmp(&one.endpoint.address, &other.endpoint.address, one.endpoint.length) == 0;
}

struct Answer {
    LineText refusal;      // empty: usable for the device
    LineText unreachable;  // empty: the server has answered
};

class Questions {
public:
    Questions(const KnownDevice& known, bool written, const nbd::Uuid& session)
        : known_(known), written_(written), session_(session) {}

    Answer ask(const Target& target) const;

private:
    const KnownDevice& known_;
    bool written_;
    nbd::Uuid session_;
};

Answer Questions::ask(const Target& target) const {
    const nbd::SessionClaim claim{.session = session_, .slot = 0, .generation = 1};
    auto link = make_link(target.endpoint,
                          nbd::ClientHandshake(nbd::ClientHandshake::Goal::info, target.export_name, claim),
                          known_.record.policy.dead_after);
    if (!link && link.error().fault == LinkFault::unreachable) return {{}, link.error().text};
    if (!link) return {link.error().text, {}};
    LiveState live = known_.live;
    live.target = no_target;  // a server that has not had the link
    const OfferVerdict verdict = judge(link->offer, link->session, known_.record, live, written_);
    if (!verdict.refusal.empty()) return {verdict.refusal, {}};
    if (verdict.cache_lost && known_.record.policy.lost_cache == LostCache::fail)
        return {
            "the server's machine is a different one or has restarted; with lost-cache=fail the device would "
            "be given up",
            {}};
    return {};
}

// Addresses of all servers, in their order.
std::vector<Target> targets_of(const std::vector<ServerAddress>& servers, const Notes& notes) {
    TargetList targets;
    for (const ServerAddress& server : servers) {
        auto endpoints = resolve(server);
        if (!endpoints) {
            notes(fmt::format("{}: {}; skipped", to_uri(server), endpoints.error().text), true);
            continue;
        }
        for (Endpoint& endpoint : *endpoints) targets.add(std::move(endpoint), server);
    }
    if (const std::string warning = targets.warning(); !warning.empty()) notes(warning, true);
    return targets.take();
}

}  // namespace

std::expected<NewTargets, Failure> find_new_targets(const std::vector<ServerAddress>& servers,
                                                    const KnownDevice& known, bool written,
                                                    const Notes& notes) {
    nbd::Uuid session{};
    if (::getrandom(session.data(), session.size(), 0) != static_cast<ssize_t>(session.size()))
        return std::unexpected(Failure{ExitCode::failure, SysError{errno, "getrandom"}.message()});
    const Questions questions(known, written, session);
    NewTargets found{targets_of(servers, notes), 0, false};
    const Target& in_use = known.record.targets[known.live.target];
    std::optional<std::uint32_t> first;
    for (std::uint32_t i = 0; i < found.targets.size(); ++i) {
        const Target& target = found.targets[i];
        const std::string where = fmt::format("{} ({})", target.uri, target.endpoint.text);
        if (known.live.link_up && is_same(target, in_use)) {
            first = i;
            found.keeps_link = true;
            continue;
        }
        const Answer answer = questions.ask(target);
        if (!answer.refusal.empty())
            return std::unexpected(Failure{ExitCode::refused, fmt::format("{}: {}", where, answer.refusal)});
        if (!answer.unreachable.empty())
            notes(fmt::format("{}: {}; retried later if another server has the disk", where,
                              answer.unreachable),
                  true);
        else if (!first)
            first = i;
    }
    if (!first)
        return std::unexpected(Failure{ExitCode::unreachable, "none of the new servers could be reached"});
    found.first = *first;
    return found;
}

std::uint32_t ask_request_limit(const Target& target, const DeviceRecord& record) {
    const auto link =
        make_link(target.endpoint, nbd::ClientHandshake(nbd::ClientHandshake::Goal::info, target.export_name),
                  record.policy.dead_after);
    return link ? whole_requests(link->offer.block_sizes.maximum, record.block_size) : 0;
}

}  // namespace holdfast::client
