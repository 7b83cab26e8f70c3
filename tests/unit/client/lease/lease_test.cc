// A DHCP lease that is kept: the bytes that go out, what is taken of those that come in, and when. The clock
// is a number, the servers are a few lines; nothing is sent.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string_view>
#include <vector>

#include "client/lease/lease.hh"

using namespace holdfast::client;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Bytes = std::vector<std::uint8_t>;
using Time = Lease::Time;

namespace {

constexpr Ipv4 own = 0x0a4d0064;     // 10.77.0.100
constexpr Ipv4 server = 0x0a4d0001;  // 10.77.0.1

LeaseRecord some_record() {
    LeaseRecord record;
    record.interface = "eth0";
    record.address = own;
    record.client.hardware = {0x52, 0x54, 0, 0x77, 0, 1};
    return record;
}

// Obtained a second before the clock of the tests starts.
constexpr Time start{seconds{101}};
LeaseState granted(std::uint32_t lease) {
    LeaseState state;
    state.obtained_at = seconds{100};
    state.seconds = lease;
    return state;
}

Bytes bytes_of(const DhcpRequest& request) {
    return {request.bytes.begin(), request.bytes.begin() + static_cast<std::ptrdiff_t>(request.length)};
}

void put(Bytes& bytes, std::size_t at, Ipv4 number) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
}

Ipv4 number_at(const Bytes& bytes, std::size_t at) {
    return Ipv4{bytes[at]} << 24 | Ipv4{bytes[at + 1]} << 16 | Ipv4{bytes[at + 2]} << 8 | bytes[at + 3];
}

void option(Bytes& bytes, std::uint8_t code, Bytes value) {
    bytes.push_back(code);
    bytes.push_back(static_cast<std::uint8_t>(value.size()));
    bytes.insert(bytes.end(), value.begin(), value.end());
}

void number_option(Bytes& bytes, std::uint8_t code, std::uint32_t number) {
    Bytes value(4);
    put(value, 0, number);
    option(bytes, code, value);
}

// The request's fixed part as a reply, without options.
Bytes head_for(const DhcpRequest& request, Ipv4 address = own) {
    Bytes bytes = bytes_of(request);
    bytes.resize(240);
    bytes[0] = 2;
    put(bytes, 16, address);
    return bytes;
}

constexpr std::uint8_t ack = 5;
constexpr std::uint8_t nak = 6;

struct Answer {
    std::uint8_t message = ack;
    Ipv4 address = own;
    std::uint32_t lease = 60;
    std::uint32_t renewal = 0;
    std::uint32_t rebinding = 0;
    Ipv4 from = server;
};

Bytes answer(const DhcpRequest& request, const Answer& what = {}) {
    Bytes bytes = head_for(request, what.address);
    option(bytes, 53, {what.message});
    number_option(bytes, 54, what.from);
    if (what.lease != 0) number_option(bytes, 51, what.lease);
    if (what.renewal != 0) number_option(bytes, 58, what.renewal);
    if (what.rebinding != 0) number_option(bytes, 59, what.rebinding);
    option(bytes, 1, {255, 255, 255, 0});
    bytes.push_back(255);
    return bytes;
}

DhcpRequest some_request(const DhcpClient& client = some_record().client) {
    return renewal_request(client, own, 0x12345678, 7);
}

auto read(const Bytes& packet) { return read_reply(some_record().client, 0x12345678, packet); }

// Turns the clock to the deadline, and gives what is sent then.
Lease::Send next(Lease& lease, Time& now) {
    REQUIRE(lease.deadline() != Time::max());
    now = std::max(now, lease.deadline());
    const auto sent = lease.on_deadline(now);
    REQUIRE(sent);
    return *sent;
}

std::string told(Lease& lease) {
    const auto news = lease.take_news();
    return news ? std::string(news->text.view()) : std::string();
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

double after(Time from, Time to) { return std::chrono::duration<double>(to - from).count(); }

}  // namespace

