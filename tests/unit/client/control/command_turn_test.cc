// Turns of commands, by a lock file in a folder of the test's own.
#include "client/control/command_turn.hh"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::milliseconds;

TEST_CASE("a command waits for its turn until its deadline, and says so once") {
    std::string folder = "/tmp/holdfast-turn-XXXXXX";
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    const std::string path = folder + "/lock";
    int said = 0;
    const auto say = [&said] { ++said; };
    {
        const auto first = take_turn(path, Clock::now(), say);
        REQUIRE(first);
        CHECK(said == 0);
        const auto second = take_turn(path, Clock::now() + milliseconds{250}, say);
        REQUIRE_FALSE(second);
        CHECK(second.error().code == ETIMEDOUT);
        CHECK(said == 1);
    }
    CHECK(take_turn(path, Clock::now(), say));
    CHECK(take_turn(folder + "/none/lock", Clock::now(), say).error().code == ENOENT);
    std::filesystem::remove_all(folder);
}
