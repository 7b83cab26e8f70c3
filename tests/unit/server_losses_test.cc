// Who hears of a lost write, and who need not.
#include <doctest/doctest.h>

#include <cerrno>

#include "server/losses.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

nbd::Uuid session(std::uint8_t first, std::uint8_t second = 0) { return {first, second}; }

}  // namespace

TEST_CASE("a loss is told to a session on every connection, also when it comes back after all have left") {
    Losses losses;
    const auto disk = losses.of("disk", "/dev/x");
    { const Writer before = disk->begin(session(1), true); }
    disk->add(ENOSPC);
    disk->add(EIO);
    for (int i = 0; i < 2; ++i) {
        const Writer again = losses.of("disk", "/dev/x")->begin(session(1), false);
        CHECK(again.check().error().code == EIO);
        CHECK(again.check().error().code == EIO);
    }
    CHECK(losses.of("another", "/dev/y")->begin(session(1), false).check());
}

TEST_CASE("a session that begins after the loss goes on, also when it reconnects, until the next loss") {
    const auto disk = std::make_shared<DiskLosses>("/dev/x");
    disk->add(EIO);
    CHECK(disk->begin(session(2), true).check());
    const Writer again = disk->begin(session(2), false);
    CHECK(again.check());
    disk->add(EIO);
    CHECK_FALSE(again.check());
    CHECK_FALSE(disk->begin(session(2), false).check());
    // It may be one that wrote before the server was started.
    CHECK_FALSE(disk->begin(session(3), false).check());
}

TEST_CASE(
    "sessions are remembered up to a bound, and a forgotten one is told too much rather than too little") {
    const auto disk = std::make_shared<DiskLosses>("/dev/x");
    disk->add(EIO);
    for (std::size_t i = 0; i <= DiskLosses::most_sessions; ++i) {
        CHECK(disk->begin(session(static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)), true)
                  .check());
    }
    CHECK_FALSE(disk->begin(session(0, 0), false).check());
    CHECK(disk->begin(session(1, 0), false).check());
}

TEST_CASE("clients without a session hear of a loss at least once, and as long as one of them stays") {
    const auto disk = std::make_shared<DiskLosses>("/dev/x");
    disk->add(EIO);
    { const Writer never_asks = disk->begin_nameless(); }
    {
        const Writer first = disk->begin_nameless();
        CHECK_FALSE(first.check());
        const Writer second = disk->begin_nameless();
        CHECK_FALSE(second.check());
        CHECK_FALSE(first.check());
    }
    CHECK(disk->begin_nameless().check());
}

TEST_CASE("who cannot write has lost nothing") { CHECK(Writer().check()); }
