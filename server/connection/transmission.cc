// Validates every request before touching memory or the disk for it.

#include "server/connection/transmission.hh"

#include <fmt/core.h>
#include <poll.h>
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

// Maximum amount of memory for a request at a time.
constexpr std::size_t largest_area = 4U << 20;
// Memory is released after this time without a request.
constexpr std::chrono::seconds patience{1};

}  // namespace

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
      requests_(offer, opened, order, std::move(label)),
      unit_(std::max<std::size_t>(Buffers::page, offer.block_sizes.minimum)),
      buffers_(std::move(memory)),
      receiver_(socket, buffers_, seats, config_),
      replies_(buffers_),
      sender_(socket, sending, config_.stalltimeout),
      long_reads_(offer, requests_, counters_, buffers_, replies_, sender_, order, unit_),
      pages_(pipes),
      jobs_(opened.jobs()),
      full_disk_(opened),
      losses_(socket, requests_.writer()) {}

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
    if (jobs_.outstanding() >= job_limit_) return Taken::no_room;
    if (receiver_.bytes().size() < sizeof(WireRequest)) return Taken::incomplete;
    const std::optional<Request> request =
        nbd::decode_request(receiver_.bytes().first<sizeof(WireRequest)>());
    if (request) return serve(*request);
    end("the client sent an invalid request header");
    return Taken::yes;
}

