// Validates every request before touching memory or the disk for it.

#include "server/connection/transmission.hh"

#include <fmt/core.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/linux/log.hh"
#include "server/process/thread.hh"

namespace holdfast::server {

using nbd::Command;
using nbd::ReplyHead;
using nbd::Request;
using nbd::WireRequest;

namespace {

// Maximum number of jobs per connection. Exceeds the number of threads, so that no thread waits for this
// connection.
constexpr std::size_t most_jobs = 64;
// After a write with a longer payload, the next payload is received directly into its buffer, not together
// with its request. Waiting for several such requests does not pay off either.
constexpr std::size_t small_payload = 16U << 10;
// Maximum amount of memory for a request at a time.
constexpr std::size_t largest_area = 4U << 20;
constexpr std::size_t long_request_piece = 1U << 20;
// Memory is released after this time without a request.
constexpr std::chrono::seconds patience{1};

// Whether the peer's kernel has acknowledged everything; never true after the link is lost.
bool all_received(int socket) {
    int left = 0;
    return ::ioctl(socket, SIOCOUTQ, &left) == 0 && left == 0;
}

}  // namespace

// A request queued to or running in the volume's threads.
class Transmission::Work final : public Job {
public:
    Work(const NbdCommands& requests, const std::atomic<Order>& order, const Request& to_do,
         std::span<std::uint8_t> memory)
        : request(to_do), area(memory), requests_(requests), order_(order) {}

    void work() noexcept override {
        // After a fence, the client may have sent the request again on another connection.
        if (order_ == Order::fence) return;
        if (request.command == static_cast<std::uint16_t>(Command::block_status)) {
            status = requests_.block_status(request);
        } else {
            outcome = requests_.carry_out(request, area);
        }
    }

    const Request request;
    const std::span<std::uint8_t> area;
    Result<void> outcome;
    Result<std::vector<nbd::StatusExtent>> status;  // valid only for a block status

private:
    const NbdCommands& requests_;
    const std::atomic<Order>& order_;
};

std::size_t Transmission::Payload::size() const {
    return std::min<std::uint64_t>(area.size(), request.length - done);
}

std::span<std::uint8_t> Transmission::Payload::window() const {
    return area.first(std::min(committed, size())).subspan(filled);
}

Transmission::Transmission(int socket, const nbd::Offer& offer, OpenExport& opened, Budget::Borrower memory,
                           PollSeats& seats, PipePool& pipes, std::string label,
                           const std::atomic<Order>& order, std::atomic<bool>& sending)
    : socket_(socket),
      offer_(offer),
      config_(opened.config()),
      counters_(opened.counters()),
      order_(order),
      sending_(sending),
      requests_(offer, opened, order, std::move(label)),
      unit_(std::max<std::size_t>(Buffers::page, offer.block_sizes.minimum)),
      buffers_(std::move(memory)),
      input_(socket, buffers_),
      replies_(buffers_),
      pages_(pipes),
      jobs_(opened.jobs()),
      busy_poll_(seats, opened.config().busypoll),
      coalescing_(socket, opened.config().coalesce) {}

Transmission::~Transmission() { drop_payload(); }

std::optional<std::string> Transmission::run() {
    const timeval wake{.tv_sec = patience.count(), .tv_usec = 0};
    (void)::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &wake, sizeof wake);
    if (std::exchange(dormant_, false)) keeping_.made_again(Clock::now());
    while (!dormant_) {
        collect_jobs();
        buffers_.share();
        take_up();
        if (!replies_.empty()) {
            send_replies();
        } else if (!ending_ || jobs_.outstanding() > 0) {
            wait();
        } else {
            return why_;
        }
    }
    return std::nullopt;
}

// --- starting requests ---

void Transmission::take_up() {
    held_back_ = false;
    while (!ending_ && !replies_.full()) {
        // A stopping server does not answer received requests that were not started: to the client's kernel,
        // silence is an outage, which it survives; an error is not. After a fence, such requests must not be
        // carried out: the client may already have sent them again, followed by newer writes.
        if (order_ != Order::serve) return end_by_order();
        const Taken taken = take_up_next();
        held_back_ = taken == Taken::no_room;
        if (taken != Taken::yes) return;
    }
}

Transmission::Taken Transmission::take_up_next() {
    if (payload_) return go_on_with_payload();
    if (skip_) return go_on_skipping();
    if (jobs_.outstanding() >= most_jobs) return Taken::no_room;
    if (input_.bytes().size() < sizeof(WireRequest)) return Taken::incomplete;
    const std::optional<Request> request = nbd::decode_request(input_.bytes().first<sizeof(WireRequest)>());
    if (request) return serve(*request);
    end("the client sent something that is no request");
    return Taken::yes;
}

