// Handshake, transmission and orderly close, in this order; the main thread only shuts down the socket.

#include "server/connection/connection.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/linux/log.hh"
#include "common/text/plural.hh"
#include "server/process/thread.hh"
#include "server/transport/socket_io.hh"

namespace holdfast::server {
namespace {

void set_option(int socket, int level, int name, int value) {
    // Best effort: UNIX sockets have none of these options.
    (void)::setsockopt(socket, level, name, &value, sizeof value);
}

constexpr int patience_ms = 60'000;
// Enough for three boot files on a slow link; a client resumes later.
constexpr std::chrono::hours longest_upload{1};

void set_keepalive(int socket, int idle, int interval) {
    set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, idle);
    set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, interval);
}

// A client without power sends nothing. Its connection is closed after a minute, so that its place
// (maxconnections) is free when the client reconnects.
void set_tcp_options(int socket) {
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_keepalive(socket, 30, 10);
    set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 3);
    set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, patience_ms);
}

// TCP_USER_TIMEOUT also drops a peer that keeps its window closed, even if the peer answers
// (tcp_probe_timer): so the timeout must exceed stalltimeout.
void set_stall_timeout(int socket, std::chrono::seconds timeout) {
    if (timeout.count() != 0) {
        const timeval wait{.tv_sec = timeout.count(), .tv_usec = 0};
        (void)::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    }
    set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT,
               std::max(patience_ms, static_cast<int>(timeout.count()) * 1000 + 10'000));
}

// After SHUT_WR: whether the peer's kernel has not yet acknowledged everything. Never on a UNIX socket.
bool awaits_acknowledgement(int socket) {
    tcp_info info{};
    socklen_t length = sizeof info;
    if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return false;
    return info.tcpi_state == TCP_FIN_WAIT1 || info.tcpi_state == TCP_CLOSING ||
           info.tcpi_state == TCP_LAST_ACK;
}

std::string size_text(std::uint64_t bytes) {
    if (bytes >= 10ULL << 30) return fmt::format("{} GiB", bytes >> 30);
    if (bytes >= 10ULL << 20) return fmt::format("{} MiB", bytes >> 20);
    return fmt::format("{}", counted(bytes, "byte"));
}

}  // namespace

Connection::Connection(Fd socket, Peer peer, ListenScope scope, Context context)
    : socket_(std::move(socket)),
      peer_(std::move(peer)),
      scope_(std::move(scope)),
      context_(std::move(context)) {}

Connection::~Connection() {
    if (started_) ::pthread_join(thread_, nullptr);
}

Result<void> Connection::start() {
    const Result<pthread_t> started = start_thread(thread_main, this);
    if (!started) return std::unexpected(started.error());
    thread_ = *started;
    started_ = true;
    return {};
}

void Connection::give_order_to_stop() noexcept {
    Order expected = Order::serve;
    (void)order_.compare_exchange_strong(expected, Order::stop);
}

void Connection::stop() noexcept {
    give_order_to_stop();
    // Wakes a thread that waits for a request. A thread that carries out a request is not disturbed, and can
    // still reply.
    (void)::shutdown(socket_.get(), SHUT_RD);
}

void Connection::abandon() noexcept {
    give_order_to_stop();
    (void)::shutdown(socket_.get(), SHUT_RDWR);
}

void Connection::fence() noexcept {
    order_ = Order::fence;
    (void)::shutdown(socket_.get(), SHUT_RDWR);
}