TEST_CASE("a renewal is asked for with the client's address, and by the marks that ipconfig was known by") {
    DhcpClient client = some_record().client;
    Bytes bytes = bytes_of(some_request(client));
    CHECK(bytes.size() == 300);
    CHECK(Bytes(bytes.begin(), bytes.begin() + 4) == Bytes{1, 1, 6, 0});
    CHECK(number_at(bytes, 4) == 0x12345678);
    CHECK(number_at(bytes, 8) == 7U << 16);  // seconds; and no broadcast flag
    CHECK(number_at(bytes, 12) == own);
    CHECK(number_at(bytes, 16) == 0);
    CHECK(Bytes(bytes.begin() + 28, bytes.begin() + 34) == Bytes{0x52, 0x54, 0, 0x77, 0, 1});
    // Cookie, DHCPREQUEST, the list, the class; no server identifier, no requested address, no client
    // identifier.
    Bytes options{99, 130, 83, 99, 53, 1, 3, 55, 11, 1, 3, 6, 12, 15, 17, 26, 28, 40, 119, 121, 60, 14};
    for (const char c : std::string_view("Linux ipconfig")) options.push_back(static_cast<std::uint8_t>(c));
    Bytes all = options;
    all.push_back(255);
    all.resize(64);
    CHECK(Bytes(bytes.begin() + 236, bytes.end()) == all);

    client.hostname = "kelp";
    bytes = bytes_of(some_request(client));
    all = options;
    option(all, 12, {'k', 'e', 'l', 'p'});
    all.push_back(255);
    all.resize(64);
    CHECK(Bytes(bytes.begin() + 236, bytes.end()) == all);
    client.hostname = std::string(64, 'x');
    CHECK(some_request(client).length == 240 + 3 + 13 + 16 + 66 + 1);
}

TEST_CASE("a renewal repeats the identity of the client that got the lease") {
    DhcpClient client = some_record().client;
    const auto options_of = [&client](DhcpSoftware software) {
        client.software = software;
        const Bytes bytes = bytes_of(some_request(client));
        return Bytes(bytes.begin() + 240 + 3 + 13, bytes.end());
    };
    CHECK(options_of(DhcpSoftware::ipconfig)[0] == 60);
    const Bytes networkd = options_of(DhcpSoftware::networkd);
    CHECK(Bytes(networkd.begin(), networkd.begin() + 10) == Bytes{61, 7, 1, 0x52, 0x54, 0, 0x77, 0, 1, 255});
    CHECK(options_of(DhcpSoftware::dhclient)[0] == 255);
}

TEST_CASE("an acknowledgement tells server, duration and times; a refusal that it is one") {
    const auto reply = read(answer(some_request(), {.renewal = 20, .rebinding = 40}));
    REQUIRE(reply);
    CHECK(*reply == DhcpReply{DhcpReply::Kind::acknowledged, own, server, 60, 20, 40});
    const auto refusal = read(answer(some_request(), {.message = nak, .address = 0, .lease = 0}));
    REQUIRE(refusal);
    CHECK(*refusal == DhcpReply{DhcpReply::Kind::refused, 0, server, 0, 0, 0});
}

TEST_CASE("what is not an answer to this request is none") {
    const Bytes good = answer(some_request());
    REQUIRE(read(good));
    // op, hardware type, its length, the transaction, the hardware address, the cookie
    for (const std::size_t at : {0, 1, 2, 4, 7, 28, 33, 236, 239}) {
        Bytes bad = good;
        bad[at] = static_cast<std::uint8_t>(bad[at] ^ 1);
        CHECK_FALSE(read(bad));
    }
    CHECK_FALSE(read_reply(some_record().client, 0x12345679, good));
    CHECK_FALSE(read(bytes_of(some_request())));
    for (const int message : {1, 2, 3, 4, 7, 8, 0, 255})
        CHECK_FALSE(read(answer(some_request(), {.message = static_cast<std::uint8_t>(message)})));
    CHECK_FALSE(read(answer(some_request(), {.lease = 0})));
    CHECK_FALSE(read(Bytes{}));
}