// Takes the request from the input, or leaves the request there until there is room.
Transmission::Taken Transmission::serve(const Request& request) {
    settle_losses(request);
    const nbd::Judgement judgement = nbd::judge(request, offer_);
    switch (judgement.verdict) {
        case nbd::Verdict::serve: break;
        case nbd::Verdict::refuse:
            take_from_input(request);
            counters_.finished(request.command, 0, false);
            skip_ = Skip{judgement.payload_to_skip, requests_.refuse(request, judgement.error)};
            return Taken::yes;
        case nbd::Verdict::disconnect:
            end(request.command == static_cast<std::uint16_t>(Command::disconnect)
                    ? "disconnected"
                    : fmt::format("the client sent a request of {} bytes", request.length));
            return Taken::yes;
    }
    const auto command = static_cast<Command>(request.command);
    if (command == Command::read && request.length > 0) return read(request);
    if (command == Command::write && request.length > 0) return write(request);
    take_from_input(request);
    if (command == Command::read || command == Command::write) {
        reply(request, {});
    } else {
        start_job(request, {});
    }
    return Taken::yes;
}

// Consumes the request header; from here on the request counts as started.
void Transmission::take_from_input(const Request& request) {
    input_.consume(sizeof(WireRequest));
    counters_.taken_up();
    ++just_taken_;
    const auto command = static_cast<Command>(request.command);
    small_ = request.length <= small_payload;
    large_writes_ = command == Command::write && !small_;
}

Transmission::Taken Transmission::read(const Request& request) {
    const nbd::Part all{request.offset, request.length, true};
    if (!requests_.is_hole(request, all) && requests_.try_read(request, pages_)) {
        take_from_input(request);
        send_pages(request);
        return Taken::yes;
    }
    const std::span<std::uint8_t> area =
        request.length <= largest_area ? buffers_.take(request.length) : std::span<std::uint8_t>();
    // Retry when a pending reply or job of this connection has released memory.
    if (area.empty() && (jobs_.outstanding() > 0 || !replies_.empty())) return Taken::no_room;
    take_from_input(request);
    if (area.empty()) {
        read_long(request);
    } else if (requests_.is_hole(request, all)) {
        counters_.finished(request.command, request.length, true);
        replies_.add(nbd::hole_chunk(request, all).bytes());
        buffers_.give(area);
    } else if (requests_.waits_for_disk(request)) {
        start_job(request, area);
    } else if (const std::optional<Result<void>> tried = requests_.try_read(request, area)) {
        reply(request, *tried, area);
    } else {
        start_job(request, area);
    }
    return Taken::yes;
}

// Replies to a read whose data are in the pipe.
void Transmission::send_pages(const Request& request) {
    if (!replies_.empty()) send_replies();
    if (link_lost_ || !send(requests_.reply(request, {}).bytes(), true)) return pages_.drop();
    sending_ = true;
    const Result<void> sent = pages_.send(socket_, request.length);
    sending_ = false;
    if (!sent) return fail_to_send(sent.error());
    counters_.finished(request.command, request.length, true);
}

// Carries out a read that exceeds the available memory. No other request runs meanwhile.
void Transmission::read_long(const Request& request) {
    const std::span<std::uint8_t> area = buffers_.take_most(long_request_piece, unit_);
    if (area.empty()) return lose_link("there is no memory left for it");
    if (nbd::may_fragment(request, offer_)) {
        read_in_chunks(request, area);
    } else {
        read_in_pieces(request, area);
    }
    buffers_.give(area);
}

// A structured reply reports success only at its end, so each piece is read and sent. If a piece fails, the
// reply contains its offset.
void Transmission::read_in_chunks(const Request& request, std::span<std::uint8_t> area) {
    for (std::uint64_t done = 0; done < request.length;) {
        const auto length =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(area.size(), request.length - done));
        const nbd::Part part{request.offset + done, length, done + length == request.length};
        if (order_ == Order::fence) return;
        done += length;
        if (requests_.is_hole(request, part)) {
            if (!send(nbd::hole_chunk(request, part).bytes(), !part.last)) return;
            continue;
        }
        if (const Result<void> got = requests_.read_piece(request, done - length, area.first(length)); !got) {
            counters_.finished(request.command, 0, false);
            return replies_.add(requests_.reply_failed_at(request, got.error(), part.offset).bytes());
        }
        if (!send(nbd::data_chunk(request, part).bytes(), true) || !send(area.first(length), !part.last))
            return;
    }
    counters_.finished(request.command, request.length, true);
}

