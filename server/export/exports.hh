// The exports as one client on one listener sees them: which names there are, whether it may have them, and
// what it is offered. Lives as long as its connection, and keeps the configuration that was in force when
// that began.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/protocol/server_handshake.hh"
#include "server/access/admission.hh"
#include "server/access/log_limit.hh"
#include "server/access/peer.hh"
#include "server/config/access_table.hh"
#include "server/config/config.hh"
#include "server/export/counters.hh"
#include "server/export/disks_in_use.hh"
#include "server/export/sessions.hh"
#include "server/opener/opener_link.hh"
#include "server/transport/buffers.hh"
#include "server/transport/busy_poll.hh"
#include "server/transport/pipe_pool.hh"
#include "server/volume/volume_registry.hh"

namespace holdfast::server {

// How many connections each export has, by its name: across reloads of the configuration.
class ConnectionCounts {
public:
    // Counts one more, unless there are `limit` already (0: no limit).
    [[nodiscard]] bool enter(const std::string& name, std::uint32_t limit);
    void leave(const std::string& name);
    [[nodiscard]] std::uint32_t count(std::string_view name) const;
    // In place of an export's name: all of the server's connections that have one.
    static constexpr const char* all = "";

private:
    mutable std::mutex mutex_;
    std::map<std::string, std::uint32_t, std::less<>> counts_;
};

// What a listener serves.
struct ListenScope {
    bool every_export = false;
    std::string default_export;  // empty: none

    bool operator==(const ListenScope&) const = default;
};

// What all connections of a server share.
struct Shared {
    OpenerLink& opener;
    VolumeRegistry volumes{};
    ConnectionCounts counts{};
    DisksInUse disks{};
    Sessions sessions{};
    KnownClients known_clients{};
    Statistics statistics{};
    LogLimit stranger_log{};  // for what is caused by clients who have no export
    Budget buffer_memory{};   // beyond what every connection has anyway
    PollSeats poll_seats{};
    PipePool pipes{};
    nbd::Uuid boot_identity{};
};

// The connection that a client came by.
struct ClientLine {
    Fenceable& connection;
    int socket;
    Deadline deadline;  // of the handshake
};

// The part of an export that is in use by one connection.
class OpenExport {
public:
    // `disk_use` was entered in shared.disks, unless the export is virtual.
    OpenExport(const ExportConfig& config, Shared& shared, VolumeUse use, ConnectionFacts facts,
               DisksInUse::Use disk_use)
        : config_(config),
          counts_(shared.counts),
          disks_(shared.disks),
          disk_use_(std::move(disk_use)),
          use_(std::move(use)),
          counted_connection_(shared.statistics, std::move(facts)) {}
    OpenExport(const OpenExport&) = delete;
    OpenExport& operator=(const OpenExport&) = delete;
    ~OpenExport() { leave_count(); }

    // It is not counted any more, though the volume is still held.
    void leave_count() {
        if (!std::exchange(counted_, false)) return;
        counts_.leave(config_.name);
        counts_.leave(ConnectionCounts::all);
        if (!config_.is_virtual()) disks_.leave(config_.name, disk_use_);
    }

    [[nodiscard]] const ExportConfig& config() const { return config_; }
    [[nodiscard]] Volume& volume() const { return use_.volume(); }
    // For Volume::flush(). Set before the first request; until then, one that cannot write.
    void set_writer(Writer writer) { writer_ = std::move(writer); }
    [[nodiscard]] const Writer& writer() const { return writer_; }
    [[nodiscard]] RequestCounters& counters() { return counted_connection_.counters; }
    [[nodiscard]] JobPool& jobs() const { return use_.jobs(); }

private:
    const ExportConfig& config_;
    ConnectionCounts& counts_;
    DisksInUse& disks_;
    const DisksInUse::Use disk_use_;
    bool counted_ = true;
    VolumeUse use_;
    Writer writer_;
    Statistics::Connection counted_connection_;
};

class ClientExports final : public nbd::ExportDirectory {
public:
    // `config` is kept; `shared` and what `line` names must outlive this.
    ClientExports(std::shared_ptr<const Config> config, Shared& shared, ListenScope scope, Peer peer,
                  Verdicts verdicts, ClientLine line);

    // Whether there is an export that this client may have. Where there is none: why, for the log.
    [[nodiscard]] bool has_any() const { return !visible_.empty(); }
    [[nodiscard]] std::string why_none() const;
    // The export's own name, for one that a client may have; "" is the default export of the listener.
    [[nodiscard]] std::string name_of(std::string_view name) const;
    [[nodiscard]] bool is_refused_at_once(std::string_view name) override { return visible(name) == nullptr; }