TEST_CASE("options that are cut off, of a wrong length, or of two minds make the whole reply worthless") {
    const Bytes good = answer(some_request());
    for (std::size_t length = 0; length < good.size() - 1; ++length) {
        const auto reply = read(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)));
        // Cut between two options, the reply may still say all that counts.
        if (reply) CHECK(*reply == *read(good));
    }
    const auto with = [&](auto&& change) {
        Bytes bytes = head_for(some_request());
        option(bytes, 53, {ack});
        number_option(bytes, 51, 60);
        change(bytes);
        bytes.push_back(255);
        return read(bytes);
    };
    CHECK(with([](Bytes&) {}));
    CHECK(with([](Bytes& bytes) { bytes.insert(bytes.end(), 9, 0); }));
    CHECK(with([](Bytes& bytes) { number_option(bytes, 51, 60); }));
    CHECK_FALSE(with([](Bytes& bytes) { number_option(bytes, 51, 61); }));
    CHECK_FALSE(with([](Bytes& bytes) { option(bytes, 53, {nak}); }));
    CHECK_FALSE(with([](Bytes& bytes) { option(bytes, 53, {}); }));
    CHECK_FALSE(with([](Bytes& bytes) { option(bytes, 54, {10, 77, 0}); }));
    CHECK_FALSE(with([](Bytes& bytes) { option(bytes, 58, {1}); }));
    CHECK_FALSE(with([](Bytes& bytes) { option(bytes, 59, {0, 0, 0, 1, 0}); }));
    CHECK_FALSE(with([](Bytes& bytes) { bytes.insert(bytes.end(), {6, 200, 1}); }));
    CHECK_FALSE(with([](Bytes& bytes) { option(bytes, 52, {4}); }));
}

TEST_CASE(
    "options go on in the fields for a file and a server's name where option 52 says so, and only there") {
    Bytes bytes = head_for(some_request());
    option(bytes, 53, {ack});
    option(bytes, 52, {3});
    const Bytes file{51, 4, 0, 0, 0, 60, 255};
    const Bytes name{54, 4, 10, 77, 0, 1, 255};
    std::ranges::copy(name, bytes.begin() + 44);
    std::ranges::copy(file, bytes.begin() + 108);
    REQUIRE(read(bytes));
    CHECK(*read(bytes) == DhcpReply{DhcpReply::Kind::acknowledged, own, server, 60, 0, 0});
    Bytes cut = bytes;
    cut[108 + 1] = 127;
    CHECK_FALSE(read(cut));
    Bytes not_said = bytes;
    not_said[245] = 2;  // the value of option 52: the name alone
    not_said[244] = 1;
    CHECK_FALSE(read(not_said));
}

TEST_CASE("a server identifier that nobody could be sent to is none") {
    for (const Ipv4 from : {0x00000001U, 0x7f000001U, 0xe0000001U, 0xffffffffU}) {
        const auto reply = read(answer(some_request(), {.from = from}));
        REQUIRE(reply);
        CHECK(reply->server == 0);
    }
}

TEST_CASE("after a boot every server is asked at half of the lease; then the one that answered, every half") {
    Lease lease(some_record(), granted(3600), 7, start);
    Time now = start;
    CHECK(after(start, lease.deadline()) == doctest::Approx(1799));
    CHECK_FALSE(lease.on_deadline(now));
    Lease::Send sent = next(lease, now);
    CHECK(sent.to == Lease::broadcast);
    now += milliseconds{5};
    CHECK(lease.on_packet(answer(sent.request, {.lease = 3600}), now));
    CHECK(
        contains(told(lease),
                 "the DHCP lease of eth0 (10.77.0.100) was renewed for 3600 s by the DHCP server 10.77.0.1"));
    CHECK(lease.state().server == server);
    for (int i = 2; i < 50; ++i) {
        const Time before = now;
        sent = next(lease, now);
        CHECK(sent.to == server);
        CHECK(after(before, now) <= 1800);
        CHECK(after(before, now) > 1680);
        CHECK(lease.on_packet(answer(sent.request, {.lease = 3600}), now));
        CHECK(lease.state().renewals == static_cast<std::uint64_t>(i));
        CHECK(seconds_left(lease.state(), std::chrono::duration_cast<milliseconds>(now.time_since_epoch())) >=
              3599);
        CHECK(told(lease).empty());
    }
}