// A simple reply reports success before its data. So the whole range is read once as a check, which also
// brings the data into the page cache, and then again piece by piece for sending.
void Transmission::read_in_pieces(const Request& request, std::span<std::uint8_t> area) {
    const auto piece_at = [&](std::uint64_t done) {
        return area.first(std::min<std::uint64_t>(area.size(), request.length - done));
    };
    for (std::uint64_t done = 0; done < request.length; done += area.size()) {
        if (order_ == Order::fence) return;
        if (const Result<void> got = requests_.read_piece(request, done, piece_at(done)); !got)
            return reply(request, got);
    }
    bool goes_on = send(requests_.reply(request, {}).bytes(), true);
    for (std::uint64_t done = 0; goes_on && done < request.length; done += area.size()) {
        const std::span<std::uint8_t> piece = piece_at(done);
        if (const Result<void> got = requests_.read_piece(request, done, piece); !got) {
            requests_.log_failure(request, got.error());
            return lose_link("the volume failed within a reply that had promised success");
        }
        goes_on = send(piece, done + piece.size() < request.length);
    }
    if (goes_on) counters_.finished(request.command, request.length, true);
}

Transmission::Taken Transmission::write(const Request& request) {
    const std::span<std::uint8_t> here = input_.bytes().subspan(sizeof(WireRequest));
    if (!requests_.waits_for_disk(request) && here.size() >= request.length) {
        take_from_input(request);
        const Result<void> outcome = requests_.carry_out(request, here.first(request.length));
        input_.consume(request.length);
        reply(request, outcome);
        return Taken::yes;
    }
    const std::span<std::uint8_t> area =
        buffers_.reserve(request.length <= largest_area ? request.length : long_request_piece);
    const std::size_t committed = area.empty() ? 0 : buffers_.commit(area, 0);
    if (committed == 0) {
        buffers_.give(area);
        if (jobs_.outstanding() > 0 || !replies_.empty()) return Taken::no_room;
        lose_link("there is no memory left for it");
        return Taken::yes;
    }
    take_from_input(request);
    payload_ = Payload{.request = request, .area = area, .committed = committed, .since = Clock::now()};
    return Taken::yes;
}

Transmission::Taken Transmission::go_on_with_payload() {
    Payload& payload = *payload_;
    payload.filled += input_.move_to(payload.window());
    if (!payload.window().empty()) {
        const bool slow = buffers_.borrows() && Clock::now() - payload.since > patience;
        if (slow) write_what_came();
        return slow ? Taken::yes : Taken::incomplete;
    }
    if (payload.filled < payload.size()) return find_room_for_payload();
    const Request request = payload.request;
    if (payload.filled == request.length && requests_.waits_for_disk(request)) {
        const std::span<std::uint8_t> area = payload.area;
        payload_.reset();
        start_job(request, area);
    } else {
        write_part(payload.filled);
    }
    return Taken::yes;
}

// Commits memory for the rest of the payload. If there is none, the received data become a piece.
Transmission::Taken Transmission::find_room_for_payload() {
    Payload& payload = *payload_;
    const std::size_t before =
        std::exchange(payload.committed, buffers_.commit(payload.area, payload.committed));
    if (payload.committed > before) return Taken::yes;
    const std::size_t whole = payload.filled - payload.filled % unit_;
    if (whole == 0 && (jobs_.outstanding() > 0 || !replies_.empty())) return Taken::no_room;
    if (whole == 0) {
        lose_link("there is no memory left for it");
    } else {
        write_part(whole);
    }
    return Taken::yes;
}

// Writes the first `length` bytes of the received payload: all of them, or whole units. Afterwards the
// payload is finished if this was its last part, or if the write failed.
void Transmission::write_part(std::size_t length) {
    Payload& payload = *payload_;
    const Request request = payload.request;
    const Result<void> outcome =
        length == 0 ? Result<void>()
                    : requests_.write_piece(request, payload.done, payload.area.first(length));
    payload.done += length;
    payload.filled -= length;
    payload.since = Clock::now();
    if (outcome && payload.done < request.length) {
        if (payload.filled > 0) std::memmove(payload.area.data(), &payload.area[length], payload.filled);
        return;
    }
    counters_.finished(request.command, request.length, outcome.has_value());
    skip_ = Skip{request.length - payload.done - payload.filled, requests_.reply(request, outcome)};
    drop_payload();
}

// Writes the received part of a payload that arrives slowly, then shrinks the buffer to the rest.
void Transmission::write_what_came() {
    write_part(payload_->filled - payload_->filled % unit_);
    if (payload_) payload_->committed = buffers_.shrink(payload_->area, payload_->filled);
}

