// The memory of connections: what each has for certain, and what all of them share.
#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "server/buffers.hh"

using namespace holdfast::server;

TEST_CASE("a connection has its small piece even when nothing is left to borrow") {
    Budget nothing;
    Buffers buffers(nothing);
    const auto area = buffers.take(Buffers::guaranteed);
    REQUIRE(area.size() == Buffers::guaranteed);
    CHECK(buffers.take(1).empty());
    area.front() = 1;
    area.back() = 1;
    buffers.give(area);
    CHECK_FALSE(buffers.take(1).empty());
}

TEST_CASE("more is borrowed as long as there is any, and given back") {
    Budget budget(2 * Buffers::step);
    {
        Buffers first(budget);
        Buffers second(budget);
        const auto area = first.take(Buffers::guaranteed + 1);
        REQUIRE_FALSE(area.empty());
        CHECK(budget.borrowed() == Buffers::step);
        CHECK_FALSE(second.take(Buffers::guaranteed + Buffers::step).empty());
        CHECK(budget.borrowed() == 2 * Buffers::step);
        CHECK(first.take(Buffers::step).empty());
        first.release();
        CHECK_MESSAGE(budget.borrowed() == 2 * Buffers::step, "released while it was in use");
        first.give(area);
        first.release();
        CHECK(budget.borrowed() == Buffers::step);
        CHECK(first.take(Buffers::guaranteed).size() == Buffers::guaranteed);
    }
    CHECK(budget.borrowed() == 0);
}

TEST_CASE("a connection has its bound, however much there is") {
    Budget budget(1ULL << 40);
    Buffers buffers(budget);
    CHECK(buffers.take(Buffers::most + 1).empty());
    CHECK(buffers.take(Buffers::most).size() == Buffers::most);
    CHECK(buffers.take(1).empty());
    CHECK(budget.borrowed() == Buffers::most - Buffers::guaranteed);
}

TEST_CASE("areas begin at pages, do not overlap, and are used again in any order") {
    Budget budget(1ULL << 30);
    Buffers buffers(budget);
    std::vector<std::span<std::uint8_t>> areas;
    for (const std::size_t length : {1UL, 4096UL, 4097UL, 300'000UL, 70UL, 262'144UL, 131'072UL}) {
        areas.push_back(buffers.take(length));
        REQUIRE(areas.back().size() == length);
        CHECK(reinterpret_cast<std::uintptr_t>(areas.back().data()) % Buffers::page == 0);
        for (std::uint8_t& byte : areas.back()) byte = static_cast<std::uint8_t>(areas.size());
    }
    for (std::size_t i = 0; i < areas.size(); ++i) {
        for (const std::uint8_t byte : areas[i]) REQUIRE(byte == i + 1);
    }
    buffers.give(areas[3]);
    CHECK(buffers.take(300'000).data() == areas[3].data());
    for (const auto& area : areas) buffers.give(area);
    CHECK_FALSE(buffers.in_use());
    CHECK(buffers.take(1).data() == areas[0].data());
}

TEST_CASE("what there is, when not all that is wanted is there") {
    Budget nothing;
    Buffers buffers(nothing);
    const auto input = buffers.take(64U << 10);
    const auto rest = buffers.take_most(1U << 20);
    CHECK(rest.size() == 256U << 10);
    CHECK(buffers.take_most(1U << 20).empty());
    CHECK(buffers.take_most(0).empty());
    buffers.give(input);
    CHECK(buffers.take_most(5000).size() == 5000);
}