TEST_CASE("a server's own times are kept to, unless they make no sense") {
    struct Case {
        std::uint32_t lease, renewal, rebinding, renew_after, rebind_after;
    };
    for (const Case& c : {Case{86400, 600, 1200, 600, 1200}, Case{86400, 0, 0, 43200, 75600},
                          Case{86400, 600, 0, 43200, 75600}, Case{86400, 1200, 600, 43200, 75600},
                          Case{86400, 50000, 86400, 43200, 75600}, Case{86400, 1, 2, 30, 31},
                          Case{60, 1, 2, 30, 31}, Case{1, 0, 0, 5, 9}, Case{60, 30, 52, 30, 52}}) {
        Lease lease(some_record(), granted(3600), 7, start);
        Time now = start;
        const Lease::Send sent = next(lease, now);
        REQUIRE(lease.on_packet(answer(sent.request, {ack, own, c.lease, c.renewal, c.rebinding}), now));
        CHECK(lease.state().renew_after == c.renew_after);
        CHECK(lease.state().rebind_after == c.rebind_after);
        CHECK(lease.state().seconds == std::max(c.lease, 10U));
    }
}

TEST_CASE("a lease without an end needs no renewal") {
    Lease lease(some_record(), granted(3600), 7, start);
    Time now = start;
    const Lease::Send sent = next(lease, now);
    CHECK(lease.on_packet(answer(sent.request, {.lease = infinite_lease}), now));
    CHECK(lease.deadline() == Time::max());
    CHECK_FALSE(lease.on_deadline(now + seconds{1'000'000}));
    CHECK(seconds_left(lease.state(), seconds{5'000'000}) == infinite_lease);
}

TEST_CASE(
    "a server that is silent is asked ever sooner, then every server, and after the end about every minute") {
    LeaseState state = granted(3600);
    state.server = server;
    Lease lease(some_record(), state, 3, start);
    Time now = start;
    const Time obtained{state.obtained_at};
    int renewing = 0;
    int rebinding = 0;
    std::vector<double> late;
    for (Time before = now; late.size() < 20; before = now) {
        const Lease::Send sent = next(lease, now);
        if (after(obtained, now) < 3150) {
            CHECK(sent.to == server);
            ++renewing;
        } else if (after(obtained, now) < 3600) {
            CHECK(sent.to == Lease::broadcast);
            if (rebinding++ == 0)
                CHECK(contains(told(lease), "10.77.0.1, which does not answer; asking all servers"));
        } else {
            CHECK(sent.to == Lease::broadcast);
            if (late.empty()) CHECK(contains(told(lease), "has expired; keeping the address"));
            late.push_back(after(before, now));
        }
        CHECK(told(lease).empty());
        CHECK(after(before, now) >= 1);
    }
    CHECK(renewing >= 4);
    CHECK(renewing <= 12);
    CHECK(rebinding >= 7);
    CHECK(rebinding <= 16);
    CHECK(*std::ranges::max_element(late) <= 60);
    CHECK(*std::ranges::min_element(late.begin() + 1, late.end()) >= 52);
    CHECK(seconds_left(lease.state(), std::chrono::duration_cast<milliseconds>(now.time_since_epoch())) == 0);

    // And then it is back.
    const Lease::Send sent = next(lease, now);
    CHECK(lease.on_packet(answer(sent.request), now));
    CHECK(contains(told(lease), "was renewed for 60 s by the DHCP server 10.77.0.1"));
    CHECK(lease.state().problem.empty());
}