Transmission::Taken Transmission::go_on_skipping() {
    const std::size_t count = std::min<std::uint64_t>(skip_->left, input_.bytes().size());
    input_.consume(count);
    skip_->left -= count;
    if (skip_->left > 0) return Taken::incomplete;
    replies_.add(skip_->reply.bytes());
    skip_.reset();
    return Taken::yes;
}

void Transmission::drop_payload() {
    if (payload_) buffers_.give(payload_->area);
    payload_.reset();
}

// --- jobs and replies ---

void Transmission::start_job(const Request& request, std::span<std::uint8_t> area) {
    auto work = std::make_unique<Work>(requests_, order_, request, area);
    if (jobs_.add(*work)) {
        (void)work.release();  // collect_jobs() takes ownership again
        return;
    }
    work->work();
    finish(*work);
}

void Transmission::finish(Work& work) {
    if (NbdCommands::was_given_up(work.outcome)) {
        counters_.finished(work.request.command, 0, false);
        return buffers_.give(work.area);
    }
    if (work.request.command != static_cast<std::uint16_t>(Command::block_status))
        return reply(work.request, work.outcome, work.area);
    if (!work.status) return reply(work.request, std::unexpected(work.status.error()));
    counters_.finished(work.request.command, work.request.length, true);
    std::array<std::uint8_t, nbd::longest_status_reply> bytes;
    replies_.add(nbd::encode_status_reply(work.request, *work.status, bytes));
}

void Transmission::collect_jobs() {
    for (Job* job : jobs_.take_done()) {
        const std::unique_ptr<Work> work(static_cast<Work*>(job));
        if (order_ == Order::fence) {
            buffers_.give(work->area);
        } else {
            finish(*work);
        }
    }
}

// `area` is the request's buffer.
void Transmission::reply(const Request& request, const Result<void>& outcome, std::span<std::uint8_t> area) {
    counters_.finished(request.command, request.length, outcome.has_value());
    if (!outcome && request.command == static_cast<std::uint16_t>(Command::flush)) heard_out_ = false;
    const ReplyHead head = requests_.reply(request, outcome);
    const bool has_data = outcome && request.command == static_cast<std::uint16_t>(Command::read);
    replies_.add(head.bytes(), has_data ? area : std::span<std::uint8_t>());
    if (!has_data) buffers_.give(area);
}

void Transmission::send_replies() {
    if (link_lost_) return replies_.clear();
    note_telling();
    sending_ = true;
    const Result<void> sent = replies_.send(socket_);
    sending_ = false;
    if (!sent) fail_to_send(sent.error());
}

bool Transmission::send(std::span<const std::uint8_t> data, bool more_follows) {
    sending_ = true;
    const Result<void> sent = send_all(socket_, data, more_follows);
    sending_ = false;
    if (!sent) fail_to_send(sent.error());
    return sent.has_value();
}

void Transmission::fail_to_send(const SysError& error) {
    lose_link(error.code == EAGAIN ? fmt::format("its client took nothing of a reply for {} s (stalltimeout)",
                                                 config_.stalltimeout.count())
                                   : "the link is lost: " + error.message());
}

// --- waiting ---

void Transmission::wait() {
    note_telling();
    if (jobs_.outstanding() > 0) return wait_for_job();
    receive(true);
}

void Transmission::receive(bool may_wait) {
    const std::span<std::uint8_t> ahead = payload_ ? payload_->window() : std::span<std::uint8_t>();
    // After a large write, receives only the header of the next request, so that its payload need not be
    // copied.
    const std::size_t most = large_writes_ && !skip_ ? sizeof(WireRequest) : ReceiveBuffer::size;
    std::size_t into_ahead = 0;
    if (just_taken_ > 1) busy_poll_.several();
    // Before the busy poll: a low-water mark that is still set would hide received data from the poll.
    const bool several = may_wait && wait_for_several();
    const bool next_of_one =
        may_wait && !several && just_taken_ == 1 && !payload_ && !skip_ && input_.bytes().empty();
    Received got = Received::timed_out;
    if (next_of_one) busy_poll_.begin();
    while (next_of_one && got == Received::timed_out && busy_poll_.looks())
        got = input_.receive({}, most, false, into_ahead);
    if (got == Received::timed_out) got = input_.receive(ahead, most, may_wait && !several, into_ahead);
    const int error = errno;
    if (next_of_one) busy_poll_.end();
    just_taken_ = 0;
    if (got == Received::complete) {
        if (payload_) payload_->filled += into_ahead;
        return;
    }
    if (got == Received::timed_out) return may_wait && !several ? wait_while_idle() : void();
    if (order_ != Order::serve) return end_by_order();
    if (got == Received::failed)
        return lose_link("the link is lost: " + SysError{error, "recvmsg"}.message());
    const bool within_request = payload_ || skip_ || !input_.bytes().empty();
    end(within_request ? "the link was closed within a request" : "the link was closed");
}