    [[nodiscard]] std::expected<std::vector<nbd::ListedExport>, nbd::Refusal> list() override;
    [[nodiscard]] std::expected<nbd::OfferedExport, nbd::Refusal> look(std::string_view name) override;
    // May wait until the deadline, or until its client is gone.
    [[nodiscard]] std::expected<nbd::ClaimAnswer, nbd::Refusal> claim(
        const nbd::SessionRequest& request, const std::optional<nbd::HostRequest>& host) override;
    // Of a connection that has made a claim, the export of the claim belongs to its session and is had only
    // while the fence stands. Any other export does not, and with it the connection leaves the session.
    [[nodiscard]] std::expected<nbd::OfferedExport, nbd::Refusal> open(std::string_view name) override;
    // The connection will have nothing more to do with the disk, and its successor need not wait for what is
    // left of it. `unread`: how much its client had sent beyond what was taken up.
    void let_go(std::uint64_t unread);

    // A disk is held open for this connection, by a claim or an open().
    [[nodiscard]] bool uses_disk() const { return claim_ || opened_; }
    // Set by a successful open().
    [[nodiscard]] OpenExport* opened() { return opened_ ? &*opened_ : nullptr; }

private:
    using Found = std::expected<const ExportConfig*, nbd::Refusal>;

    // What the connection said of its session, and what became of that.
    struct Claim {
        const ExportConfig* config;
        std::string identity;                 // what the client was told
        std::unique_ptr<SessionPlace> place;  // none: refused
        // Taken into use before the older connections let go of it, so that it is not closed and opened in
        // between.
        VolumeUse use;
        ConnectionFacts::Session session;
        bool stands = false;  // every older connection has let go
    };

    // The export that the name means here, if this client may have it. Logs a refusal. One that it may not
    // have is to the client as if there were none, so that nobody learns of exports that are not for him.
    [[nodiscard]] Found find(std::string_view name);
    [[nodiscard]] bool offers(const ExportConfig& config) const;
    // nullptr: the client may have no export of this name. Costs the same whether there is one or not.
    [[nodiscard]] const ExportConfig* visible(std::string_view name) const;
    [[nodiscard]] DiskWanted wanted(const ExportConfig& config) const;
    // `session`: null where the client has named none.
    [[nodiscard]] DisksInUse::Use disk_use(const ExportConfig& config, const VolumeUse& use,
                                           const nbd::Uuid* session) const;
    [[nodiscard]] std::unexpected<nbd::Refusal> refuse(const ExportConfig& config, nbd::OptionReply reply,
                                                       std::string_view why, std::string_view told);
    [[nodiscard]] std::unexpected<nbd::Refusal> refuse(const ExportConfig& config,
                                                       const VolumeRefusal& refusal);
    [[nodiscard]] std::unexpected<nbd::Refusal> refuse_unknown(std::string_view name);
    // What the client is told of a name that means nothing to it.
    [[nodiscard]] static std::string_view unknown_text(std::string_view name);
    void log_refusal(std::string_view text);
    // Its writer, and a line in the log where the volume is open in another way than the export asks for.
    [[nodiscard]] Writer begin(const ExportConfig& config, Volume& volume, bool claimed) const;
    [[nodiscard]] ConnectionFacts facts_of(const ExportConfig& config, const Volume& volume) const;
    // What the client says of its host, where that is of any use: who reads only fences nobody.
    [[nodiscard]] std::optional<HostClaim> host_claim(const ExportConfig& config, const Volume& volume,
                                                      const std::optional<nbd::HostRequest>& host) const;
    // These three of claim_. Logs whom it fenced.
    [[nodiscard]] std::expected<void, nbd::Refusal> wait_for_fence(const nbd::SessionRequest& request);
    // nullopt: this connection may use the export of its claim; otherwise why not.
    [[nodiscard]] std::optional<std::string> out_of_session() const;
    // What was opened is what the client was told of.
    [[nodiscard]] std::expected<void, VolumeRefusal> check_identity(const ExportConfig& config,
                                                                    const Volume& volume) const;

    std::shared_ptr<const Config> config_;
    Shared& shared_;
    ListenScope scope_;
    Peer peer_;
    Verdicts verdicts_;
    ClientLine line_;
    std::vector<const ExportConfig*> visible_;  // what the client may have, by listener and authfiles
    unsigned refusals_ = 0;
    std::optional<OpenExport> opened_;
    std::optional<Claim> claim_;
};

// A name that a client made up, for the log: short, and with nothing in it that a log's reader could stumble
// over.
[[nodiscard]] std::string printable(std::string_view name);

// What is offered of a volume with these traits. The error says why it cannot be.
[[nodiscard]] std::expected<nbd::Offer, std::string> make_offer(const ExportConfig& config,
                                                                const VolumeTraits& traits);

}  // namespace holdfast::server
