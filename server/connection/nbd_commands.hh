// Carries out requests on the volume and builds reply headers. Knows no socket, queue or buffer: Transmission
// owns these.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/protocol/structured_reply.hh"
#include "server/connection/page_pipe.hh"
#include "server/export/client_exports.hh"

namespace holdfast::server {

// Order to a connection from another thread. After stop or fence no new request is started.
enum class Order : std::uint8_t {
    serve,
    stop,   // finish and answer started requests, except for those that can be given up (see below)
    fence,  // stop at once; only disk operations in progress are finished
};

// Requests of one connection. Functions that carry out requests may be called from any thread; functions that
// make replies, only from the connection's thread.
class NbdCommands {
public:
    // All arguments must outlive this object.
    NbdCommands(const nbd::Offer& offer, const OpenExport& opened, const std::atomic<Order>& order,
                std::string label);

    // Whether the request needs the disk and not only the page cache. A read may need the disk, too, which
    // try_read() reports.
    [[nodiscard]] bool waits_for_disk(const nbd::Request& request) const;
    // Reads if all data are in memory; nullopt: the read would have to wait.
    [[nodiscard]] std::optional<Result<void>> try_read(const nbd::Request& request,
                                                       std::span<std::uint8_t> into) const;
    // Fills the pipe if all data are in memory and the read is long enough for splice(2).
    [[nodiscard]] bool try_read(const nbd::Request& request, PagePipe& into) const;
    // Long requests without data (zeroes, trim, cache) are carried out in pieces of this length, at multiples
    // of this length. After a stop or fence the request is given up before the next piece.
    static constexpr std::uint64_t piece = 32U << 20;
    // Carries out a valid request; blocks. `data` is as long as the request: the destination of a read, or
    // the source of a write.
    [[nodiscard]] Result<void> carry_out(const nbd::Request& request, std::span<std::uint8_t> data) const;
    // The request was given up in the middle: do not answer, the client sends the request again.
    [[nodiscard]] static bool was_given_up(const Result<void>& outcome);
    // Part of a request, `done` bytes after the beginning of the request.
    [[nodiscard]] Result<void> read_piece(const nbd::Request& request, std::uint64_t done,
                                          std::span<std::uint8_t> into) const;
    [[nodiscard]] Result<void> write_piece(const nbd::Request& request, std::uint64_t done,
                                           std::span<const std::uint8_t> from) const;

    // Extents for a block status reply: at least one.
    [[nodiscard]] Result<std::vector<nbd::StatusExtent>> block_status(const nbd::Request& request) const;
    // Whether the whole part is known to be zeroes, so that a client with structured replies needs no data.
    [[nodiscard]] bool is_hole(const nbd::Request& request, const nbd::Part& part) const;

    // Builds the reply, or for a successful read the header before its data. Logs a failure.
    [[nodiscard]] nbd::ReplyHead reply(const nbd::Request& request, const Result<void>& outcome);
    // Ends the reply to a read that already sent data up to `offset` and failed there. Logs the failure.
    [[nodiscard]] nbd::ReplyHead reply_failed_at(const nbd::Request& request, const SysError& error,
                                                 std::uint64_t offset);
    // Builds the reply to an invalid request.
    [[nodiscard]] nbd::ReplyHead refuse(const nbd::Request& request, nbd::ErrorCode error);
    void log_failure(const nbd::Request& request, const SysError& error);
    // For tracking whether the client received a failed flush.
    [[nodiscard]] const Writer& writer() const { return writer_; }

private:
    [[nodiscard]] bool is_durable(const nbd::Request& request) const;
    [[nodiscard]] Result<void> change_range(const nbd::Request& request) const;
    [[nodiscard]] Result<void> change_piece(const nbd::Request& request, std::uint64_t done,
                                            std::uint64_t length) const;

    const nbd::Offer& offer_;
    const ExportConfig& config_;
    Volume& volume_;
    const Writer& writer_;
    const std::atomic<Order>& order_;
    const std::string label_;
    std::uint64_t failures_ = 0;
    bool logged_unaligned_ = false;
};

}  // namespace holdfast::server