// Returns whether there is data to receive.
bool Transmission::wait_for_several() {
    coalescing_.took(just_taken_);
    if (small_ && !payload_ && !skip_) return coalescing_.wait(sizeof(WireRequest));
    coalescing_.off();
    return false;
}

// Also receives from the client meanwhile, if there is room.
void Transmission::wait_for_job() {
    if (!jobs_.begin_wait()) return;
    coalescing_.off();
    const bool receives = !ending_ && !held_back_;
    pollfd watched[] = {{ending_ ? -1 : socket_, static_cast<short>(receives ? POLLIN : 0), 0},
                        {jobs_.event(), POLLIN, 0}};
    // The disk may never answer; unused memory is released meanwhile for other connections.
    int ready = ::poll(watched, 2,
                       buffers_.borrows() ? static_cast<int>(patience / std::chrono::milliseconds(1)) : -1);
    if (ready == 0) {
        buffers_.release();
        ready = ::poll(watched, 2, -1);
    }
    jobs_.end_wait();
    if (ready <= 0 || watched[0].revents == 0) return;
    if (receives) return receive(false);
    // The socket was closed in both directions, by the client or by a fence.
    if (order_ != Order::serve) return end_by_order();
    lose_link("the link was closed");
}

// Releases the memory before waiting for a silent client.
void Transmission::wait_while_idle() {
    if (payload_ && order_ == Order::serve) write_what_came();
    const auto deadline = Clock::now() + config_.timeout - patience;
    input_.close();
    buffers_.release();
    replies_.release();
    // An idle timeout needs a thread that watches the clock.
    if (config_.timeout.count() == 0 && !buffers_.in_use() && !skip_ && input_.bytes().empty())
        return fall_asleep();
    // The handshake used more stack than requests do.
    release_unused_stack();
    pollfd next{socket_, POLLIN, 0};
    for (;;) {
        int milliseconds = -1;
        if (config_.timeout.count() > 0) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
            if (left.count() <= 0)
                return lose_link(fmt::format("idle for {} s (timeout)", config_.timeout.count()));
            milliseconds = static_cast<int>(std::min<long long>(left.count(), 60'000));
        }
        if (::poll(&next, 1, milliseconds) > 0) return;
    }
}

void Transmission::fall_asleep() {
    if (const std::chrono::milliseconds wait = keeping_.wait(); wait.count() > 0) {
        release_unused_stack();
        pollfd next{socket_, POLLIN, 0};
        if (::poll(&next, 1, static_cast<int>(wait.count())) > 0) return;
    }
    keeping_.ended(Clock::now());
    dormant_ = true;
}

// --- ending ---

// An acknowledgement comes from the client's kernel, even for a reply that the client never reads because it
// drops the connection. A client that sends another flush or a disconnect has read the result of the previous
// flush, unless the request was sent before the reply arrived. Such an early request is recognized only if it
// arrived before the reply was acknowledged: a client with a single flush in flight always gets the report.
void Transmission::settle_losses(const Request& request) {
    const auto command = static_cast<Command>(request.command);
    if (command != Command::flush && command != Command::disconnect) return;
    const Writer& writer = requests_.writer();
    if (!writer.awaits_delivery() || !heard_out_ || link_lost_ || !all_received(socket_)) return;
    writer.delivered();
}

// Called before the reply is sent, or later, before any wait: if no received data are left, a request that
// arrives from now on counts as sent after the reply.
void Transmission::note_telling() {
    if (heard_out_ || !requests_.writer().awaits_delivery()) return;
    heard_out_ = !payload_ && !skip_ && input_.unread() == 0;
}

// Pending jobs are still awaited and answered.
void Transmission::end(std::string why) {
    if (!ending_) why_ = std::move(why);
    ending_ = true;
}

void Transmission::lose_link(std::string why) {
    if (order_ == Order::fence) return end_by_order();
    end(std::move(why));
    link_lost_ = true;
}

void Transmission::end_by_order() {
    const bool fenced = order_ == Order::fence;
    if (fenced) link_lost_ = true;
    end(fenced ? "fenced, for a newer connection of its session" : "the server stops");
}

}  // namespace holdfast::server
