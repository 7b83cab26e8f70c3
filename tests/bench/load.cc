// Many clients of one export at once, as in a boot storm: how much all of them get, how evenly, and how soon.
// fio makes a process for each of its clients, which says more about fio than about a server when there are a
// thousand. Here a few threads hold all connections, and each reads random blocks, so many at a time, as soon
// as it has its answers.
//
//     bench-load PORT EXPORT CONNECTIONS DEPTH BLOCK SECONDS THREADS
//
// On 127.0.0.1. It goes forward when it is told, so that the server can be looked at in between: it says
// "connected" and waits for a line; reads for so many seconds; prints what it saw, as JSON; keeps its
// connections, which are idle now, until its standard input ends.

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/protocol/client_handshake.hh"
#include "common/protocol/transmission.hh"

namespace {

using namespace holdfast;
using Clock = std::chrono::steady_clock;

struct Task {
    std::uint16_t port = 0;
    std::string export_name;
    unsigned connections = 1, depth = 1, block = 4096, seconds = 1, threads = 1;
};

[[noreturn]] void die(const std::string& text) {
    fmt::print(stderr, "bench-load: {}\n", text);
    std::exit(1);
}

// Counts of times in nanoseconds, to one part in sixteen.
class Histogram {
public:
    void add(std::uint64_t value) {
        ++counts_[index(value)];
        longest_ = std::max(longest_, value);
    }
    void add(const Histogram& other) {
        for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
        longest_ = std::max(longest_, other.longest_);
    }
    // The least value that at least so many per mille are not above; 0 where there are none.
    [[nodiscard]] std::uint64_t percentile(unsigned per_mille) const {
        std::uint64_t all = 0, seen = 0;
        for (const std::uint64_t count : counts_) all += count;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (all != 0 && seen * 1000 >= all * per_mille) return value_of(i);
        }
        return 0;
    }
    [[nodiscard]] std::uint64_t longest() const { return longest_; }

private:
    static std::size_t index(std::uint64_t value) {
        const int shift = std::max(static_cast<int>(std::bit_width(value)) - 5, 0);
        return static_cast<std::size_t>(shift) * 16 + static_cast<std::size_t>(value >> shift);
    }
    static std::uint64_t value_of(std::size_t index) {
        if (index < 32) return index;
        const std::size_t shift = index / 16 - 1;
        return static_cast<std::uint64_t>(index - shift * 16) << shift;
    }

    std::array<std::uint64_t, 61 * 16 + 16> counts_{};
    std::uint64_t longest_ = 0;
};

