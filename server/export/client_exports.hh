// Exports as seen by a client on a listener: names, access and offers. Lives as long as its connection, and
// keeps the configuration that was in force when the connection began.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/protocol/server_handshake.hh"
#include "server/access/peer.hh"
#include "server/config/access_table.hh"
#include "server/config/config.hh"
#include "server/export/boot_upload.hh"
#include "server/export/open_export.hh"
#include "server/export/sessions.hh"
#include "server/export/shared.hh"
#include "server/listen/listen_scope.hh"

namespace holdfast::server {

// Connection of the client.
struct ClientLine {
    Fenceable& connection;
    int socket;
    Deadline deadline;  // for the handshake
};

class ClientExports final : public nbd::ExportDirectory {
public:
    // Keeps `config`; `shared` and the references in `line` must outlive this object.
    ClientExports(std::shared_ptr<const Config> config, Shared& shared, ListenScope scope, Peer peer,
                  Verdicts verdicts, ClientLine line);

    // Whether there is an export that this client may use. If not, why_none() returns the reason for the log.
    [[nodiscard]] bool has_any() const { return !visible_.empty(); }
    [[nodiscard]] std::string why_none() const;
    // The export's own name, if the client may use the export; "" stands for the default export of the
    // listener. With `create`, the section and the client's address: a volume that is being made holds up its
    // own client only, and a client that asks for many hosts has no more places than others.
    [[nodiscard]] std::string name_of(std::string_view name);
    [[nodiscard]] bool is_refused_at_once(std::string_view name) override { return visible(name) == nullptr; }

    [[nodiscard]] std::expected<std::vector<nbd::ListedExport>, nbd::Refusal> list() override;
    [[nodiscard]] std::expected<nbd::OfferedExport, nbd::Refusal> look(std::string_view name) override;
    // May block until the deadline or until the client disconnects.
    [[nodiscard]] std::expected<nbd::ClaimAnswer, nbd::Refusal> claim(
        const nbd::SessionRequest& request, const std::optional<nbd::HostRequest>& host) override;
    // After a claim, a connection may open the claimed export, which belongs to its session, only while the
    // fence is established. Any other export does not belong to the session, and opening such an export makes
    // the connection leave the session.
    [[nodiscard]] std::expected<nbd::OfferedExport, nbd::Refusal> open(std::string_view name) override;
    [[nodiscard]] nbd::BootFileReceiver* boot_files() override { return &boot_files_; }
    // The volume of the connection's session, if the session ends with this connection; for
    // OpenerClient::end_session(), once this object no longer exists. `said_so`: the client has announced the
    // end. A client without a session never comes back to its volume.
    [[nodiscard]] std::optional<DiskWanted> volume_to_end(bool said_so) const;
    // Ends all use of the disk by this connection, so that its successor need not wait for the rest of the
    // close. `unread`: number of bytes received from the client and not processed.
    void let_go(std::uint64_t unread);

    // Whether a claim, an open() or a boot file holds a disk or file open for this connection.
    [[nodiscard]] bool uses_disk() const { return claim_ || opened_ || boot_files_.has_file(); }
    // Set by a successful open().
    [[nodiscard]] OpenExport* opened() { return opened_ ? &*opened_ : nullptr; }

private:
    using Found = std::expected<const ExportConfig*, nbd::Refusal>;

    // Claim of the connection and its result.
    struct Claim {
        const ExportConfig* config;
        std::string identity;                 // disk identity as reported to the client
        std::unique_ptr<SessionPlace> place;  // null: refused
        // Acquired before the older connections release the disk, so that the disk is not closed and reopened
        // in between.
        VolumeUse use;
        ConnectionFacts::Session session;
        bool stands = false;  // every older connection has released the disk
    };

