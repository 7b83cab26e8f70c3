#include "client/boot/router_advertisement.hh"

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "client/boot/ipconfig.hh"

using namespace holdfast::client;

namespace {

using Bytes = std::vector<std::uint8_t>;

// An advertisement with these options.
Bytes advertisement(std::initializer_list<Bytes> options) {
    Bytes message = {134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0};
    for (const Bytes& option : options) message.insert(message.end(), option.begin(), option.end());
    return message;
}

Bytes with_lifetime(std::uint8_t type, Bytes content, std::uint8_t lifetime = 60) {
    Bytes option = {type, static_cast<std::uint8_t>((content.size() + 8) / 8), 0, 0, 0, 0, 0, lifetime};
    option.insert(option.end(), content.begin(), content.end());
    return option;
}

const Bytes global = {0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53};
const Bytes link_local = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
const Bytes prefix(32, 0);  // content does not matter
const Bytes prefix_option = [] {
    Bytes option = prefix;
    option[0] = 3;
    option[1] = 4;
    return option;
}();

// The names as in a DNS message, padded to a multiple of 8 bytes.
Bytes encoded(const std::string& text) {
    Bytes bytes(text.begin(), text.end());
    while (bytes.size() % 8 != 0) bytes.push_back(0);
    return bytes;
}

const Bytes two_domains = encoded(std::string("\7example\4test\0\3lab\0", 19));

}  // namespace

TEST_CASE("an advertisement of a router names name servers and domains, between options of other kinds") {
    Bytes both = global;
    both.insert(both.end(), link_local.begin(), link_local.end());
    const auto facts =
        parse_router_advertisement(advertisement({prefix_option, with_lifetime(25, both),
                                                  with_lifetime(31, two_domains), prefix_option}),
                                   "eth0");
    REQUIRE(facts.has_value());
    CHECK(facts->name_servers == std::vector<std::string>{"fd77::53", "fe80::1%eth0"});
    CHECK(facts->search == std::vector<std::string>{"example.test", "lab"});
}

TEST_CASE("a name server or domain that the router withdraws, or that cannot be one, is left out") {
    const Bytes nothing(16, 0);
    Bytes multicast(16, 1);
    multicast[0] = 0xff;
    const auto facts = parse_router_advertisement(
        advertisement({with_lifetime(25, global, 0), with_lifetime(31, two_domains, 0),
                       with_lifetime(25, nothing), with_lifetime(25, multicast),
                       with_lifetime(31, encoded(std::string("\5a b'c\0", 7)))}),
        "eth0");
    REQUIRE(facts.has_value());
    CHECK(*facts == RouterFacts{});
}

TEST_CASE("an advertisement with a wrong length is refused, wherever it is cut") {
    const Bytes whole = advertisement({with_lifetime(25, global), with_lifetime(31, two_domains)});
    REQUIRE(parse_router_advertisement(whole, "eth0").has_value());
    for (std::size_t length = 0; length < whole.size(); ++length) {
        const bool ends_with_an_option = length == 16 || length == 40;
        CHECK(parse_router_advertisement(std::span(whole).first(length), "eth0").has_value() ==
              ends_with_an_option);
    }
    for (const Bytes& option :
         {Bytes{25, 0, 0, 0, 0, 0, 0, 60}, Bytes{25, 1, 0, 0, 0, 0, 0, 60},
          Bytes{25, 2, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0},
          with_lifetime(31, {9, 'a', 0, 0, 0, 0, 0, 0}), with_lifetime(31, {1, 'a', 1, 'b', 1, 'c', 1, 'd'}),
          with_lifetime(31, {64, 'a', 0, 0, 0, 0, 0, 0}), with_lifetime(31, {1, 'a', 0, 0, 1, 0, 0, 0})})
        CHECK_FALSE(parse_router_advertisement(advertisement({option}), "eth0").has_value());
    Bytes other = whole;
    other[0] = 133;
    CHECK_FALSE(parse_router_advertisement(other, "eth0").has_value());
}

TEST_CASE("a list of a hostile router has an end") {
    std::vector<Bytes> options;
    Bytes message = advertisement({});
    for (std::uint8_t number = 0; number < 100; ++number) {
        Bytes address = global;
        address[15] = number;
        const Bytes option = with_lifetime(25, address);
        message.insert(message.end(), option.begin(), option.end());
    }
    CHECK(parse_router_advertisement(message, "eth0")->name_servers.size() == 16);
}

TEST_CASE("the file of an answer is read like that of a client for DHCPv6") {
    const RouterFacts facts{.name_servers = {"fd77::53", "fe80::1%eth0"}, .search = {"example.test", "lab"}};
    const NetworkAnswer answer =
        parse_network_answer(network_answer_text(facts, "eth0", "fd77::5054:ff:fe77:1"));
    CHECK(answer.interface == "eth0");
    CHECK(answer.address == "fd77::5054:ff:fe77:1");
    CHECK(answer.name_servers == facts.name_servers);
    CHECK(answer.search == facts.search);
    CHECK_FALSE(answer.from_dhcp);
}