TEST_CASE("a lease of a minute is renewed in time, also when two of three requests are lost") {
    Lease lease(some_record(), granted(60), 11, start);
    Time now = start;
    for (int i = 0; i < 200; ++i) {
        Lease::Send sent = next(lease, now);
        for (int lost = 0; lost < 2; ++lost) sent = next(lease, now);
        const auto left =
            seconds_left(lease.state(), std::chrono::duration_cast<milliseconds>(now.time_since_epoch()));
        CHECK(left > 0);
        REQUIRE(lease.on_packet(answer(sent.request, {.renewal = 30, .rebinding = 52}), now));
    }
    CHECK(lease.state().renewals == 200);
}

TEST_CASE("a refusal and another address are told once; the address is kept, and every server is asked on") {
    for (const Answer& bad : {Answer{.message = nak, .address = 0, .lease = 0}, Answer{.address = own + 1}}) {
        LeaseState state = granted(86400);
        state.server = server;
        Lease lease(some_record(), state, 5, start);
        Time now = start;
        Lease::Send sent = next(lease, now);
        CHECK(sent.to == server);
        CHECK_FALSE(lease.on_packet(answer(sent.request, bad), now));
        const auto news = lease.take_news();
        REQUIRE(news);
        CHECK(news->weight == Lease::News::Weight::grave);
        CHECK(contains(news->text, "keeping the address"));
        for (int i = 0; i < 10; ++i) {
            const Time before = now;
            sent = next(lease, now);
            CHECK(sent.to == Lease::broadcast);
            CHECK(after(before, now) >= 52);
            CHECK(after(before, now) <= 60);
            CHECK(number_at(bytes_of(sent.request), 12) == own);
            CHECK_FALSE(lease.on_packet(answer(sent.request, bad), now));
            CHECK(told(lease).empty());
            CHECK(contains(lease.state().problem, "keeping the address"));
        }
        sent = next(lease, now);
        CHECK(lease.on_packet(answer(sent.request), now));
        CHECK(contains(told(lease), "was renewed"));
        CHECK(lease.state().problem.empty());
    }
}

TEST_CASE("refusals that come in a flood do not lead to a flood of requests") {
    Lease lease(some_record(), granted(60), 5, start);
    Time now = start;
    const Time end = start + seconds{600};
    int requests = 0;
    DhcpRequest last;
    for (; now < end; now += milliseconds{50}) {
        if (const auto sent = lease.on_deadline(now)) {
            last = sent->request;
            ++requests;
        }
        if (requests > 0) CHECK_FALSE(lease.on_packet(answer(last, {.message = nak, .lease = 0}), now));
    }
    CHECK(requests > 20);
    CHECK(requests < 60);
}

TEST_CASE("an answer is taken once, and only to the last request") {
    Lease lease(some_record(), granted(60), 5, start);
    Time now = start;
    CHECK_FALSE(lease.on_packet(answer(DhcpRequest{}), now));
    const Lease::Send first = next(lease, now);
    const Lease::Send second = next(lease, now);
    CHECK_FALSE(lease.on_packet(answer(first.request), now));
    CHECK(lease.on_packet(answer(second.request), now));
    CHECK_FALSE(lease.on_packet(answer(second.request), now));
    CHECK_FALSE(lease.on_packet(answer(second.request, {.message = nak}), now));
    CHECK(lease.state().renewals == 1);
}

TEST_CASE("the lease counts from the request, not from its answer") {
    Lease lease(some_record(), granted(60), 5, start);
    Time now = start;
    const Lease::Send sent = next(lease, now);
    const auto asked = std::chrono::duration_cast<milliseconds>(now.time_since_epoch());
    CHECK(lease.on_packet(answer(sent.request), now + seconds{3}));
    CHECK(lease.state().obtained_at == asked);
}

