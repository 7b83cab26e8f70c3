// The memory of connections: what each has for certain, and what all of them share.
#include <doctest/doctest.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "server/transport/buffers.hh"

using namespace holdfast::server;

namespace {

constexpr std::size_t step = Buffers::step;

Buffers alone(Budget& budget) { return Buffers(budget.borrower("export", "address")); }

}  // namespace

TEST_CASE("a connection has its small piece even when nothing is left to borrow") {
    Budget nothing;
    Buffers buffers = alone(nothing);
    const auto area = buffers.take(Buffers::guaranteed);
    REQUIRE(area.size() == Buffers::guaranteed);
    CHECK(buffers.take(1).empty());
    area.front() = 1;
    area.back() = 1;
    buffers.give(area);
    CHECK_FALSE(buffers.take(1).empty());
}

TEST_CASE("more is borrowed as long as there is any, and given back") {
    Budget budget(8 * step);
    {
        Buffers buffers = alone(budget);
        const auto area = buffers.take(Buffers::guaranteed + 1);
        REQUIRE_FALSE(area.empty());
        CHECK(budget.borrowed() == step);
        const auto more = buffers.take(step);
        REQUIRE_FALSE(more.empty());
        CHECK(budget.borrowed() == 2 * step);
        CHECK_MESSAGE(buffers.take(step).empty(), "more than a quarter of all");
        buffers.release();
        CHECK_MESSAGE(budget.borrowed() == 2 * step, "released while it was in use");
        buffers.give(more);
        CHECK_MESSAGE(budget.borrowed() == 2 * step, "kept for the next request");
        buffers.release();
        CHECK(budget.borrowed() == step);
        buffers.give(area);
        buffers.release();
        CHECK(budget.borrowed() == 0);
        CHECK(buffers.take(Buffers::guaranteed + 1).size() == Buffers::guaranteed + 1);
    }
    CHECK(budget.borrowed() == 0);
}

TEST_CASE("a connection has its bound, however much there is") {
    Budget budget(1ULL << 40);
    Buffers buffers = alone(budget);
    CHECK(buffers.take(Buffers::most + 1).empty());
    CHECK(buffers.take(Buffers::most).size() == Buffers::most);
    CHECK(buffers.take(1).empty());
    CHECK(budget.borrowed() == Buffers::most - Buffers::guaranteed / step * step);
}

