// What one request does to the volume, and the head of its reply. Knows no socket, no queue and no buffer:
// those are the transmission's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "common/protocol/transmission.hh"
#include "server/exports.hh"

namespace holdfast::server {

// Of one connection. What carries out may be called from any thread; what makes replies, from the
// connection's only.
class Requests {
public:
    // All of these must outlive it.
    Requests(const nbd::Offer& offer, const OpenExport& opened, std::string label);

    // Whether the client waits for the disk and not only for the page cache. A read may have to, too:
    // try_read() tells.
    [[nodiscard]] bool waits_for_disk(const nbd::Request& request) const;
    // A read whose data are all at hand; nullopt: they are not, it would have to wait.
    [[nodiscard]] std::optional<Result<void>> try_read(const nbd::Request& request,
                                                       std::span<std::uint8_t> into) const;
    // A request that was judged good; blocks. `data`: for a read, where its data go, for a write, where they
    // are; both as long as the request.
    [[nodiscard]] Result<void> carry_out(const nbd::Request& request, std::span<std::uint8_t> data) const;
    // A part of it, `done` bytes after its beginning.
    [[nodiscard]] Result<void> read_piece(const nbd::Request& request, std::uint64_t done,
                                          std::span<std::uint8_t> into) const;
    [[nodiscard]] Result<void> write_piece(const nbd::Request& request, std::uint64_t done,
                                           std::span<const std::uint8_t> from) const;

    // Logs a failure.
    [[nodiscard]] nbd::WireSimpleReply reply(const nbd::Request& request, const Result<void>& outcome);
    [[nodiscard]] nbd::WireSimpleReply refuse(const nbd::Request& request, nbd::ErrorCode error) const;
    void log_failure(const nbd::Request& request, const SysError& error);

private:
    [[nodiscard]] bool is_durable(const nbd::Request& request) const;
    [[nodiscard]] Result<void> change_range(const nbd::Request& request) const;

    const nbd::Offer& offer_;
    const ExportConfig& config_;
    Volume& volume_;
    const Writer& writer_;
    const std::string label_;
    std::uint64_t failures_ = 0;
};

}  // namespace holdfast::server