// One client in transmission, its socket not blocking.
class Connection {
public:
    Connection(const Task& task, unsigned number) : task_(&task), random_(number * 0x9e3779b97f4a7c15U + 1) {
        socket_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(task.port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            die("connect: " + sys_error("connect").error().message());
        const int yes = 1;
        ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        shake_hands();
        ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
        began_.resize(task.depth);
    }

    [[nodiscard]] int socket() const { return socket_.get(); }
    [[nodiscard]] std::uint64_t answered() const { return answered_; }
    [[nodiscard]] unsigned in_flight() const { return in_flight_; }
    [[nodiscard]] bool has_output() const { return sent_ < output_.size(); }

    void ask_for_all() {
        for (std::uint64_t slot = 0; slot < task_->depth; ++slot) ask(slot);
        send();
    }

    // Takes what has come. Until `end` it is counted, and answered with new requests.
    void receive(std::span<std::uint8_t> buffer, Clock::time_point end, Histogram& latencies) {
        ssize_t count = 0;
        do {
            count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
            if (count == 0) die("the server closed a connection");
            if (count < 0 && errno != EAGAIN && errno != EINTR) die(sys_error("recv").error().message());
            if (count > 0) take(buffer.first(static_cast<std::size_t>(count)), end, latencies);
        } while (count == static_cast<ssize_t>(buffer.size()));
        send();
    }

    void send() {
        if (!has_output()) return;
        const ssize_t count =
            ::send(socket_.get(), output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN && errno != EINTR) die(sys_error("send").error().message());
        if (count > 0) sent_ += static_cast<std::size_t>(count);
        if (has_output()) return;
        output_.clear();
        sent_ = 0;
    }

private:
    void shake_hands() {
        nbd::ClientHandshake handshake(nbd::ClientHandshake::Goal::go, task_->export_name);
        std::array<std::uint8_t, 4096> bytes;
        while (handshake.state() == nbd::ClientHandshake::State::running) {
            if (const auto output = handshake.output(); !output.empty()) {
                const ssize_t count = ::send(socket_.get(), output.data(), output.size(), MSG_NOSIGNAL);
                if (count < 0) die(sys_error("send").error().message());
                handshake.sent(static_cast<std::size_t>(count));
                continue;
            }
            const std::size_t wanted = std::min(handshake.wanted(), bytes.size());
            const ssize_t count = ::recv(socket_.get(), bytes.data(), wanted, 0);
            if (count <= 0) die("the server closed a connection in the handshake");
            handshake.receive(std::span(bytes).first(static_cast<std::size_t>(count)));
        }
        if (handshake.state() != nbd::ClientHandshake::State::done)
            die("refused: " + std::string(handshake.text()));
        blocks_ = handshake.offer().size / task_->block;
        if (blocks_ == 0) die("the export is smaller than a block");
    }

    void ask(std::uint64_t slot) {
        random_ ^= random_ << 13U;  // xorshift64
        random_ ^= random_ >> 7U;
        random_ ^= random_ << 17U;
        nbd::Request request;
        request.command = static_cast<std::uint16_t>(nbd::Command::read);
        request.cookie = slot;
        request.offset = random_ % blocks_ * task_->block;
        request.length = task_->block;
        const nbd::WireRequest wire = nbd::encode_request(request);
        const auto bytes = nbd::bytes_of(wire);
        output_.insert(output_.end(), bytes.begin(), bytes.end());
        began_[slot] = Clock::now();
        ++in_flight_;
    }

    void take(std::span<const std::uint8_t> bytes, Clock::time_point end, Histogram& latencies) {
        while (!bytes.empty()) {
            if (have_ < head_.size()) {
                const std::size_t count = std::min(head_.size() - have_, bytes.size());
                std::copy_n(bytes.begin(), count, head_.begin() + static_cast<std::ptrdiff_t>(have_));
                bytes = bytes.subspan(count);
                have_ += count;
                if (have_ < head_.size()) return;
                payload_ = task_->block;
            }
            const std::size_t count = std::min(payload_, bytes.size());
            bytes = bytes.subspan(count);
            payload_ -= count;
            if (payload_ == 0) complete(end, latencies);
        }
    }

    void complete(Clock::time_point end, Histogram& latencies) {
        const auto reply = nbd::decode_simple_reply(head_);
        if (!reply || reply->cookie >= task_->depth) die("this is no answer to what was asked");
        if (reply->error != nbd::ErrorCode::none)
            die(fmt::format("a read failed with error {}", static_cast<unsigned>(reply->error)));
        have_ = 0;
        --in_flight_;
        const auto now = Clock::now();
        if (now >= end) return;
        ++answered_;
        latencies.add(static_cast<std::uint64_t>((now - began_[reply->cookie]).count()));
        ask(reply->cookie);
    }

    const Task* task_;
    Fd socket_;
    std::uint64_t random_;
    std::uint64_t blocks_ = 0;
    std::vector<Clock::time_point> began_;  // by cookie
    unsigned in_flight_ = 0;
    std::uint64_t answered_ = 0;
    std::vector<std::uint8_t> output_;
    std::size_t sent_ = 0;
    std::array<std::uint8_t, sizeof(nbd::WireSimpleReply)> head_{};
    std::size_t have_ = 0;     // of head_
    std::size_t payload_ = 0;  // what is still to come, when head_ is whole
};

std::chrono::microseconds cpu_time(int who) {
    rusage usage{};
    ::getrusage(who, &usage);
    return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           std::chrono::microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// What one thread has seen of its connections.
struct Share {
    std::vector<Connection> connections;
    Histogram latencies;
    std::chrono::microseconds cpu{};
};

// Until `end`, and then until nothing is on its way any more.
void drive(Share& share, Clock::time_point end) {
    const Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    const auto watch = [&epoll](int how, std::size_t index, const Connection& connection) {
        epoll_event event{};
        event.events = EPOLLIN | (connection.has_output() ? std::uint32_t{EPOLLOUT} : 0U);
        event.data.u64 = index;
        if (::epoll_ctl(epoll.get(), how, connection.socket(), &event) != 0)
            die(sys_error("epoll_ctl").error().message());
    };
    std::vector<std::uint8_t> buffer(256U << 10U);
    std::vector<bool> watched(share.connections.size());  // for output, too
    for (std::size_t i = 0; i < share.connections.size(); ++i) {
        share.connections[i].ask_for_all();
        watch(EPOLL_CTL_ADD, i, share.connections[i]);
        watched[i] = share.connections[i].has_output();
    }
    std::array<epoll_event, 256> events;
    const auto busy = [&share] { return std::ranges::any_of(share.connections, &Connection::in_flight); };
    while (Clock::now() < end || busy()) {
        const int count = ::epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), 1000);
        for (const epoll_event& event :
             std::span(events).first(static_cast<std::size_t>(std::max(count, 0)))) {
            const std::size_t i = event.data.u64;
            Connection& connection = share.connections[i];
            if ((event.events & EPOLLOUT) != 0) connection.send();
            if ((event.events & ~std::uint32_t{EPOLLOUT}) != 0)
                connection.receive(buffer, end, share.latencies);
            if (connection.has_output() == watched[i]) continue;
            watched[i] = connection.has_output();
            watch(EPOLL_CTL_MOD, i, connection);
        }
        if (count == 0 && Clock::now() > end + std::chrono::seconds(30)) die("requests are left unanswered");
    }
}

