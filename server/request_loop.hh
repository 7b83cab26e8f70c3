// The transmission phase of one connection: takes a request, carries it out, replies, one after the other.
// The plain engine: what it does blocks, in the thread of the connection. Its memory is bounded by `piece`,
// whatever a client asks for: longer requests are carried out in pieces.
#pragma once

#include <atomic>
#include <memory>
#include <new>
#include <string>

#include "common/protocol/structured_reply.hh"
#include "common/protocol/transmission.hh"
#include "server/exports.hh"
#include "server/socket_io.hh"

namespace holdfast::server {

// What a connection is told from outside. Once it is not `serve`, no request is taken up any more.
enum class Order : std::uint8_t {
    serve,
    stop,   // the request that is being carried out is finished and answered
    fence,  // of it, too, nothing more is done than what is with the disk
};

class RequestLoop {
public:
    // All of these must outlive the loop. `sending` is set while a reply is given to the client.
    RequestLoop(int socket, const nbd::Offer& offer, OpenExport& opened, std::string label,
                const std::atomic<Order>& order, std::atomic<bool>& sending);

    // Runs until the connection is to be closed, and says why, for the log.
    [[nodiscard]] std::string run();
    // How much of what the client sent was not taken up.
    [[nodiscard]] std::uint64_t unread() const { return receiver_.unread(); }

private:
    static constexpr std::size_t piece = 2U << 20;
    // Below this, looking for a hole costs more than it saves.
    static constexpr std::size_t least_hole = 64U << 10;
    static_assert(nbd::longest_unfragmented <= piece);
    // The head of a reply stands right before its data, and the data are aligned.
    static constexpr std::size_t before_data = data_alignment;
    struct FreeAligned {
        void operator()(std::uint8_t* memory) const {
            ::operator delete[](memory, std::align_val_t{data_alignment});
        }
    };
    static_assert(nbd::ReplyHead::longest <= before_data);

    // What follows a step: the next one, or the end for the reason in why_.
    enum class Next : std::uint8_t { go_on, end };

    [[nodiscard]] Next serve(const nbd::Request& request);
    [[nodiscard]] Next read(const nbd::Request& request);
    [[nodiscard]] Next read_in_pieces(const nbd::Request& request);
    [[nodiscard]] Next read_in_chunks(const nbd::Request& request);
    [[nodiscard]] bool is_hole(const nbd::Part& part) const;
    [[nodiscard]] Next block_status(const nbd::Request& request);
    [[nodiscard]] Next write(const nbd::Request& request);
    [[nodiscard]] Next refuse(const nbd::Request& request, const nbd::Judgement& judgement);
    [[nodiscard]] Next reply(const nbd::Request& request, const Result<void>& outcome);
    [[nodiscard]] Next send(std::span<const std::uint8_t> data, bool more_follows = false);
    [[nodiscard]] Next end(std::string why);
    [[nodiscard]] Next ended_by_order();
    [[nodiscard]] Next ended_receiving(Received how, bool within_request);
    [[nodiscard]] Result<void> carry_out(const nbd::Request& request);
    [[nodiscard]] bool is_durable(const nbd::Request& request) const;
    // At most `piece`, aligned to data_alignment.
    [[nodiscard]] std::span<std::uint8_t> buffer(std::size_t size);
    // Puts the head in front of data that are in the buffer.
    [[nodiscard]] static std::span<const std::uint8_t> with_head(const nbd::ReplyHead& head,
                                                                 std::span<std::uint8_t> data);
    void log_failure(const nbd::Request& request, const SysError& error);

    int socket_;
    const nbd::Offer& offer_;
    const ExportConfig& config_;
    Volume& volume_;
    const Writer& writer_;
    RequestCounters& counters_;
    std::string label_;
    const std::atomic<Order>& order_;
    std::atomic<bool>& sending_;
    Receiver receiver_;
    std::unique_ptr<std::uint8_t[], FreeAligned> buffer_;  // grows to what was needed so far
    std::size_t buffer_size_ = 0;
    std::uint64_t failures_ = 0;
    std::string why_;
};

}  // namespace holdfast::server
