// Addresses, networks and authfiles: who is let in, and that nobody is let in by a list with a mistake in it.
#include <doctest/doctest.h>

#include "common/access/access.hh"

using namespace holdfast;

namespace {

Address address(std::string_view text) {
    const std::optional<Address> parsed = parse_address(text);
    REQUIRE(parsed.has_value());
    return *parsed;
}

AccessList list(std::string_view text) {
    const auto parsed = AccessList::parse(text);
    REQUIRE(parsed.has_value());
    return *parsed;
}

unsigned line_of_mistake(std::string_view text) {
    const auto parsed = AccessList::parse(text);
    return parsed ? 0 : parsed.error().front().line;
}

}  // namespace

TEST_CASE("addresses are written as they were read") {
    for (const char* text :
         {"0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "::1", "2001:db8::39", "fe80::1"}) {
        CHECK(to_string(address(text)) == text);
    }
}

TEST_CASE("what is no address is not taken for one") {
    for (const char* text : {"", " ", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.4 ", "::g", "1::2::3",
                             "host", "127.0.0.1/8", "[::1]"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_address(text).has_value());
    }
    using namespace std::string_view_literals;
    CHECK_FALSE(parse_address("1.2.3.4\0x"sv).has_value());
}

TEST_CASE("an IPv4 address that comes in through an IPv6 socket is the same address") {
    CHECK(address("::ffff:192.168.1.7") == address("192.168.1.7"));
    CHECK(address("::ffff:192.168.1.7").is_v4());
    CHECK_FALSE(address("::1").is_v4());
}

TEST_CASE("a network has the addresses whose first bits are its own") {
    struct Row {
        const char* network;
        const char* address;
        bool inside;
    };
    for (const Row& row : {
             Row{"192.168.0.0/16", "192.168.255.255", true},
             Row{"192.168.0.0/16", "192.169.0.0", false},
             Row{"192.168.1.64/26", "192.168.1.64", true},
             Row{"192.168.1.64/26", "192.168.1.127", true},
             Row{"192.168.1.64/26", "192.168.1.128", false},
             Row{"192.168.1.64/26", "192.168.1.63", false},
             Row{"10.0.0.1", "10.0.0.1", true},
             Row{"10.0.0.1", "10.0.0.2", false},
             Row{"10.0.0.1/32", "10.0.0.11", false},
             Row{"10.0.0.0/31", "10.0.0.1", true},
             Row{"0.0.0.0/0", "255.1.2.3", true},
             Row{"128.0.0.0/1", "127.255.255.255", false},
             Row{"2001:db8::/32", "2001:db8:ffff::1", true},
             Row{"2001:db8::/32", "2001:db9::", false},
             Row{"2001:db8::/33", "2001:db8:7fff::", true},
             Row{"2001:db8::/33", "2001:db8:8000::", false},
             Row{"::1", "::1", true},
             Row{"::1", "::2", false},
             Row{"[2001:db8::1]", "2001:db8::1", true},
             Row{"::/0", "2001:db8::1", true},
             Row{"::ffff:10.0.0.0/104", "10.9.9.9", true},
         }) {
        CAPTURE(row.network);
        CAPTURE(row.address);
        const std::expected<Network, std::string> network = parse_network(row.network);
        REQUIRE(network.has_value());
        CHECK(network->contains(address(row.address)) == row.inside);
    }
}

TEST_CASE("a network of one family never has an address of the other") {
    CHECK_FALSE(parse_network("::/0")->contains(address("10.0.0.1")));
    CHECK_FALSE(parse_network("::/64")->contains(address("10.0.0.1")));
    CHECK_FALSE(parse_network("0.0.0.0/0")->contains(address("::1")));
    CHECK_FALSE(parse_network("0.0.0.0/0")->contains(address("2001:db8::1")));
}

TEST_CASE("host bits in a network are taken as nbd-server's own example has them") {
    const Network network = *parse_network("192.168.0.0/8");
    CHECK(network.contains(address("192.1.2.3")));
    CHECK(network == *parse_network("192.0.0.0/8"));
}

TEST_CASE("a mask is a number that fits the family") {
    for (const char* text :
         {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8x", "10.0.0.0/ 8", "::/129",
          "::1/1000", "10.0.0.0/255.0.0.0", "/8", "10.0.0.0/8/8"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_network(text).has_value());
    }
    CHECK(parse_network("::/128").has_value());
    CHECK(parse_network("0.0.0.0/32").has_value());
}

TEST_CASE("an authfile as nbd-server's manual shows it") {
    const AccessList allowed = list("127.0.0.1\n192.168.0.0/8\n192.168.1.1\n");
    CHECK(allowed.size() == 3);
    CHECK(allowed.allows(address("127.0.0.1")));
    CHECK(allowed.allows(address("192.7.7.7")));
    CHECK_FALSE(allowed.allows(address("127.0.0.2")));
    CHECK_FALSE(allowed.allows(address("::1")));
}

TEST_CASE("comments, empty lines, white space and a missing last newline do no harm") {
    const AccessList allowed =
        list("# all of them\r\n\r\n  10.0.0.1  # the first\n\t10.0.0.2#the second\n#\n2001:db8::/32");
    CHECK(allowed.size() == 3);
    CHECK(allowed.allows(address("10.0.0.1")));
    CHECK(allowed.allows(address("10.0.0.2")));
    CHECK(allowed.allows(address("2001:db8::7")));
}

TEST_CASE("an empty authfile lets nobody in") {
    CHECK_FALSE(list("").allows(address("127.0.0.1")));
    CHECK_FALSE(list("# nobody\n").allows(address("127.0.0.1")));
}

TEST_CASE("a mistake anywhere makes the whole list void, and is found by its line") {
    CHECK(line_of_mistake("127.0.0.1\nworkstation\n") == 2);
    CHECK(line_of_mistake("127.0.0.0 /8\n") == 1);
    CHECK(line_of_mistake("\n\n# x\n127.0.0.1/64\n") == 4);
    CHECK(line_of_mistake(std::string(100'000, 'x')) == 1);
    CHECK(line_of_mistake("127.0.0.1\n10.0.0.") == 2);
}

TEST_CASE("a line may have several entries, with white space or commas between them") {
    const AccessList allowed = list("10.0.0.1 10.0.0.2,10.0.0.3, 2001:db8::/32 # four\n,\n10.1.0.0/16,");
    CHECK(allowed.size() == 5);
    CHECK(allowed.allows(address("10.0.0.3")));
    CHECK(allowed.allows(address("10.1.200.7")));
}

TEST_CASE("every mistake of an authfile is found, up to a hundred") {
    const auto parsed = AccessList::parse("10.0.0.1\nfirst\n10.0.0.2, second third\n\n10.0.0.0/33\n");
    REQUIRE_FALSE(parsed.has_value());
    std::vector<unsigned> lines;
    for (const AccessList::Mistake& one : parsed.error()) lines.push_back(one.line);
    CHECK(lines == std::vector<unsigned>{2, 3, 3, 5});
    std::string many;
    for (int i = 0; i < 1000; ++i) many += "no ";
    CHECK(AccessList::parse(many).error().size() == 100);
}
