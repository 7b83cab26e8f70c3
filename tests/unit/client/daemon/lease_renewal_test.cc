// Renewal of the lease as the daemon sees it: record, log, status and turn, with a DHCP server in a network
// of the test's own.
#include "client/daemon/lease_renewal.hh"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/unit/client/daemon/fake_kernel.hh"
#include "tests/unit/log_lines.hh"
#include "tests/unit/own_network.hh"

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::hours;
using std::chrono::seconds;

namespace {

constexpr LeaseRenewal::Time now{hours{10}};
constexpr const char* others_turn =
    "the DHCP lease of lo (127.0.0.1) is renewed by the daemon of another device";

// A server that acknowledges the request that it got.
class FakeDhcpServer {
public:
    FakeDhcpServer() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = ::htons(67);
        address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
        REQUIRE(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    }
    // Whether a request was there.
    bool answer() {
        std::array<std::uint8_t, 1500> request{};
        if (::recv(socket_.get(), request.data(), request.size(), MSG_DONTWAIT) <= 0) return false;
        std::vector<std::uint8_t> reply(request.begin(), request.begin() + 240);
        reply[0] = 2;
        const std::array<std::uint8_t, 4> own{127, 0, 0, 1};
        std::ranges::copy(own, reply.begin() + 16);
        // DHCPACK, for two hours, with a name server.
        for (const int byte : {53, 1, 5, 51, 4, 0, 0, 7200 / 256, 7200 % 256, 6, 4, 127, 0, 0, 53, 255})
            reply.push_back(static_cast<std::uint8_t>(byte));
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = ::htons(68);
        to.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
        REQUIRE(::sendto(socket_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&to),
                         sizeof to) == static_cast<ssize_t>(reply.size()));
        return true;
    }

private:
    Fd socket_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

// The lock of the lease, as another daemon holds it.
class OtherDaemon {
public:
    explicit OtherDaemon(const std::filesystem::path& folder)
        : file_(::open((folder / "lease-lo").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {}
    bool take_turn() const { return set(F_WRLCK); }
    void release_turn() const { REQUIRE(set(F_UNLCK)); }

private:
    // A lock of the file description conflicts with this process's lock, as another process's would.
    bool set(short kind) const {
        struct flock lock {};
        lock.l_type = kind;
        lock.l_whence = SEEK_SET;
        return ::fcntl(file_.get(), F_OFD_SETLK, &lock) == 0;
    }
    Fd file_;
};

struct Bench {
    explicit Bench(bool with_lease = true) : device(make_device(with_lease)) {
        std::string pattern = "/tmp/holdfast-lease-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
        sigset_t before{};
        ::sigprocmask(SIG_SETMASK, nullptr, &before);
        REQUIRE(loop.open());
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        renewal.open(folder.string());
    }
    ~Bench() { std::filesystem::remove_all(folder); }

    // A lease of two hours, half of which has passed: a request is due.
    static KeptDevice make_device(bool with_lease) {
        KeptDevice device = fake_device();
        DeviceRecord record = device.record;
        LiveState live = device.live;
        if (with_lease) {
            record.lease.emplace();
            record.lease->interface = "lo";
            record.lease->address = INADDR_LOOPBACK;
            live.lease.server = INADDR_LOOPBACK;
            live.lease.obtained_at = hours{9};
            live.lease.seconds = 7200;
        }
        return {std::move(record), live};
    }
    DeviceStatus status(LeaseRenewal::Time time = now) const {
        DeviceStatus status;
        renewal.add_to(status, time);
        return status;
    }
    // Whether the loop reports a received message.
    bool has_message() {
        loop.arm(Clock::now() + seconds{5});
        const auto received = loop.wait();
        return !received.empty() && received.front().data.u64 == tag_lease;
    }

    std::filesystem::path folder;
    Events events;
    FakeStore store{events};
    KeptDevice device;
    EventLoop loop;
    LeaseRenewal renewal{device, loop, store};
};

}  // namespace

TEST_CASE("a device without a lease has no socket, no deadline and no lock") {
    Bench bench(false);
    bench.renewal.start(1, now);
    bench.renewal.advance(now);
    bench.renewal.drain();
    bench.renewal.release_turn();
    CHECK(bench.renewal.deadline() == LeaseRenewal::Time::max());
    CHECK(bench.status() == DeviceStatus{});
    CHECK(bench.events.empty());
    CHECK(std::filesystem::is_empty(bench.folder));
}

TEST_CASE("a renewed lease is saved, logged once and shown in the status, and its facts are published") {
    in_own_network([] {
        Bench bench;
        FakeDhcpServer server;
        LogLines log;
        bench.renewal.start(1, now);
        CHECK(bench.renewal.deadline() == now);
        CHECK(bench.status().lease_left_seconds == 3600);
        bench.renewal.advance(now);
        CHECK(bench.events.empty());
        REQUIRE(server.answer());
        REQUIRE(bench.has_message());
        bench.renewal.advance(now);
        CHECK(bench.events == Events{"record: saved"});
        CHECK(bench.device.live.lease.renewals == 1);
        CHECK(bench.device.live.lease.obtained_at == now.time_since_epoch());
        const auto lines = log.take(log::Level::notice);
        REQUIRE(lines.size() == 1);
        CHECK(lines[0].starts_with("nbd7: the DHCP lease of lo (127.0.0.1) was renewed for 7200 s"));
        const DeviceStatus status = bench.status(now + seconds{10});
        CHECK(status.interface == "lo");
        CHECK(status.address == "127.0.0.1");
        CHECK(status.lease_seconds == 7200);
        CHECK(status.lease_left_seconds == 7190);
        CHECK(status.lease_renewals == 1);
        CHECK(status.lease_problem.empty());
        std::ostringstream facts;
        facts << std::ifstream(bench.folder / "facts/lo.renewed").rdbuf();
        CHECK(facts.str() == "dns 127.0.0.53\n");
        bench.renewal.advance(now);
        CHECK(bench.events == Events{"record: saved"});
        CHECK(log.empty());
    });
}

TEST_CASE(
    "a request that cannot be sent is a problem in record, log and status, and an expired lease is worse") {
    in_own_network([] {
        Bench bench;
        LogLines log;
        set_loopback(false);
        bench.renewal.start(1, now);
        bench.renewal.advance(now);
        CHECK(bench.events == Events{"record: saved"});
        CHECK(log.take(log::Level::warning).size() == 1);
        CHECK(bench.status().lease_problem.view().find("could not be requested") != std::string_view::npos);
        // The same problem again is neither saved nor logged.
        bench.renewal.advance(bench.renewal.deadline());
        CHECK(bench.events == Events{"record: saved"});
        CHECK(log.empty());
        bench.renewal.advance(now + hours{2});
        const auto errors = log.take(log::Level::error);
        REQUIRE(errors.size() == 1);
        CHECK(errors[0].find("has expired; keeping the address") != std::string::npos);
    });
}

TEST_CASE("a daemon without the turn renews nothing, and says so in the status") {
    in_own_network([] {
        Bench bench;
        FakeDhcpServer server;
        const OtherDaemon other(bench.folder);
        REQUIRE(other.take_turn());
        bench.renewal.start(1, now);
        bench.renewal.advance(now);
        CHECK_FALSE(server.answer());
        CHECK(bench.status().lease_problem == others_turn);
        CHECK(bench.status().interface.empty());
        CHECK(bench.renewal.deadline() == now + seconds{5});
        // The other daemon exits.
        other.release_turn();
        bench.renewal.advance(now + seconds{5});
        CHECK(bench.status().interface == "lo");
        CHECK(bench.status().lease_problem.empty());
        CHECK(server.answer());
    });
}

TEST_CASE("a released turn is free for another daemon until the start") {
    in_own_network([] {
        Bench bench;
        const OtherDaemon other(bench.folder);
        bench.renewal.start(1, now);
        CHECK_FALSE(other.take_turn());
        bench.renewal.release_turn();
        REQUIRE(other.take_turn());
        CHECK(bench.status().lease_problem == others_turn);
        other.release_turn();
        bench.renewal.start(2, now);
        CHECK_FALSE(other.take_turn());
    });
}

TEST_CASE("answers that arrive while another daemon takes the device over are discarded") {
    in_own_network([] {
        Bench bench;
        FakeDhcpServer server;
        bench.renewal.start(1, now);
        bench.renewal.advance(now);
        REQUIRE(server.answer());
        REQUIRE(bench.has_message());
        bench.renewal.drain();
        bench.renewal.advance(now);
        CHECK(bench.device.live.lease.renewals == 0);
        CHECK(bench.events.empty());
    });
}