// Asks the peer's kernel, which answers even if both processes hang: a machine that has rebooted answers a
// keepalive probe with a reset, a dead machine does not answer. Acknowledgements of data count, too. The
// kernel counts time in ticks of up to 10 ms.
Connection::PeerState Connection::look_for_peer(Clock::time_point since) noexcept {
    using std::chrono::milliseconds;
    pollfd hang_up{socket_.get(), 0, 0};
    (void)::poll(&hang_up, 1, 0);
    if ((hang_up.revents & (POLLHUP | POLLERR)) != 0) return PeerState::gone;
    tcp_info info{};
    socklen_t length = sizeof info;
    // UNIX socket: the peer is a process on this machine.
    if (::getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return PeerState::answers;
    if (info.tcpi_state == TCP_CLOSE) return PeerState::gone;
    if (!looked_for_.exchange(true)) set_keepalive(socket_.get(), 1, 1);
    constexpr milliseconds tick{10};
    const auto asked_for = std::chrono::duration_cast<milliseconds>(Clock::now() - since);
    if (milliseconds{info.tcpi_last_ack_recv} + 2 * tick > asked_for) return PeerState::silent;
    return milliseconds{info.tcpi_last_data_recv} < idle_bound ? PeerState::answers : PeerState::sleeps;
}

void Connection::look_no_more() noexcept {
    if (looked_for_.exchange(false)) set_keepalive(socket_.get(), 30, 10);
}

void* Connection::thread_main(void* self) {
    static_cast<Connection*>(self)->run();
    return nullptr;
}

void Connection::sleep() noexcept {
    (void)::pthread_join(thread_, nullptr);
    started_ = false;
    dormant_ = false;
}

bool Connection::begin(Verdicts verdicts) {
    set_tcp_options(socket_.get());
    deadline_ = Clock::now() + context_.config->handshaketimeout;
    upload_bound_ = Clock::now() + longest_upload;
    const bool judged = !verdicts.allows_everything();
    exports_.emplace(context_.config, context_.shared, scope_, peer_, std::move(verdicts),
                     ClientLine{*this, socket_.get(), deadline_});
    if (judged && !exports_->has_any()) {
        context_.shared.statistics.turned_away(TurnedAway::not_allowed);
        context_.shared.stranger_log.write(log::Level::notice,
                                           fmt::format("{} refused: {}", peer_.name, exports_->why_none()));
        return false;
    }
    handshake_ = std::make_unique<nbd::ServerHandshake>(*exports_, nbd::ServerHandshake::Calls::by_proceed);
    return true;
}

Connection::Turn Connection::turn() {
    // Limits the work per turn, so that a client that sends without end does not block other clients.
    for (int pieces = 0; pieces < 16; ++pieces) {
        // A fence discards the options that the client has sent.
        if (order_ == Order::fence) return Turn::over;
        const Sent sent = send_output();
        if (sent == Sent::in_part) return order_ == Order::serve ? Turn::writes : Turn::over;
        if (sent == Sent::link_lost) return leave_lost_link();
        if (const std::optional<Turn> next = turn_of_state()) return *next;
        if (const std::optional<Turn> next = receive_options()) return *next;
    }
    return handshake_->output().empty() && !handshake_->waits_for() ? Turn::reads : Turn::writes;
}

Connection::Turn Connection::leave_lost_link() const {
    // After ABORT a client may close before the reply arrives.
    if (handshake_->state() == nbd::ServerHandshake::State::ended) return leave_quietly();
    log_handshake_end("the connection was lost");
    return Turn::over;
}

std::optional<Connection::Turn> Connection::turn_of_state() const {
    using State = nbd::ServerHandshake::State;
    if (handshake_->state() == State::transmission) return Turn::serves;
    if (handshake_->state() == State::failed) log_handshake_end(handshake_->reason());
    if (handshake_->state() != State::running) return Turn::leaves;
    if (handshake_->waits_for()) return Turn::calls;
    return std::nullopt;
}

std::optional<Connection::Turn> Connection::receive_options() {
    std::array<std::uint8_t, 4096> bytes;
    const std::size_t wanted = std::min(handshake_->wanted(), bytes.size());
    const ssize_t count = ::recv(socket_.get(), bytes.data(), wanted, MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return Turn::reads;
    // A refused client, or a probe of the port, leaves silently: not worth a log line. The socket is reset if
    // the client has not read every reply.
    if (count == 0 || (count < 0 && errno == ECONNRESET)) return leave_quietly();
    if (count < 0) {
        log_handshake_end("the connection was lost");
        return Turn::over;
    }
    handshake_->receive(std::span(bytes).first(static_cast<std::size_t>(count)));
    return std::nullopt;
}

Connection::Turn Connection::leave_quietly() const {
    log::debug(fmt::format("{}: disconnected during the handshake", peer_.name));
    return Turn::over;
}

std::string Connection::called_export() { return exports_->name_of(*handshake_->waits_for()); }

Connection::Sent Connection::send_output() {
    while (!handshake_->output().empty()) {
        const std::span<const std::uint8_t> output = handshake_->output();
        const ssize_t sent = ::send(socket_.get(), output.data(), output.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) return Sent::in_part;
        if (sent < 0) return Sent::link_lost;
        handshake_->sent(static_cast<std::size_t>(sent));
    }
    return Sent::everything;
}

bool Connection::start_call() { return start_thread_for(Phase::calling); }

bool Connection::start_serving() { return start_thread_for(Phase::served); }

bool Connection::start_thread_for(Phase phase) {
    const Phase before = phase_.exchange(phase);
    const Result<void> started = start();
    if (started) return true;
    phase_ = before;
    log::warning(fmt::format("{} refused: {}", peer_.name, started.error().message()));
    return false;
}

void Connection::end() {
    handshake_.reset();
    // The last user of a disk flushes and closes the disk; the main thread cannot wait for that.
    if (exports_ && exports_->uses_disk()) {
        const bool again = phase_.exchange(Phase::leaving) == Phase::leaving;
        const Result<void> started = start();
        if (!started && !again)
            log::warning(
                fmt::format("{}: {}; its disk will be closed later", peer_.name, started.error().message()));
        return;
    }
    exports_.reset();
    ended_ = true;
}

std::optional<Deadline> Connection::take_progress() {
    const std::uint32_t progress = handshake_->boot_file_progress();
    if (std::exchange(progress_, progress) == progress) return std::nullopt;
    deadline_ = std::min<Deadline>(Clock::now() + context_.config->handshaketimeout, upload_bound_);
    return deadline_;
}

void Connection::log_timeout() const {
    if (progress_ != 0)
        return log_handshake_end(fmt::format("its boot files stopped for {} s, or took more than an hour",
                                             context_.config->handshaketimeout.count()));
    log_handshake_end(fmt::format("not finished after {} s", context_.config->handshaketimeout.count()));
}

void Connection::log_pushed_out() const {
    context_.shared.statistics.turned_away(TurnedAway::handshakes);
    log_handshake_end("too many clients are in the handshake, and its network has the most");
}

void Connection::run() {
    if (phase_ == Phase::leaving) return finish();
    if (phase_ == Phase::calling) {
        const bool goes_on = !carry_out_call();
        phase_ = goes_on ? Phase::back : Phase::served;
        context_.changed();
        // The main thread may join from here on.
        if (goes_on) return;
    }
    if (handshake_) begin_transmission();
    if (transmission_) {
        const std::optional<std::string> why = transmission_->run();
        if (!why) {
            dormant_ = true;
            // Last access to this object: the main thread may join from here on.
            context_.changed();
            return;
        }
        log::info(fmt::format("{} closed: {}", label_, *why));
    }
    finish();
}

// The main thread waits for a client that reads its reply slowly: other calls need this thread's place.
bool Connection::carry_out_call() {
    handshake_->proceed();
    return handshake_->state() == nbd::ServerHandshake::State::transmission &&
           send_output() == Sent::everything;
}

void Connection::finish() {
    const std::uint64_t unread = transmission_ ? transmission_->unread() : 0;
    // A fenced connection's successor uses the volume.
    const bool announced = transmission_ && transmission_->was_announced() && order_ != Order::fence;
    std::optional<DiskWanted> ended = exports_->volume_to_end(announced);
    transmission_.reset();
    exports_->let_go(unread);  // before say_goodbye(), for which a successor need not wait
    say_goodbye();
    // Releases the volume, which may take long; the client has already been disconnected.
    exports_.reset();
    if (ended) end_session(std::move(*ended));
    ended_ = true;
    // Last access to the context: the main thread may join from here on.
    context_.changed();
}

// A server that is already stopping does not wait: holdfast-provision finishes, or sweeps later. A stop that
// comes during the wait waits for it, at most for `patience`.
void Connection::end_session(DiskWanted volume) {
    if (context_.shared.statistics.is_used(volume.name, volume.session)) return;
    constexpr std::chrono::seconds patience{10};
    volume.deadline = order_ == Order::stop ? Deadline::min() : Clock::now() + patience;
    const auto done = context_.shared.opener.end_session(volume);
    if (!done)
        log::warning(fmt::format("export {}: {}: the volume of its session was not removed: {}", volume.name,
                                 peer_.name, done.error().text));
}

void Connection::log_handshake_end(const std::string& why) const {
    if (order_ == Order::serve) {
        context_.shared.stranger_log.write(log::Level::info,
                                           fmt::format("{}: handshake ended: {}", peer_.name, why));
    }
}

void Connection::begin_transmission() {
    offer_ = handshake_->offer();
    handshake_.reset();
    OpenExport& opened = *exports_->opened();
    const ExportConfig& config = opened.config();
    label_ = fmt::format("export {}: {}", config.name, peer_.name);
    log::info(fmt::format("{} connected ({}, {}, {})", label_, path_for_client(config, peer_.host),
                          size_text(offer_.size),
                          (offer_.flags & nbd::flag_read_only) != 0 ? "read-only" : "read-write"));
    served_ = {config.name, opened.disk_use(), offer_.size, opened.in_session(),
               config.by_session() ? config.host_word : std::string()};
    is_served_ = true;
    set_stall_timeout(socket_.get(), config.stalltimeout);
    const std::string place = peer_.address ? to_string(place_of(*peer_.address)) : peer_.host;
    transmission_ = std::make_unique<Transmission>(
        socket_.get(), offer_, opened, context_.shared.buffer_memory.borrower(config.name, place),
        context_.shared.poll_seats, context_.shared.pipes, label_, order_, sending_);
}

// Delivers the sent replies, then resets the connection instead of only closing it. A client may be waiting
// to send more, and after our SHUT_RD the kernel never reopens the window: the client would wait for a minute
// although this server has stopped, and a kernel that waits to send does not even notice the end of the
// connection.
void Connection::say_goodbye() noexcept {
    (void)::shutdown(socket_.get(), SHUT_WR);
    // Half a second suffices for a reachable peer; a slower peer loses a reply, as in any outage. After a
    // fence no client waits for a reply.
    for (int i = 0; order_ != Order::fence && i < 50 && awaits_acknowledgement(socket_.get()); ++i)
        (void)::poll(nullptr, 0, 10);
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)::shutdown(socket_.get(), SHUT_RDWR);  // for a UNIX socket, which cannot be reset
    // The last close then resets a TCP connection. An eventfd takes the descriptor's place, since other
    // threads may still use the number. If no descriptor is available, the destructor closes the socket.
    if (const Fd nothing(::eventfd(0, EFD_CLOEXEC)); nothing)
        (void)::dup3(nothing.get(), socket_.get(), O_CLOEXEC);
}

}  // namespace holdfast::server
