// Who goes when too many are in the handshake, and what authfiles say of a client.
#include <doctest/doctest.h>

#include "server/access/admission.hh"
#include "server/config/access_table.hh"

using namespace holdfast;
using namespace holdfast::server;
using namespace std::chrono_literals;

namespace {

constexpr holdfast::Clock::time_point start{};

Address address(const char* text) { return *parse_address(text); }

}  // namespace

TEST_CASE("when the handshakes are full, the first of the most crowded network goes") {
    Admission admission;
    const auto lonely = admission.enter(address("10.1.0.1"), false, start);
    const auto first = admission.enter(address("10.2.0.1"), false, start);
    const auto second = admission.enter(address("10.2.0.99"), false, start);
    const auto third = admission.enter(address("10.2.0.1"), false, start);
    CHECK_FALSE(admission.first_to_go(start + 99ms).has_value());
    CHECK(admission.first_to_go(start + 100ms) == first);
    admission.leave(first);
    CHECK(admission.first_to_go(start + 1s) == second);
    admission.leave(second);
    admission.leave(third);
    CHECK(admission.first_to_go(start + 1s) == lonely);
    admission.leave(lonely);
    CHECK_FALSE(admission.first_to_go(start + 1s).has_value());
    CHECK(admission.count() == 0);
}

TEST_CASE("of IPv6, a network is a /64") {
    Admission admission;
    (void)admission.enter(address("2001:db8:0:1::1"), false, start);
    const auto first = admission.enter(address("2001:db8:0:2::1"), false, start);
    (void)admission.enter(address("2001:db8:0:2:ffff::1"), false, start);
    CHECK(admission.first_to_go(start + 1s) == first);
}

TEST_CASE("a client that a session or an authfile knows goes only after every stranger") {
    Admission admission;
    const auto known = admission.enter(address("10.2.0.1"), true, start);
    const auto named = admission.enter(address("10.2.0.2"), false, start);
    const auto local = admission.enter(std::nullopt, false, start);
    admission.set_known(named);
    const auto stranger = admission.enter(address("10.9.0.1"), false, start + 1h);
    CHECK(admission.first_to_go(start + 2h) == stranger);
    admission.leave(stranger);
    CHECK_FALSE(admission.first_to_go(start + 4999ms).has_value());
    CHECK(admission.first_to_go(start + 5s) == known);
    admission.leave(known);
    admission.leave(named);
    CHECK(admission.first_to_go(start + 5s) == local);
}

TEST_CASE("a client that a thread works for stays until it is through") {
    Admission admission;
    const auto one = admission.enter(address("10.2.0.1"), false, start);
    admission.set_busy(one, true);
    CHECK_FALSE(admission.first_to_go(start + 1s).has_value());
    admission.set_known(one);
    CHECK_FALSE(admission.first_to_go(start + 1h).has_value());
    admission.set_busy(one, false);
    CHECK(admission.first_to_go(start + 1h) == one);
}

TEST_CASE("the handshakes are full when there are as many as there may be") {
    Admission admission;
    for (std::size_t i = 0; i < Admission::most; ++i) {
        CHECK_FALSE(admission.is_full());
        (void)admission.enter(address("10.0.0.1"), false, start);
    }
    CHECK(admission.is_full());
}

TEST_CASE("addresses that had a session are known, the last 4096 of them") {
    KnownClients known;
    Address one = address("10.0.0.0");
    known.add(one);
    CHECK(known.has(address("10.0.0.0")));
    CHECK_FALSE(known.has(address("10.0.0.1")));
    for (unsigned i = 1; i <= 4096; ++i) {
        one.bytes[14] = static_cast<std::uint8_t>(i >> 8);
        one.bytes[15] = static_cast<std::uint8_t>(i);
        known.add(one);
    }
    CHECK(known.has(one));
    CHECK_FALSE(known.has(address("10.0.0.0")));
}

TEST_CASE("an authfile lets in whom it names; one that was not read, or has a mistake, nobody") {
    ConfigTexts files;
    files.files = {{"/a", "10.0.0.0/8\n", ""},
                   {"/b", "192.0.2.1\n", ""},
                   {"/c", "10.0.0.300\n", ""},
                   {"/d", "", "open: No such file or directory"}};
    const auto table = AccessTable::make(files, nullptr);
    const Verdicts one = table->judge(address("10.1.2.3"));
    CHECK(one.is_known());
    CHECK_FALSE(one.forbidden("").has_value());
    CHECK_FALSE(one.forbidden("/a").has_value());
    CHECK(one.forbidden("/b") == "the client's address is not in /b");
    CHECK(one.forbidden("/c")->starts_with("authfile /c:1: "));
    CHECK(one.forbidden("/d") == "authfile /d: open: No such file or directory; all clients are refused");
    CHECK(one.forbidden("/e") == "authfile /e has not been read; connect again");
    CHECK_FALSE(table->judge(address("203.0.113.1")).is_known());
    CHECK_FALSE(Verdicts::everything().forbidden("/b").has_value());
    // What has not changed is taken over, and what has is read.
    files.files[0].text = "192.0.2.1\n";
    const auto changed = AccessTable::make(files, table.get());
    CHECK(changed->judge(address("10.1.2.3")).forbidden("/a").has_value());
    CHECK_FALSE(changed->judge(address("192.0.2.1")).forbidden("/b").has_value());
}