    // Finds the export of this name, if this client may use the export. Logs a refusal. A forbidden export
    // gets the same reply as a missing export, so that clients cannot discover exports of others.
    [[nodiscard]] Found find(std::string_view name);
    [[nodiscard]] bool offers(const ExportConfig& config) const;
    // Whether this connection's claim is for the export.
    [[nodiscard]] bool has_claimed(const ExportConfig& config) const {
        return claim_ && claim_->config->name == config.name;
    }
    // Counts the connection, as one of the export and one of the server.
    [[nodiscard]] std::expected<void, nbd::Refusal> enter_counts(const ExportConfig& config);
    // Opens the export on its disk for a counted connection. Takes `use` only if it succeeds.
    [[nodiscard]] std::expected<nbd::Offer, nbd::Refusal> open(const ExportConfig& config, VolumeUse& use);
    // Makes the claim, and fences the older connections without waiting for them.
    [[nodiscard]] std::expected<void, nbd::Refusal> take_place(const ExportConfig& config,
                                                               const nbd::SessionRequest& request,
                                                               VolumeUse use,
                                                               std::optional<HostClaim> of_host);
    // nullptr: the client may use no export of this name. Takes the same time whether or not such an export
    // exists.
    [[nodiscard]] const ExportConfig* visible(std::string_view name);
    // The export of a host, if an allowed section by_name() has the name.
    [[nodiscard]] const ExportConfig* visible_of_host(std::string_view name);
    // The export with the volume of the session or, without one, of this connection; `config` itself unless
    // it is by_session().
    [[nodiscard]] const ExportConfig* of_session(const ExportConfig& config, const nbd::Uuid* session);
    // Random, the same for the whole connection.
    [[nodiscard]] const std::string& word_of_connection();
    // Word of the session whose volume a client that asks for the export's size is likely to mean: that of
    // this connection's claim, or of a connection from the same address. Empty: there is none.
    [[nodiscard]] std::string likely_session(const ExportConfig& config) const;
    [[nodiscard]] DiskWanted wanted(const ExportConfig& config) const;
    // Offer for the open volume; the error says why there is none.
    [[nodiscard]] static std::expected<nbd::Offer, std::string> offer_of(const ExportConfig& config,
                                                                         const VolumeUse& use);
    // `session`: null if the client has named no session.
    [[nodiscard]] DisksInUse::Use disk_use(const ExportConfig& config, const VolumeUse& use,
                                           const nbd::Uuid* session) const;
    [[nodiscard]] std::unexpected<nbd::Refusal> refuse(const ExportConfig& config, nbd::OptionReply reply,
                                                       std::string_view why, std::string_view told);
    [[nodiscard]] std::unexpected<nbd::Refusal> refuse(const ExportConfig& config,
                                                       const VolumeRefusal& refusal);
    [[nodiscard]] std::unexpected<nbd::Refusal> refuse_unknown(std::string_view name);
    // Refusal text for a name that is unknown to the client.
    [[nodiscard]] static std::string_view unknown_text(std::string_view name);
    void log_refusal(std::string_view text);
    // Returns the export's own name if the session may hand in boot files for the export.
    [[nodiscard]] std::expected<std::string, nbd::Refusal> judge_boot_files(std::string_view name,
                                                                            const nbd::Uuid& session);
    // Returns the connection's Writer. Logs a line if the volume is open in another cache mode than the
    // export is configured for.
    [[nodiscard]] Writer begin(const ExportConfig& config, Volume& volume, bool claimed) const;
    // `size`: bytes that the client is offered.
    [[nodiscard]] ConnectionFacts facts_of(const ExportConfig& config, const VolumeUse& use,
                                           std::uint64_t size) const;
    // Nothing unless each client has a disk of its own.
    [[nodiscard]] std::optional<ConnectionFacts::OwnDisk> own_disk(const ExportConfig& config) const;
    // Host claim of the client, if relevant: a read-only client fences no connection.
    [[nodiscard]] std::optional<HostClaim> host_claim(const VolumeUse& use,
                                                      const std::optional<nbd::HostRequest>& host) const;
    // The next three functions need claim_. wait_for_fence() logs the fenced connections.
    [[nodiscard]] std::expected<void, nbd::Refusal> wait_for_fence(const nbd::SessionRequest& request);
    // Reason why this connection may not use the export of its claim; nullopt: it may.
    [[nodiscard]] std::optional<std::string> out_of_session() const;
    // Checks that the opened disk has the identity that was reported to the client.
    [[nodiscard]] std::expected<void, VolumeRefusal> check_identity(const ExportConfig& config,
                                                                    const Volume& volume) const;

    std::shared_ptr<const Config> config_;
    Shared& shared_;
    ListenScope scope_;
    Peer peer_;
    Verdicts verdicts_;
    ClientLine line_;
    std::vector<const ExportConfig*> visible_;  // exports allowed by listener and authfiles
    std::map<std::string, ExportConfig, std::less<>>
        of_hosts_;                         // exports of sections by_name(), as asked for
    std::list<ExportConfig> of_sessions_;  // exports by_session(), as used
    std::string word_;                     // word of a connection without a session
    unsigned refusals_ = 0;
    std::optional<OpenExport> opened_;
    std::optional<Claim> claim_;
    BootUpload boot_files_;
};

}  // namespace holdfast::server