// Takes the request from the input, or leaves the request there until there is room.
Transmission::Taken Transmission::serve(const Request& request) {
    losses_.on_request(request);
    const nbd::Judgement judgement = nbd::judge(request, offer_);
    switch (judgement.verdict) {
        case nbd::Verdict::serve: break;
        case nbd::Verdict::refuse:
            take_from_input(request);
            counters_.finished(request.command, 0, false);
            skip_ = Skip{judgement.payload_to_skip, requests_.refuse(request, judgement.error)};
            return Taken::yes;
        case nbd::Verdict::disconnect:
            announced_ = request.command == static_cast<std::uint16_t>(Command::disconnect);
            end(announced_ ? "disconnected"
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
    receiver_.take(request);
    counters_.taken_up();
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
    if (area.empty() && will_free_memory()) return Taken::no_room;
    take_from_input(request);
    if (area.empty()) {
        if (auto done = long_reads_.read(request); !done) lose_link(std::move(done.error()));
    } else if (requests_.is_hole(request, all)) {
        counters_.finished(request.command, request.length, true);
        replies_.add(nbd::hole_chunk(request, all).bytes());
        buffers_.give(area);
    } else if (const std::optional<Result<void>> tried =
                   requests_.waits_for_disk(request) ? std::nullopt : requests_.try_read(request, area)) {
        reply(request, *tried, area);
    } else {
        start_job(request, area);
    }
    return Taken::yes;
}

// Replies to a read whose data are in the pipe.
void Transmission::send_pages(const Request& request) {
    if (!replies_.empty()) send_replies();
    if (link_lost_) return pages_.drop();
    if (const Result<void> sent = sender_.send(requests_.reply(request, {}).bytes(), true); !sent) {
        lose_link(sender_.failure_text(sent.error()));
        return pages_.drop();
    }
    if (const Result<void> sent = sender_.send(pages_, request.length); !sent)
        return lose_link(sender_.failure_text(sent.error()));
    counters_.finished(request.command, request.length, true);
}

Transmission::Taken Transmission::write(const Request& request) {
    const std::span<std::uint8_t> here = receiver_.bytes().subspan(sizeof(WireRequest));
    if (!requests_.waits_for_disk(request) && here.size() >= request.length) {
        counters_.taken_up();
        const Result<void> outcome = requests_.carry_out(request, here.first(request.length));
        if (!full_disk_.applies(request, outcome)) {
            receiver_.take(request);
            receiver_.consume(request.length);
            reply(request, outcome);
            return Taken::yes;
        }
        counters_.put_back();  // attempted again from a buffer, in which the data can wait
    }
    const std::span<std::uint8_t> area =
        buffers_.reserve(request.length <= largest_area ? request.length : long_request_piece);
    const std::size_t committed = area.empty() ? 0 : buffers_.commit(area, 0);
    if (committed == 0) {
        buffers_.give(area);
        if (will_free_memory()) return Taken::no_room;
        lose_link("no memory is left for a request");
        return Taken::yes;
    }
    take_from_input(request);
    payload_ = Payload{.request = request, .area = area, .committed = committed, .since = Clock::now()};
    return Taken::yes;
}

Transmission::Taken Transmission::go_on_with_payload() {
    Payload& payload = *payload_;
    payload.filled += receiver_.move_to(payload.window());
    if (is_held() && Clock::now() < held_until_) return Taken::no_room;
    if (!payload.window().empty()) {
        const bool slow = buffers_.borrows() && Clock::now() - payload.since > patience;
        if (slow) write_what_came();
        return slow ? Taken::yes : Taken::incomplete;
    }
    if (payload.filled < payload.size()) return find_room_for_payload();
    const Request request = payload.request;
    if (payload.filled == request.length && requests_.waits_for_disk(request)) {
        start(job_of_payload());
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
    if (whole == 0 && will_free_memory()) return Taken::no_room;
    if (whole == 0) {
        lose_link("no memory is left for a request");
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
    if (full_disk_.applies(request, outcome)) return hold_payload();
    if (held_) full_disk_.ended(held_, outcome, Clock::now());
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

// The piece found no room on the disk. A complete write waits beside the other requests; a piece holds up its
// connection, since there is no memory for the rest.
void Transmission::hold_payload() {
    Payload& payload = *payload_;
    const Clock::time_point now = Clock::now();
    payload.since = now;
    if (!payload.window().empty()) return;  // attempted when more has arrived
    if (payload.done > 0 || payload.filled < payload.request.length) {
        held_until_ = full_disk_.hold(held_, now);
        return;
    }
    keep_waiting(job_of_payload());
}

// The complete payload becomes a job.
std::unique_ptr<DiskJob> Transmission::job_of_payload() {
    auto work = std::make_unique<DiskJob>(requests_, order_, payload_->request, payload_->area);
    work->wait = std::move(held_);
    payload_.reset();
    return work;
}

// Writes the received part of a payload that arrives slowly, then shrinks the buffer to the rest.
void Transmission::write_what_came() {
    write_part(payload_->filled - payload_->filled % unit_);
    if (payload_) payload_->committed = buffers_.shrink(payload_->area, payload_->filled);
}

Transmission::Taken Transmission::go_on_skipping() {
    const std::size_t count = std::min<std::uint64_t>(skip_->left, receiver_.bytes().size());
    receiver_.consume(count);
    skip_->left -= count;
    if (skip_->left > 0) return Taken::incomplete;
    replies_.add(skip_->reply.bytes());
    skip_.reset();
    return Taken::yes;
}

bool Transmission::will_free_memory() const {
    return jobs_.outstanding() > 0 || !replies_.empty() || !full_disk_.empty();
}

void Transmission::drop_payload() {
    if (payload_) buffers_.give(payload_->area);
    payload_.reset();
    held_.reset();
}

// --- jobs and replies ---

void Transmission::start_job(const Request& request, std::span<std::uint8_t> area) {
    start(std::make_unique<DiskJob>(requests_, order_, request, area));
}

void Transmission::start(std::unique_ptr<DiskJob> work) {
    if (jobs_.add(*work)) {
        (void)work.release();  // collect_jobs() takes ownership again
        return;
    }
    work->work();
    settle(std::move(work));
}

// Answers a request whose job has ended, unless it has to wait for room on the disk.
void Transmission::settle(std::unique_ptr<DiskJob> work) {
    if (full_disk_.applies(work->request, work->outcome)) return keep_waiting(std::move(work));
    if (work->wait) full_disk_.ended(work->wait, work->outcome, Clock::now());
    finish(*work);
}

// The end of the connection drops the request: to the client, silence is an outage.
void Transmission::keep_waiting(std::unique_ptr<DiskJob> work) {
    full_disk_.add(std::move(work), Clock::now());
    if (full_disk_.is_full()) job_limit_ = 0;
}

void Transmission::attempt_again() {
    for (std::unique_ptr<DiskJob>& work : full_disk_.take_due(Clock::now())) start(std::move(work));
    if (!full_disk_.is_full()) job_limit_ = most_jobs;
}

void Transmission::finish(DiskJob& work) {
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
        std::unique_ptr<DiskJob> work(static_cast<DiskJob*>(job));
        if (order_ == Order::fence) {
            buffers_.give(work->area);
        } else {
            settle(std::move(work));
        }
    }
}

// `area` is the request's buffer.
void Transmission::reply(const Request& request, const Result<void>& outcome, std::span<std::uint8_t> area) {
    counters_.finished(request.command, request.length, outcome.has_value());
    if (!outcome && request.command == static_cast<std::uint16_t>(Command::flush)) losses_.on_failed_flush();
    const ReplyHead head = requests_.reply(request, outcome);
    const bool has_data = outcome && request.command == static_cast<std::uint16_t>(Command::read);
    replies_.add(head.bytes(), has_data ? area : std::span<std::uint8_t>());
    if (!has_data) buffers_.give(area);
}

void Transmission::send_replies() {
    if (link_lost_) return replies_.clear();
    note_delivery();
    if (const Result<void> sent = sender_.send(replies_); !sent)
        lose_link(sender_.failure_text(sent.error()));
}

// --- waiting ---

void Transmission::wait() {
    note_delivery();
    if (!full_disk_.empty() || is_held()) return wait_for_room();
    if (jobs_.outstanding() > 0) return wait_for_job();
    receive(true);
}

void Transmission::receive(bool may_wait) {
    const std::span<std::uint8_t> ahead = payload_ ? payload_->window() : std::span<std::uint8_t>();
    const Receiver::Reception got = receiver_.receive(next(), ahead, may_wait);
    switch (got.outcome) {
        case Receiver::Outcome::data:
            if (payload_) payload_->filled += got.into_ahead;
            return;
        case Receiver::Outcome::nothing: return;
        case Receiver::Outcome::silent: return wait_while_idle();
        case Receiver::Outcome::closed:
        case Receiver::Outcome::failed: break;
    }
    if (order_ != Order::serve) return end_by_order();
    if (got.outcome == Receiver::Outcome::failed)
        return lose_link("the connection was lost: " + SysError{got.error, "recvmsg"}.message());
    const bool within_request = next() != Receiver::Next::request || !receiver_.bytes().empty();
    end(within_request ? "the client disconnected within a request" : "the client disconnected");
}

Receiver::Next Transmission::next() const {
    if (payload_) return Receiver::Next::payload;
    return skip_ ? Receiver::Next::discarded : Receiver::Next::request;
}

// Also receives from the client meanwhile, if there is room.
void Transmission::wait_for_job() {
    if (!jobs_.begin_wait()) return;
    receiver_.expect_any_byte();
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
    lose_link("the connection was closed");
}

// Time of the next attempt of a request that found no room on the disk.
Deadline Transmission::next_attempt() const {
    if (ending_) return no_deadline;
    return is_held() ? std::min(full_disk_.deadline(), held_until_) : full_disk_.deadline();
}

// Waits for the next attempt of requests that found no room on the disk, for jobs, and for the client.
void Transmission::wait_for_room() {
    const Clock::time_point now = Clock::now();
    if (!ending_ && full_disk_.deadline() <= now) return attempt_again();
    if (!jobs_.begin_wait()) return;
    receiver_.expect_any_byte();
    if (buffers_.borrows()) buffers_.release();
    const bool receives = !ending_ && !held_back_;
    // A client that leaves must be noticed although nothing is received from it.
    pollfd watched[] = {{ending_ ? -1 : socket_, static_cast<short>(receives ? POLLIN : POLLRDHUP), 0},
                        {jobs_.event(), POLLIN, 0}};
    const int ready = ::poll(watched, 2, poll_timeout(next_attempt(), now));
    jobs_.end_wait();
    if (ready <= 0 || watched[0].revents == 0) return;
    if (receives) return receive(false);
    if (order_ != Order::serve) return end_by_order();
    lose_link("the client disconnected while its writes waited for room on the disk");
}

// Releases the memory before waiting for a silent client.
void Transmission::wait_while_idle() {
    if (payload_ && order_ == Order::serve) write_what_came();
    const bool has_timeout = config_.timeout.count() > 0;
    const Deadline deadline = has_timeout ? Clock::now() + config_.timeout - patience : no_deadline;
    receiver_.close();
    buffers_.release();
    replies_.release();
    // An idle timeout needs a thread that watches the clock.
    if (!has_timeout && !buffers_.in_use() && !skip_ && receiver_.bytes().empty()) return fall_asleep();
    // The handshake used more stack than requests do.
    release_unused_stack();
    pollfd next{socket_, POLLIN, 0};
    for (;;) {
        const Clock::time_point now = Clock::now();
        if (now >= deadline)
            return lose_link(fmt::format("idle for {} s (timeout)", config_.timeout.count()));
        if (::poll(&next, 1, poll_timeout(deadline, now)) > 0) return;
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

void Transmission::note_delivery() {
    if (losses_.wants_note()) losses_.note(!payload_ && !skip_ && receiver_.unread() == 0);
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
    end(fenced ? "fenced by a newer connection of its session" : "the server is stopping");
}

}  // namespace holdfast::server