std::string report(const Task& task, const std::vector<Share>& shares) {
    Histogram latencies;
    std::vector<std::uint64_t> answered;
    std::chrono::microseconds cpu{}, busiest{};
    for (const Share& share : shares) {
        latencies.add(share.latencies);
        for (const Connection& connection : share.connections) answered.push_back(connection.answered());
        cpu += share.cpu;
        busiest = std::max(busiest, share.cpu);
    }
    std::uint64_t requests = 0;
    for (const std::uint64_t count : answered) requests += count;
    const auto [slowest, fastest] = std::ranges::minmax(answered);
    return fmt::format(
        R"({{"requests": {}, "seconds": {}, "slowest": {}, "fastest": {}, "p50_ns": {}, "p99_ns": {}, )"
        R"("longest_ns": {}, "cpu_us": {}, "busiest_thread_us": {}}})",
        requests, task.seconds, slowest, fastest, latencies.percentile(500), latencies.percentile(990),
        latencies.longest(), cpu.count(), busiest.count());
}

std::optional<Task> read_task(std::span<char*> words) {
    if (words.size() != 8) return std::nullopt;
    Task task;
    task.port = static_cast<std::uint16_t>(std::atoi(words[1]));
    task.export_name = words[2];
    std::size_t next = 3;
    for (unsigned* value : {&task.connections, &task.depth, &task.block, &task.seconds, &task.threads}) {
        *value = static_cast<unsigned>(std::atoi(words[next++]));
        if (*value == 0) return std::nullopt;
    }
    task.threads = std::min(task.threads, task.connections);
    return task;
}

void say(const std::string& line) {
    fmt::print("{}\n", line);
    std::fflush(stdout);
}

}  // namespace

int main(int count, char** words) {
    const auto task = read_task(std::span(words, static_cast<std::size_t>(count)));
    if (!task) {
        fmt::print(stderr, "usage: bench-load PORT EXPORT CONNECTIONS DEPTH BLOCK SECONDS THREADS\n");
        return 2;
    }
    std::vector<Share> shares(task->threads);
    for (unsigned i = 0; i < task->connections; ++i)
        shares[i % task->threads].connections.emplace_back(*task, i);
    say("connected");
    while (std::getchar() != '\n')
        if (std::feof(stdin) != 0) return 1;

    std::barrier together(static_cast<std::ptrdiff_t>(shares.size()));
    {
        std::vector<std::jthread> threads;
        for (Share& share : shares)
            threads.emplace_back([&task, &share, &together] {
                together.arrive_and_wait();
                drive(share, Clock::now() + std::chrono::seconds(task->seconds));
                share.cpu = cpu_time(RUSAGE_THREAD);
            });
    }
    say(report(*task, shares));
    while (std::getchar() != EOF) {
    }
    return 0;
}
