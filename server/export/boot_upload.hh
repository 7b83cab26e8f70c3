// Boot files that a client hands in during its handshake (boot_file_option.hh). Writes pieces to descriptors
// from the opener, which makes, checks and names the files (boot_spool.hh).
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/linux/fd.hh"
#include "common/protocol/server_handshake.hh"
#include "server/opener/boot_spool.hh"
#include "server/opener/opener_client.hh"

namespace holdfast::server {

// Exports whose boot files a connection is handing in: one connection for each export. Thread-safe.
class BootUploads {
public:
    [[nodiscard]] bool enter(const std::string& export_name);
    void leave(const std::string& export_name);

private:
    std::mutex mutex_;
    std::set<std::string> exports_;
};

class BootUpload final : public nbd::BootFileReceiver {
public:
    // Decides whether the session may hand in boot files for the export of this name: the export's own name,
    // or the refusal, which it has logged. Refuses unknown names without blocking.
    using Judge =
        std::function<std::expected<std::string, nbd::Refusal>(std::string_view, const nbd::Uuid& session)>;

    // `opener` and `uploads` must outlive this object. `peer`: for the log.
    BootUpload(OpenerClient& opener, BootUploads& uploads, std::string peer, Judge judge);
    BootUpload(const BootUpload&) = delete;
    BootUpload& operator=(const BootUpload&) = delete;
    ~BootUpload() override;

    [[nodiscard]] std::expected<nbd::BootFileState, nbd::Refusal> begin(
        const nbd::BootFileBegin& request) override;
    [[nodiscard]] std::expected<void, nbd::Refusal> take(const nbd::BootFilePiece& piece) override;
    [[nodiscard]] std::expected<void, nbd::Refusal> end() override;
    [[nodiscard]] std::expected<void, nbd::Refusal> commit(const nbd::BootFileCommit& request) override;
    [[nodiscard]] std::expected<std::string, nbd::Refusal> status(
        const nbd::BootFileStatus& request) override;

    // Whether closing may wait for a disk.
    [[nodiscard]] bool has_file() const { return static_cast<bool>(file_); }

private:
    // Judges, and reserves the export for this connection.
    [[nodiscard]] std::expected<std::string, nbd::Refusal> enter(std::string_view name,
                                                                 const nbd::Uuid& session);
    void leave();
    [[nodiscard]] std::expected<OpenerReply, nbd::Refusal> ask(OpenerCall call,
                                                               const std::string& export_name,
                                                               std::string data,
                                                               std::chrono::seconds patience);
    // The same for an answer without further values.
    [[nodiscard]] std::expected<void, nbd::Refusal> ask_plain(OpenerCall call, const std::string& export_name,
                                                              std::string data,
                                                              std::chrono::seconds patience);
    [[nodiscard]] std::expected<void, nbd::Refusal> write(const nbd::BootFilePiece& piece);
    [[nodiscard]] std::unexpected<nbd::Refusal> refuse(const std::string& export_name, nbd::Refusal refusal);

    OpenerClient& opener_;
    BootUploads& uploads_;
    const std::string peer_;
    const Judge judge_;
    std::string export_name_;  // export reserved for this connection; empty: none
    nbd::Uuid session_{};
    BootFileWanted wanted_;
    std::uint64_t offset_ = 0;    // bytes of the file received
    std::uint64_t unsynced_ = 0;  // bytes written since the last fdatasync()
    Fd file_;                     // the incomplete file
};

}  // namespace holdfast::server
