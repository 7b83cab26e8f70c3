// Transmission phase of one connection, in its own thread: moves bytes and jobs. Every received request is
// started. A request that needs no disk is carried out at once, any other request goes to the threads of the
// volume, and all finished replies are sent together.
//
// Does not use io_uring. A request served from the page cache is a memory copy on either side, and a batch of
// requests needs only two calls to be received and answered. Measurements: a bare prototype with a ring per
// connection, registered buffers and files and no checks, with the same structured replies (fio, loopback,
// Linux 6.18, medians of 3), relative to this server: 4k reads at depth 32 on one connection 0.95 to 1.0,
// at 1.6 times the CPU (coalescing.hh). The same on four connections, and 4k writes, 0.9; reads at depth 1
// at 1.6 times the CPU. For requests that wait for a disk, fio's threads cost 1.4 times the CPU of its ring,
// at the same rate. Operations of a ring also bypass seccomp filters (system_call_filter.hh).
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "common/linux/clock.hh"
#include "common/protocol/transmission.hh"
#include "server/connection/disk_job.hh"
#include "server/connection/full_disk_waits.hh"
#include "server/connection/long_reads.hh"
#include "server/connection/loss_delivery.hh"
#include "server/connection/nbd_commands.hh"
#include "server/connection/receiver.hh"
#include "server/connection/sender.hh"
#include "server/connection/thread_keeping.hh"
#include "server/export/client_exports.hh"
#include "server/transport/buffers.hh"
#include "server/transport/reply_queue.hh"
#include "server/volume/job_pool.hh"

namespace holdfast::server {

class Transmission {
public:
    // All arguments must outlive this object. `sending` is set while replies are being sent to the client.
    Transmission(int socket, const nbd::Offer& offer, OpenExport& opened, Budget::Borrower memory,
                 PollSeats& seats, PipePool& pipes, std::string label, const std::atomic<Order>& order,
                 std::atomic<bool>& sending);
    Transmission(const Transmission&) = delete;
    Transmission& operator=(const Transmission&) = delete;
    ~Transmission();

    // Runs until the connection must be closed, and returns the reason for the log; no disk operation is in
    // progress then. nullopt: the client has been silent for a while, and no memory is held for the
    // connection. Call run() again, in any thread, when the socket is readable.
    [[nodiscard]] std::optional<std::string> run();
    // Whether the client has announced the end of its connection (NBD_CMD_DISC).
    [[nodiscard]] bool was_announced() const noexcept { return announced_; }
    // Number of received bytes that were not processed.
    [[nodiscard]] std::uint64_t unread() const { return receiver_.unread(); }

private:
    // A write whose payload is received directly into the buffer that is written from: as a whole, or piece
    // by piece if the payload exceeds the available memory or arrives slowly. A piece always consists of
    // whole blocks.
    struct Payload {
        nbd::Request request;
        std::span<std::uint8_t> area;  // reserved
        std::size_t committed = 0;     // committed bytes of the area; may be touched
        std::size_t filled = 0;        // received bytes of the committed part
        std::uint64_t done = 0;        // bytes written by earlier pieces
        Clock::time_point since{};     // start of this piece
        // Length of the piece if all memory can be committed.
        [[nodiscard]] std::size_t size() const;
        // Destination of the next bytes; empty if memory must be committed first.
        [[nodiscard]] std::span<std::uint8_t> window() const;
    };
    // A payload to discard, and the reply to send afterwards.
    struct Skip {
        std::uint64_t left;
        nbd::ReplyHead reply;
    };
    // Maximum number of jobs per connection. Exceeds the number of threads, so that no thread waits for this
    // connection.
    static constexpr std::size_t most_jobs = 64;
    enum class Taken : std::uint8_t {
        yes,
        incomplete,  // more bytes must be received
        no_room,     // replies must be sent or jobs finished first, to free memory
    };

    void take_up();
    [[nodiscard]] Taken take_up_next();
    [[nodiscard]] Taken serve(const nbd::Request& request);
    [[nodiscard]] Taken read(const nbd::Request& request);
    void send_pages(const nbd::Request& request);
    [[nodiscard]] Taken write(const nbd::Request& request);
    [[nodiscard]] Taken go_on_with_payload();
    [[nodiscard]] Taken find_room_for_payload();
    [[nodiscard]] std::unique_ptr<DiskJob> job_of_payload();
    void write_part(std::size_t length);
    void hold_payload();
    // Whether the connection must wait for room on the disk before it receives more of a payload.
    [[nodiscard]] bool is_held() const { return held_ && payload_->window().empty(); }
    void write_what_came();
    [[nodiscard]] Taken go_on_skipping();
    // Whether a reply, a job or a request that waits for room will free memory.
    [[nodiscard]] bool will_free_memory() const;
    void drop_payload();
    void take_from_input(const nbd::Request& request);
    void start_job(const nbd::Request& request, std::span<std::uint8_t> area);
    void start(std::unique_ptr<DiskJob> work);
    void settle(std::unique_ptr<DiskJob> work);
    void keep_waiting(std::unique_ptr<DiskJob> work);
    void attempt_again();
    void finish(DiskJob& work);
    void collect_jobs();
    void reply(const nbd::Request& request, const Result<void>& outcome, std::span<std::uint8_t> area = {});
    void send_replies();
    void wait();
    void receive(bool may_wait);
    [[nodiscard]] Receiver::Next next() const;
    void wait_for_job();
    [[nodiscard]] Deadline next_attempt() const;
    void wait_for_room();
    void wait_while_idle();
    void fall_asleep();
    void note_delivery();
    void end(std::string why);
    void lose_link(std::string why);
    void end_by_order();

    int socket_;
    const nbd::Offer& offer_;
    const ExportConfig& config_;
    RequestCounters& counters_;
    const std::atomic<Order>& order_;
    NbdCommands requests_;
    const std::size_t unit_;  // bytes; the length of each piece is a multiple, except for the last
    Buffers buffers_;
    Receiver receiver_;
    ReplyQueue replies_;
    Sender sender_;
    LongReads long_reads_;
    PagePipe pages_;
    JobLane jobs_;
    std::size_t job_limit_ = most_jobs;  // 0 while the maximum number of requests wait for room on the disk
    FullDiskWaits full_disk_;
    LossDelivery losses_;
    std::optional<Payload> payload_;
    std::unique_ptr<FullDisk::Wait> held_;  // a piece of the payload found no room on the disk
    Clock::time_point held_until_{};        // next attempt; valid only with held_
    std::optional<Skip> skip_;
    bool held_back_ = false;  // receive nothing until there is memory for the pending request
    bool dormant_ = false;    // run() returns, to be called again
    ThreadKeeping keeping_;
    bool ending_ = false;     // start no new request
    bool announced_ = false;  // by NBD_CMD_DISC
    bool link_lost_ = false;  // send nothing more
    std::string why_;         // valid only if ending_
};

}  // namespace holdfast::server
