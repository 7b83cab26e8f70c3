// Logs each refusal once, with all details; the client receives fewer.

#include "server/export/client_exports.hh"

#include <fmt/core.h>
#include <sys/random.h>

#include <algorithm>

#include "common/linux/clock.hh"
#include "common/linux/log.hh"
#include "common/text/plural.hh"
#include "common/text/printable.hh"
#include "server/export/offer.hh"

namespace holdfast::server {

using nbd::Offer;
using nbd::OptionReply;
using nbd::Refusal;

namespace {

std::string_view bytes_of(const nbd::Uuid& id) {
    return {reinterpret_cast<const char*>(id.data()), id.size()};
}

}  // namespace

ClientExports::ClientExports(std::shared_ptr<const Config> config, Shared& shared, ListenScope scope,
                             Peer peer, Verdicts verdicts, ClientLine line)
    : config_(std::move(config)),
      shared_(shared),
      scope_(std::move(scope)),
      peer_(std::move(peer)),
      verdicts_(std::move(verdicts)),
      line_(line),
      boot_files_(shared_.opener, shared_.boot_uploads, peer_.name,
                  [this](std::string_view name, const nbd::Uuid& session) {
                      return judge_boot_files(name, session);
                  }) {
    for (const ExportConfig& one : config_->exports) {
        if (offers(one) && !verdicts_.forbidden(one.authfile)) visible_.push_back(&one);
    }
}

bool ClientExports::offers(const ExportConfig& config) const {
    return scope_.every_export || config.name == scope_.default_export;
}

const ExportConfig* ClientExports::visible(std::string_view name) {
    const std::string_view wanted = name.empty() ? std::string_view(scope_.default_export) : name;
    const auto found = std::ranges::find_if(visible_, [&](const ExportConfig* one) {
        return !wanted.empty() && one->name == wanted && !one->by_name();
    });
    return found == visible_.end() ? visible_of_host(name) : *found;
}

// A section of the name itself goes first even if this client may not use it, as in the opener.
const ExportConfig* ClientExports::visible_of_host(std::string_view name) {
    constexpr std::size_t most_names = 16;  // a client has a few disks
    const ExportConfig* const section = config_->find(name);
    if (section == nullptr || std::ranges::find(visible_, section) == visible_.end()) return nullptr;
    if (!section->by_name()) return section;  // another spelling of a MAC address
    std::optional<ExportConfig> made = export_of_host(*section, name);
    if (!made) return nullptr;
    if (const auto known = of_hosts_.find(made->name); known != of_hosts_.end()) return &known->second;
    if (of_hosts_.size() >= most_names) return nullptr;
    std::string key = made->name;
    return &of_hosts_.emplace(std::move(key), std::move(*made)).first->second;
}

std::string ClientExports::name_of(std::string_view name) {
    const ExportConfig* const found = visible(name);
    if (found == nullptr) return {};
    return found->created ? fmt::format("{} of {}", found->created->name, peer_.host) : found->name;
}

std::string ClientExports::why_none() const {
    for (const ExportConfig& one : config_->exports) {
        if (!offers(one)) continue;
        if (const auto why = verdicts_.forbidden(one.authfile))
            return fmt::format("no export is available to this client; export {}: {}", one.name, *why);
    }
    return "no export is available to this client";
}

const ExportConfig* ClientExports::of_session(const ExportConfig& config, const nbd::Uuid* session) {
    if (!config.by_session()) return &config;
    const std::string word = session != nullptr ? session_word(bytes_of(*session)) : word_of_connection();
    const auto known = std::ranges::find_if(of_sessions_, [&](const ExportConfig& one) {
        return one.name == config.name && one.host_word == word;
    });
    if (known != of_sessions_.end()) return &*known;
    std::optional<ExportConfig> made = export_of_session(config, word);
    return made ? &of_sessions_.emplace_back(std::move(*made)) : &config;
}

const std::string& ClientExports::word_of_connection() {
    nbd::Uuid random{};
    if (word_.empty() && ::getrandom(random.data(), random.size(), 0) == ssize_t{random.size()})
        word_ = connection_word(bytes_of(random));
    return word_;
}

std::string ClientExports::likely_session(const ExportConfig& config) const {
    if (!config.by_session()) return {};
    if (has_claimed(config)) return claim_->config->host_word;
    return shared_.statistics.session_at(config.name, peer_.host);
}

DiskWanted ClientExports::wanted(const ExportConfig& config) const {
    return {config.name,
            peer_.host,
            !config.readonly,
            line_.deadline,
            path_for_client(config, peer_.host),
            config.by_session() ? config.host_word : std::string()};
}

std::optional<DiskWanted> ClientExports::volume_to_end(bool said_so) const {
    if (!opened_ || !opened_->config().by_session()) return std::nullopt;
    const ExportConfig& config = opened_->config();
    if (!said_so && !is_connection_word(config.host_word)) return std::nullopt;
    return wanted(config);
}

Writer ClientExports::begin(const ExportConfig& config, Volume& volume, bool claimed) const {
    const bool direct = volume.always_waits();
    if (config.direct().value_or(direct) != direct) {
        log::notice(fmt::format("export {}: {} is served {} the page cache, as are the other connections",
                                config.name, peer_.name, direct ? "without" : "through"));
    }
    DiskLosses& losses = volume.losses();
    // The claim already settled earlier losses for a new session; since then the session's other slots may
    // have written.
    return claimed ? losses.begin(claim_->session.id, false) : losses.begin_nameless(peer_.host);
}

// A connection may be refused repeatedly; a well-behaved client is seldom refused more than once.
void ClientExports::log_refusal(std::string_view text) {
    constexpr unsigned most_logged = 4;
    if (++refusals_ <= most_logged) {
        shared_.stranger_log.write(log::Level::notice, text);
    } else {
        log::debug(text);
    }
}

// The log gets the full reason; the client only the text that helps a legitimate user.
std::unexpected<Refusal> ClientExports::refuse(const ExportConfig& config, OptionReply reply,
                                               std::string_view why, std::string_view told) {
    log_refusal(fmt::format("export {}: {} refused: {}", config.name, peer_.name, why));
    return std::unexpected(Refusal{reply, std::string(told)});
}

std::string_view ClientExports::unknown_text(std::string_view name) {
    return name.empty() ? "this port has no default export; name an export"
                        : "there is no export of this name";
}

// The client-supplied name comes last, so that it cannot pass for server text.
std::unexpected<Refusal> ClientExports::refuse_unknown(std::string_view name) {
    const std::string_view why = unknown_text(name);
    log_refusal(name.empty()
                    ? fmt::format("{} refused: {}", peer_.name, why)
                    : fmt::format("{} refused: {}: \"{}\"", peer_.name, why, printable_ascii(name, 100)));
    return std::unexpected(Refusal{OptionReply::err_unknown, std::string(why)});
}

// Clients show ERR_UNKNOWN as "no such export", so it is sent only if that is true.
std::unexpected<Refusal> ClientExports::refuse(const ExportConfig& config, const VolumeRefusal& refusal) {
    return refuse(config, refusal.absent ? OptionReply::err_unknown : OptionReply::err_policy, refusal.text,
                  refusal.text);
}

// Determines the log text after the verdict, so that response time does not reveal hidden exports.
ClientExports::Found ClientExports::find(std::string_view name) {
    if (const ExportConfig* const found = visible(name)) return found;
    const std::string_view wanted = name.empty() ? std::string_view(scope_.default_export) : name;
    const ExportConfig* const hidden = wanted.empty() ? nullptr : config_->find(wanted);
    if (hidden == nullptr || !offers(*hidden)) return refuse_unknown(name);
    shared_.statistics.turned_away(TurnedAway::not_allowed);
    return refuse(
        *hidden, OptionReply::err_unknown,
        verdicts_.forbidden(hidden->authfile).value_or("the connection has asked for too many hosts"),
        unknown_text(name));
}

// Not logged: listing is a common request and does not indicate an attack.
std::expected<std::vector<nbd::ListedExport>, Refusal> ClientExports::list() {
    if (!config_->allowlist)
        return std::unexpected(
            Refusal{OptionReply::err_policy,
                    "listing the exports is not allowed; allowlist = true in [generic] permits it"});
    std::vector<nbd::ListedExport> exports;
    for (const ExportConfig* one : visible_)
        if (!one->by_name()) exports.push_back({one->name, one->description});
    return exports;
}

std::expected<nbd::OfferedExport, Refusal> ClientExports::look(std::string_view name) {
    const Found found = find(name);
    if (!found) return std::unexpected(found.error());
    const ExportConfig& config = **found;
    DiskWanted disk = wanted(config);
    disk.session = likely_session(config);
    const std::expected<VolumeTraits, VolumeRefusal> traits = shared_.opener.look(disk);
    if (!traits) return refuse(config, traits.error());
    const std::expected<Offer, std::string> offer = make_offer(config, *traits);
    if (!offer) return refuse(config, {false, offer.error()});
    return nbd::OfferedExport{*offer, {config.name, config.description}};
}

// All refusals that last are equal for the client, so that it learns nothing about exports of others. A
// client whose device reconnects just then learns that it may try again.
std::expected<std::string, Refusal> ClientExports::judge_boot_files(std::string_view name,
                                                                    const nbd::Uuid& session) {
    constexpr std::string_view told =
        "boot files are taken only for an export with bootfiles = yes, and from the client that uses it";
    const ExportConfig* const config = visible(name);
    if (config == nullptr) {
        log_refusal(fmt::format("{}: boot files refused: no such export for this client: \"{}\"", peer_.name,
                                printable_ascii(name, 100)));
        return std::unexpected(Refusal{OptionReply::err_policy, std::string(told)});
    }
    if (!config->bootfiles)
        return refuse(*config, OptionReply::err_policy, "boot files need bootfiles = yes", told);
    constexpr std::string_view no_writer =
        "boot files need a connection of their session that uses the export for writing";
    if (!shared_.statistics.has_writer(config->name, session))
        return refuse(*config, OptionReply::err_no_writer, no_writer, no_writer);
    return config->name;
}

DisksInUse::Use ClientExports::disk_use(const ExportConfig& config, const VolumeUse& use,
                                        const nbd::Uuid* session) const {
    // Connections from the same address without a session may belong to the same client.
    std::string client = "address " + peer_.host;
    if (session != nullptr) client.assign(session->begin(), session->end());
    return {use.key(), path_for_client(config, peer_.host), std::move(client), !use.key().writable};
}

std::expected<Offer, std::string> ClientExports::offer_of(const ExportConfig& config, const VolumeUse& use) {
    const Result<VolumeTraits>& traits = use.traits();
    return traits ? make_offer(config, *traits) : std::unexpected(traits.error().message());
}

// Makes all other checks before it cuts off the older connections.
std::expected<nbd::ClaimAnswer, Refusal> ClientExports::claim(const nbd::SessionRequest& request,
                                                              const std::optional<nbd::HostRequest>& host) {
    const Found found = find(request.export_name);
    if (!found) return std::unexpected(found.error());
    const ExportConfig& config = *of_session(**found, &request.session);
    std::expected<VolumeUse, VolumeRefusal> use = shared_.volumes.acquire(shared_.opener, wanted(config));
    if (!use) return refuse(config, use.error());
    if (const auto offer = offer_of(config, *use); !offer) return refuse(config, {false, offer.error()});
    const DisksInUse::Use disk = disk_use(config, *use, &request.session);
    if (const auto why = config.is_virtual() ? std::nullopt : shared_.disks.conflict(config.name, disk))
        return refuse(config, OptionReply::err_policy, *why, *why);
    std::optional<HostClaim> of_host = host_claim(*use, host);
    const bool stable = config.durable_writes() || use->volume().writes_are_stable();
    const std::uint32_t host_flags = (of_host ? nbd::host_fenced : 0) | (stable ? nbd::writes_stable : 0);
    if (const auto placed = take_place(config, request, std::move(*use), std::move(of_host)); !placed)
        return std::unexpected(placed.error());
    if (const auto stands = wait_for_fence(request); !stands) return std::unexpected(stands.error());
    if (peer_.address) shared_.known_clients.add(*peer_.address);
    return nbd::ClaimAnswer{shared_.boot_identity, claim_->identity, host_flags};
}

std::expected<void, Refusal> ClientExports::take_place(const ExportConfig& config,
                                                       const nbd::SessionRequest& request, VolumeUse use,
                                                       std::optional<HostClaim> of_host) {
    std::string identity = config.identity.empty() ? use.volume().identity() : config.identity;
    // The volume of a session was never another session's, and hosts need not be remembered for it.
    if (config.by_session()) of_host.reset();
    claim_.emplace(&config, std::move(identity), nullptr, std::move(use),
                   ConnectionFacts::Session{request.session, request.slot, request.generation}, false);
    auto place = shared_.sessions.claim({{request.session, request.slot, config.name},
                                         request.generation,
                                         line_.connection,
                                         peer_.name,
                                         std::move(of_host)},
                                        line_.socket, line_.deadline);
    if (!place) {
        const std::string why = place.error().text(request.generation);
        return refuse(config, OptionReply::err_policy, why, why);
    }
    claim_->place = std::move(*place);
    // A refused claim changes nothing: its session may have written with a higher generation, or from another
    // slot, and must still get reports of lost writes. A claim that times out is repeated with a higher
    // generation.
    const bool first = request.generation == 1 && request.slot == 0 && claim_->place->is_first();
    if (claim_->use.key().writable) (void)claim_->use.volume().losses().begin(request.session, first);
    return {};
}

std::optional<HostClaim> ClientExports::host_claim(const VolumeUse& use,
                                                   const std::optional<nbd::HostRequest>& host) const {
    if (!host || !use.key().writable) return std::nullopt;
    return HostClaim{{use.volume().identity(), host->host}, host->boot, host->attachment, peer_.host};
}

std::expected<void, Refusal> ClientExports::wait_for_fence(const nbd::SessionRequest& request) {
    using Fence = SessionPlace::Fence;
    const auto began = Clock::now();
    const Fence outcome = claim_->place->wait(line_.socket, line_.deadline);
    const auto waited = Clock::now() - began;
    for (const FencedConnection& one : claim_->place->fenced_by_this()) {
        const std::string successor = one.other_session
                                          ? "replaces it as a newer attachment of its machine"
                                          : fmt::format("replaces it in its session, generation {} after {}",
                                                        request.generation, one.generation);
        log::notice(
            fmt::format("export {}: {} fenced: {} {}; waited {} ms for its disk requests, discarded {} of "
                        "unread requests",
                        claim_->config->name, one.peer, peer_.name, successor,
                        std::chrono::duration_cast<std::chrono::milliseconds>(waited).count(),
                        counted(one.unread, "byte")));
    }
    const char* why = "";
    switch (outcome) {
        case Fence::stands: claim_->stands = true; return {};
        case Fence::overtaken:
            why = "a newer connection of its session or machine arrived while it waited for an older one";
            break;
        case Fence::late: why = "an older connection of its session is still busy with the disk"; break;
        case Fence::left:
            why = "the claim was abandoned while an older connection of its session was busy with the disk";
            break;
        case Fence::failed: why = "no file descriptor is left to wait for an older connection"; break;
    }
    return refuse(*claim_->config, OptionReply::err_policy, why, why);
}

// A failed claim does not entitle its connection to open the export without a claim.
std::optional<std::string> ClientExports::out_of_session() const {
    if (!claim_->stands) return "the session was refused";
    if (claim_->place->fenced()) return "replaced by a newer connection of its session or machine";
    return std::nullopt;
}

std::expected<void, VolumeRefusal> ClientExports::check_identity(const ExportConfig& config,
                                                                 const Volume& volume) const {
    if (!claim_->config->identity.empty()) return {};
    if (volume.identity() == claim_->identity) return {};
    return std::unexpected(
        VolumeRefusal{false, fmt::format("{} was replaced while being opened", config.path)});
}

std::optional<ConnectionFacts::OwnDisk> ClientExports::own_disk(const ExportConfig& config) const {
    if (!config.is_virtual()) return std::nullopt;
    return ConnectionFacts::OwnDisk{path_for_client(config, peer_.host),
                                    config.created ? config.created->name : config.name,
                                    config.by_name() || config.by_session() ? config.host_word : peer_.host,
                                    config.by_session(), peer_.host};
}

ConnectionFacts ClientExports::facts_of(const ExportConfig& config, const VolumeUse& use,
                                        std::uint64_t size) const {
    const bool claimed = has_claimed(config);
    const CacheMode mode = cache_mode(use.volume().always_waits(), config.durable_writes());
    return {config.name,
            peer_.name,
            !use.key().writable,
            word_of(mode),
            claimed ? std::optional(claim_->session) : std::nullopt,
            std::chrono::system_clock::now(),
            size,
            own_disk(config)};
}

std::expected<nbd::OfferedExport, Refusal> ClientExports::open(std::string_view name) {
    opened_.reset();
    const Found found = find(name);
    if (!found) return std::unexpected(found.error());
    const ExportConfig& config = has_claimed(**found) ? *claim_->config : *of_session(**found, nullptr);
    if (const auto why = has_claimed(config) ? out_of_session() : std::nullopt)
        return refuse(config, OptionReply::err_policy, *why, *why);
    if (const auto counted = enter_counts(config); !counted) return std::unexpected(counted.error());
    std::expected<VolumeUse, VolumeRefusal> use =
        has_claimed(config) && claim_->use ? std::expected<VolumeUse, VolumeRefusal>(std::move(claim_->use))
                                           : shared_.volumes.acquire(shared_.opener, wanted(config));
    const std::expected<Offer, Refusal> offer = use ? open(config, *use) : refuse(config, use.error());
    if (!offer) {
        // Before `use` ends, since closing its disk may take long.
        shared_.counts.leave(config.name);
        shared_.counts.leave(ConnectionCounts::all);
        return std::unexpected(offer.error());
    }
    return nbd::OfferedExport{*offer, {config.name, config.description}};
}

std::expected<void, Refusal> ClientExports::enter_counts(const ExportConfig& config) {
    if (!shared_.counts.enter(ConnectionCounts::all, config_->maxconnections)) {
        shared_.statistics.turned_away(TurnedAway::max_connections);
        const std::string why =
            fmt::format("too many connections (maxconnections = {})", config_->maxconnections);
        return refuse(config, OptionReply::err_policy, why, why);
    }
    if (!shared_.counts.enter(config.name, config.maxconnections)) {
        shared_.counts.leave(ConnectionCounts::all);
        shared_.statistics.turned_away(TurnedAway::export_connections);
        const std::string why =
            fmt::format("too many connections to this export (maxconnections = {})", config.maxconnections);
        return refuse(config, OptionReply::err_policy, why, why);
    }
    return {};
}

std::expected<Offer, Refusal> ClientExports::open(const ExportConfig& config, VolumeUse& use) {
    const bool claimed = has_claimed(config);
    const std::expected<Offer, std::string> offer = offer_of(config, use);
    if (!offer) return refuse(config, {false, offer.error()});
    if (const auto same =
            claimed ? check_identity(config, use.volume()) : std::expected<void, VolumeRefusal>();
        !same)
        return refuse(config, same.error());
    DisksInUse::Use disk = disk_use(config, use, claimed ? &claim_->session.id : nullptr);
    if (const auto why = config.is_virtual() ? std::nullopt : shared_.disks.enter(config.name, disk))
        return refuse(config, OptionReply::err_policy, *why, *why);
    const bool writable = use.key().writable;
    if (!writable && !config.readonly)
        log::notice(fmt::format("export {}: {} gets it read-only: {} is a read-only device", config.name,
                                peer_.name, config.path));
    ConnectionFacts facts = facts_of(config, use, offer->size);
    // The status counts the connection from here on; a refused client is not counted.
    opened_.emplace(config, shared_, std::move(use), facts, std::move(disk));
    if (!claimed && claim_) {
        // A successor waits for this place, and closing the claimed disk may take long.
        claim_->place.reset();
        claim_.reset();
    }
    // Last: a refused client cannot have written.
    if (writable) opened_->set_writer(begin(config, opened_->volume(), claimed));
    return *offer;
}

void ClientExports::let_go(std::uint64_t unread) {
    if (opened_) opened_->leave_count();
    if (claim_ && claim_->place) claim_->place->set_unread(unread);
    // First: a newer claim of the session waits for this place, and closing the disk may take long.
    if (claim_) claim_->place.reset();
    claim_.reset();
}

}  // namespace holdfast::server
