// Facts from a DHCP server besides the address: the options as bytes, and the lines for the system.
#include "client/lease/network_facts.hh"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

using namespace holdfast::client;
using Bytes = std::vector<std::uint8_t>;

namespace {

Bytes bytes(std::string_view text) { return {text.begin(), text.end()}; }

// A list of domains as sent, "3lab4test0" for lab.test.
Bytes names(std::initializer_list<std::string_view> parts) {
    Bytes wire;
    for (const std::string_view part : parts) {
        wire.push_back(static_cast<std::uint8_t>(part.size()));
        wire.insert(wire.end(), part.begin(), part.end());
    }
    return wire;
}

NetworkFacts facts_of(std::uint8_t code, const Bytes& value) {
    FactsReader reader;
    reader.take(code, value);
    return reader.facts();
}

}  // namespace

TEST_CASE("network facts: name servers and time servers are lists of addresses, each once, without 0.0.0.0") {
    CHECK(facts_of(6, {10, 77, 0, 1, 0, 0, 0, 0, 9, 9, 9, 9, 10, 77, 0, 1}).name_servers ==
          "10.77.0.1 9.9.9.9");
    CHECK(facts_of(42, {10, 77, 0, 2}).time_servers == "10.77.0.2");
    CHECK(facts_of(6, {10, 77, 0}).name_servers.empty());
    // As many as fit, and each whole.
    Bytes many;
    for (std::uint8_t i = 0; i < 60; ++i) many.insert(many.end(), {200, 200, 200, i});
    const NetworkFacts facts = facts_of(6, many);
    CHECK(facts.name_servers.view().ends_with(" 200.200.200.8"));
}

TEST_CASE("network facts: a domain is a plain name, perhaps with the zero byte of a C string") {
    CHECK(facts_of(15, bytes("lab.test")).domain == "lab.test");
    CHECK(facts_of(15, bytes(std::string_view("lab.test\0", 9))).domain == "lab.test");
    for (const char* evil : {"", "lab test", "lab\nnameserver 6.6.6.6", "$(reboot)", "lab;test", "../x"})
        CHECK(facts_of(15, bytes(evil)).domain.empty());
}

TEST_CASE("network facts: domains to search are decoded, with pointers, and also if the option is split") {
    Bytes wire = names({"lab", "test", "", "eng"});
    wire.insert(wire.end(), {0xc0, 0});
    CHECK(facts_of(119, wire).search == "lab.test eng.lab.test");
    FactsReader split;
    split.take(119, std::span(wire).first(6));
    split.take(119, std::span(wire).subspan(6));
    CHECK(split.facts().search == "lab.test eng.lab.test");
}

TEST_CASE("network facts: an encoding that is cut off, endless or leads forward ends the list") {
    CHECK(facts_of(119, names({"lab", "test"})).search.empty());
    CHECK(facts_of(119, {3, 'l', 'a'}).search.empty());
    CHECK(facts_of(119, {0xc0}).search.empty());
    CHECK(facts_of(119, {0xc0, 0}).search.empty());
    CHECK(facts_of(119, {0xc0, 2, 3, 'l', 'a', 'b', 0}).search.empty());
    CHECK(facts_of(119, {1, 'a', 0xc0, 0}).search.empty());
    Bytes wire = names({"good", "", "lab\n", "", "later", ""});
    CHECK(facts_of(119, wire).search == "good later");
    CHECK(facts_of(119, Bytes(64, 0x40)).search.empty());
}

TEST_CASE("network facts: no bytes of an option can do harm") {
    std::mt19937 random(17);
    for (int round = 0; round < 20000; ++round) {
        FactsReader reader;
        for (int part = 0; part < 3; ++part) {
            Bytes value(random() % 256);
            for (auto& byte : value) byte = static_cast<std::uint8_t>(random() % 4 ? random() % 8 : random());
            reader.take(119, value);
            reader.take(static_cast<std::uint8_t>(random() % 2 ? 6 : 15), value);
        }
        const FactsText lines = lines_of(reader.facts());
        CHECK_FALSE(lines.full());
        for (const char c : lines.view()) CHECK((c == '\n' || (c >= ' ' && c <= '~')));
    }
}

TEST_CASE("network facts: a line for each that is known, whole even if all are as long as they may be") {
    NetworkFacts facts;
    CHECK(lines_of(facts).empty());
    facts.name_servers = "10.77.0.1 10.77.0.2";
    facts.search = "lab.test eng.lab.test";
    CHECK(lines_of(facts) == "dns 10.77.0.1 10.77.0.2\nsearch lab.test eng.lab.test\n");
    facts = {std::string(128, 'a'), std::string(256, 'b'), std::string(512, 'c'), std::string(128, 'd'),
             std::string(64, 'e')};
    CHECK(lines_of(facts).view().ends_with("\nhostname " + std::string(64, 'e') + "\n"));
}