TEST_CASE("areas begin at pages, do not overlap, and are used again in any order") {
    Budget budget(1ULL << 30);
    Buffers buffers = alone(budget);
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

TEST_CASE("what there is, when not all that is wanted is there, is whole units") {
    Budget nothing;
    Buffers buffers = alone(nothing);
    const auto input = buffers.take(64U << 10);
    for (const std::size_t pages : {65UL, 67UL, 99UL, 201UL, 8192UL}) {
        for (const std::size_t unit : {4096UL, 16384UL, 65536UL}) {
            CAPTURE(pages);
            CAPTURE(unit);
            const auto area = buffers.take_most(pages * Buffers::page, unit);
            CHECK(area.size() > 0);
            CHECK(area.size() % unit == 0);
            buffers.give(area);
        }
    }
    const auto rest = buffers.take_most(1U << 20, 4096);
    CHECK(rest.size() == step);
    CHECK(buffers.take_most(1U << 20, 4096).empty());
    CHECK(buffers.take_most(0, 4096).empty());
    buffers.give(rest);
    buffers.give(input);
    CHECK(buffers.take_most(5000, 4096).size() == 5000);
}

TEST_CASE("an area that is reserved costs nothing before its data come") {
    Budget budget(1ULL << 30);
    Buffers buffers = alone(budget);
    const auto area = buffers.reserve(4U << 20);
    REQUIRE(area.size() == 4U << 20);
    CHECK(budget.borrowed() == 0);
    std::size_t have = buffers.commit(area, 0);
    CHECK(have == step);
    CHECK(budget.borrowed() == 0);
    have = buffers.commit(area, have);
    CHECK(have == 2 * step);
    CHECK(budget.borrowed() == step);
    for (std::uint8_t& byte : area.first(have)) byte = 7;
    while (have < area.size()) have = buffers.commit(area, have);
    CHECK(have == area.size());
    const std::uint64_t all = budget.borrowed();
    CHECK(all >= area.size() - Buffers::guaranteed);
    // From its memory of before, all at once.
    buffers.give(area);
    const auto again = buffers.reserve(4U << 20);
    CHECK(buffers.commit(again, 0) == again.size());
    CHECK(budget.borrowed() == all);
}

TEST_CASE("what has come is kept when the rest is given back, and what is committed again is new memory") {
    Budget budget(1ULL << 30);
    Buffers buffers = alone(budget);
    const auto area = buffers.reserve(1U << 20);
    std::size_t have = 0;
    while (have < area.size()) have = buffers.commit(area, have);
    for (std::uint8_t& byte : area) byte = 7;
    CHECK(buffers.shrink(area, 5000) == 8192);
    CHECK(budget.borrowed() == 0);
    CHECK(area[4999] == 7);
    CHECK(buffers.commit(area, 8192) == step);
    CHECK(area[8192] == 0);
}

TEST_CASE("without anything to borrow, a reserved area has what is certain and no more") {
    Budget nothing;
    Buffers buffers = alone(nothing);
    const auto input = buffers.take(64U << 10);
    const auto area = buffers.reserve(4U << 20);
    CHECK(buffers.commit(area, 0) == step);
    CHECK(buffers.commit(area, step) == step);
    CHECK(buffers.shrink(area, 1) == Buffers::page);
    CHECK(buffers.commit(area, Buffers::page) == step);
    buffers.give(input);
}

TEST_CASE("what is left of the certain memory is enough to go on, however little it is") {
    Budget nothing;
    Buffers buffers = alone(nothing);
    const auto others = buffers.take(Buffers::guaranteed - Buffers::page);
    REQUIRE_FALSE(others.empty());
    const auto area = buffers.reserve(1U << 20);
    CHECK(buffers.commit(area, 0) == Buffers::page);
    CHECK_MESSAGE(buffers.commit(area, Buffers::page) == Buffers::page, "there is no more");
}

TEST_CASE("memory from before is not in the way of a reserved area, wherever it lies") {
    Budget nothing;
    Buffers buffers = alone(nothing);
    const auto input = buffers.take(Buffers::guaranteed - step);
    const auto low = buffers.reserve(step);
    const auto high = buffers.take(step);
    REQUIRE_FALSE(high.empty());
    buffers.give(low);
    buffers.give(high);
    // Its second half has the pages of `high`, all that there are.
    const auto area = buffers.reserve(2 * step);
    REQUIRE(area.data() == low.data());
    CHECK(buffers.commit(area, 0) == step);
    CHECK(buffers.commit(area, step) == step);
    buffers.give(area);
    buffers.give(input);
}

TEST_CASE("memory that a connection does not use is not in its own way") {
    Budget nothing;
    Buffers buffers = alone(nothing);
    const auto low = buffers.take(64U << 10);
    const auto high = buffers.take(step);
    buffers.give(low);
    const auto above = buffers.take(4096);
    buffers.give(high);
    // The pages of `high` are committed and lie where these do not fit.
    CHECK(buffers.take(Buffers::guaranteed - 4096).size() == Buffers::guaranteed - 4096);
    CHECK(above.size() == 4096);
}

TEST_CASE("neither an export nor an address has more than a quarter") {
    Budget budget(16 * step);
    auto hog = budget.borrower("a", "1");
    auto of_same_export = budget.borrower("a", "3");
    auto of_same_address = budget.borrower("b", "1");
    auto other = budget.borrower("b", "2");
    while (hog.borrow(step)) continue;
    CHECK(hog.borrowed() == 4 * step);
    CHECK_FALSE(of_same_export.borrow(step));
    CHECK_FALSE(of_same_address.borrow(step));
    while (other.borrow(step)) continue;
    CHECK(other.borrowed() == 4 * step);
    hog.keep(step);
    CHECK(budget.borrowed() == 5 * step);
    CHECK(of_same_export.borrow(step));
    // A lower limit counts from now on.
    budget.set_limit(6 * step);
    CHECK_FALSE(of_same_export.borrow(step));
}

TEST_CASE("one that comes late has a part, however much the others hold for ever") {
    Budget budget(128 * step);
    std::deque<Budget::Borrower> hogs;
    for (const std::size_t part : {32, 32, 32, 16, 8, 4, 2}) {
        const std::string name = std::to_string(hogs.size());
        hogs.push_back(budget.borrower(name, name));
        while (hogs.back().borrow(step)) continue;
        CHECK(hogs.back().borrowed() == part * step);
    }
    auto late = budget.borrower("late", "late");
    CHECK(late.borrow(step));
}

TEST_CASE("what is not used is given back when others are in want") {
    Budget budget(32 * step);
    Buffers buffers = alone(budget);
    auto area = buffers.take(7 * step);
    buffers.give(area);
    buffers.share();
    CHECK(budget.borrowed() == 6 * step);
    auto other = budget.borrower("b", "2");
    CHECK_FALSE(other.borrow(9 * step));
    buffers.share();  // it may want as much again
    CHECK(budget.borrowed() == 6 * step);
    area = buffers.take(3 * step);
    CHECK_FALSE(other.borrow(9 * step));
    buffers.share();
    CHECK(budget.borrowed() == 2 * step);
    CHECK(other.borrow(7 * step));
}