TEST_CASE("a request that cannot be sent is told once, and sent again in time") {
    Lease lease(some_record(), granted(60), 5, start);
    Time now = start;
    Lease::Send sent = next(lease, now);
    lease.on_send_failure("sendmsg: Network is unreachable");
    CHECK(contains(told(lease), "could not be requested: sendmsg: Network is unreachable"));
    sent = next(lease, now);
    lease.on_send_failure("sendmsg: Network is unreachable");
    CHECK(told(lease).empty());
    CHECK(lease.on_packet(answer(sent.request), now));
    CHECK(contains(told(lease), "was renewed"));
}

TEST_CASE("who takes a lease over goes on where the other was, and a state that makes no sense is made one") {
    LeaseState state = granted(60);
    state.server = server;
    state.renewals = 4;
    Lease lease(some_record(), state, 5, start);
    CHECK(after(start, lease.deadline()) == doctest::Approx(29));
    // Taken over late: at once.
    const Time late = start + seconds{500};
    Lease overdue(some_record(), state, 5, late);
    CHECK(overdue.deadline() == late);
    REQUIRE(overdue.on_deadline(late));
    CHECK(contains(told(overdue), "has expired"));
    state.obtained_at = milliseconds{INT64_MAX};
    state.seconds = 0;
    Lease odd(some_record(), state, 5, start);
    CHECK(after(start, odd.deadline()) <= 5);
}

TEST_CASE("whatever comes in, cut, changed or made up: the address stays, and no second sees two requests") {
    std::mt19937_64 random(20241);
    const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
    std::size_t renewed = 0;
    for (int round = 0; round < 300; ++round) {
        constexpr std::array<std::uint32_t, 6> durations{0, 1, 60, 600, 86400, 0xfffffffe};
        LeaseState state = granted(durations[below(durations.size())]);
        if (below(2) == 0) state.server = server;
        Lease lease(some_record(), state, random(), start);
        Time now = start;
        Time last_sent{};
        for (int step = 0; step < 40; ++step) {
            // The clock itself ends after 292 years.
            if (lease.deadline() > start + seconds{4'000'000'000}) break;
            const Lease::Send sent = next(lease, now);
            REQUIRE(after(last_sent, now) >= 0.999);
            last_sent = now;
            REQUIRE(number_at(bytes_of(sent.request), 12) == own);
            REQUIRE(lease.deadline() >= now + seconds{1});
            for (std::size_t packets = below(6); packets > 0; --packets) {
                Answer what{
                    .message = static_cast<std::uint8_t>(below(9)),
                    .address = below(3) == 0 ? static_cast<Ipv4>(random()) : own,
                    .lease = below(2) == 0 ? static_cast<std::uint32_t>(random()) : durations[below(6)],
                    .renewal = static_cast<std::uint32_t>(random() >> below(64)),
                    .rebinding = static_cast<std::uint32_t>(random() >> below(64))};
                if (below(3) == 0) what.message = ack;
                Bytes packet = answer(sent.request, what);
                switch (below(4)) {
                    case 0: packet.resize(below(packet.size() + 1)); break;
                    case 1:
                        for (std::size_t changes = 1 + below(8); changes > 0; --changes)
                            packet[below(packet.size())] = static_cast<std::uint8_t>(random());
                        break;
                    case 2:
                        packet.resize(240);
                        for (std::size_t more = below(400); more > 0; --more)
                            packet.push_back(
                                static_cast<std::uint8_t>(below(2) == 0 ? 50 + below(10) : random()));
                        break;
                    default: break;
                }
                // Exactly as long as it is, so that a look beyond its end is seen by a sanitizer.
                const Bytes exact(packet.begin(), packet.end());
                if (lease.on_packet(exact, now)) ++renewed;
                const LeaseState& after_it = lease.state();
                REQUIRE(lease.record() == some_record());
                REQUIRE(after_it.seconds >= 10);
                REQUIRE(after_it.renew_after < after_it.rebind_after);
                REQUIRE(after_it.rebind_after < after_it.seconds);
            }
        }
    }
    CHECK(renewed > 1000);
}
