// What one request does to the volume, and the head of its reply. Knows no socket, no queue and no buffer:
// those are the transmission's.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/protocol/structured_reply.hh"
#include "server/connection/page_pipe.hh"
#include "server/export/exports.hh"

namespace holdfast::server {

// What a connection is told from outside. Once it is not `serve`, no request is taken up any more.
enum class Order : std::uint8_t {
    serve,
    stop,   // what was taken up is finished and answered, unless it can be given up (see below)
    fence,  // of that, too, nothing more is done than what is with the disk
};

// Of one connection. What carries out may be called from any thread; what makes replies, from the
// connection's only.
class Requests {
public:
    // All of these must outlive it.
    Requests(const nbd::Offer& offer, const OpenExport& opened, const std::atomic<Order>& order,
             std::string label);

    // Whether the client waits for the disk and not only for the page cache. A read may have to, too:
    // try_read() tells.
    [[nodiscard]] bool waits_for_disk(const nbd::Request& request) const;
    // A read whose data are all at hand; nullopt: they are not, it would have to wait.
    [[nodiscard]] std::optional<Result<void>> try_read(const nbd::Request& request,
                                                       std::span<std::uint8_t> into) const;
    // A read whose data are at hand, and long enough to be sent from where they are.
    [[nodiscard]] bool try_read(const nbd::Request& request, PagePipe& into) const;
    // Long requests that carry no data (zeroes, trim, cache) are carried out in pieces of this length, at
    // multiples of it, and are given up between two of them when the connection is told to stop or fenced.
    static constexpr std::uint64_t piece = 32U << 20;
    // A request that was judged good; blocks. `data`: for a read, where its data go, for a write, where they
    // are; both as long as the request.
    [[nodiscard]] Result<void> carry_out(const nbd::Request& request, std::span<std::uint8_t> data) const;
    // The request was given up in the middle: it must not be answered, its client sends it again.
    [[nodiscard]] static bool was_given_up(const Result<void>& outcome);
    // A part of it, `done` bytes after its beginning.
    [[nodiscard]] Result<void> read_piece(const nbd::Request& request, std::uint64_t done,
                                          std::span<std::uint8_t> into) const;
    [[nodiscard]] Result<void> write_piece(const nbd::Request& request, std::uint64_t done,
                                           std::span<const std::uint8_t> from) const;

    // What a block status is told: at least one extent.
    [[nodiscard]] Result<std::vector<nbd::StatusExtent>> block_status(const nbd::Request& request) const;
    // Whether all of it is known to be zeroes, so that a client with structured replies needs no data.
    [[nodiscard]] bool is_hole(const nbd::Request& request, const nbd::Part& part) const;

    // The reply, or of a read that was carried out, what comes before its data. Logs a failure.
    [[nodiscard]] nbd::ReplyHead reply(const nbd::Request& request, const Result<void>& outcome);
    // The end of a read that was answered with data up to `offset` and fails there. Logs it.
    [[nodiscard]] nbd::ReplyHead reply_failed_at(const nbd::Request& request, const SysError& error,
                                                 std::uint64_t offset);
    // Of a request that was judged bad.
    [[nodiscard]] nbd::ReplyHead refuse(const nbd::Request& request, nbd::ErrorCode error);
    void log_failure(const nbd::Request& request, const SysError& error);
    // For the delivery of what a failed flush tells.
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
