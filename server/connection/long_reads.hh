// Reads that exceed the memory that is available for a request: read and sent piece by piece. No other
// request of the connection runs meanwhile.
#pragma once

#include <atomic>
#include <expected>
#include <span>
#include <string>

#include "common/protocol/transmission.hh"
#include "server/connection/nbd_commands.hh"
#include "server/connection/sender.hh"
#include "server/export/counters.hh"
#include "server/transport/buffers.hh"
#include "server/transport/reply_queue.hh"

namespace holdfast::server {

// Memory for a piece of a long request.
inline constexpr std::size_t long_request_piece = 1U << 20;

class LongReads {
public:
    // All arguments must outlive this object. Pieces have lengths of whole `unit`s, except for the last.
    LongReads(const nbd::Offer& offer, NbdCommands& requests, RequestCounters& counters, Buffers& buffers,
              ReplyQueue& replies, Sender& sender, const std::atomic<Order>& order, std::size_t unit)
        : offer_(offer),
          requests_(requests),
          counters_(counters),
          buffers_(buffers),
          replies_(replies),
          sender_(sender),
          order_(order),
          unit_(unit) {}

    // Carries out a started read while no other reply is queued. Blocks. Afterwards the reply is sent, or its
    // end is queued; after a fence it is abandoned. The error: why the connection must end.
    [[nodiscard]] std::expected<void, std::string> read(const nbd::Request& request);

private:
    using Outcome = std::expected<void, std::string>;

    [[nodiscard]] Outcome read_in_chunks(const nbd::Request& request, std::span<std::uint8_t> area);
    [[nodiscard]] Result<void> send_chunk(const nbd::Request& request, const nbd::Part& part,
                                          std::span<const std::uint8_t> data);
    [[nodiscard]] Outcome read_in_pieces(const nbd::Request& request, std::span<std::uint8_t> area);
    // Reads the whole range. False: the reply is queued, or a fence has ended the connection.
    [[nodiscard]] bool check_range(const nbd::Request& request, std::span<std::uint8_t> area);
    [[nodiscard]] Outcome send_range(const nbd::Request& request, std::span<std::uint8_t> area);
    [[nodiscard]] std::unexpected<std::string> lost(const SysError& error) const {
        return std::unexpected(sender_.failure_text(error));
    }

    const nbd::Offer& offer_;
    NbdCommands& requests_;
    RequestCounters& counters_;
    Buffers& buffers_;
    ReplyQueue& replies_;
    Sender& sender_;
    const std::atomic<Order>& order_;
    const std::size_t unit_;
};

}  // namespace holdfast::server
