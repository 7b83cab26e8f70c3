// The kernel's messages on block devices.
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string_view>

#include "server/volume/block_events.hh"

using namespace holdfast::server;
using namespace std::string_view_literals;

namespace {

// sends_notices_here() of a child in new namespaces; empty without the right to make them.
std::optional<bool> sends_notices_in(int namespaces) {
    constexpr int skipped = 2;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(::unshare(namespaces) != 0 ? skipped : sends_notices_here() ? 1 : 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) == skipped) return std::nullopt;
    return WEXITSTATUS(status) == 1;
}

bool is_initial_user_namespace() {
    struct stat status {};
    return ::stat("/proc/self/ns/user", &status) == 0 && status.st_ino == 0xEFFFFFFD;
}

}  // namespace

TEST_CASE("notices are known to come to a network of the initial user namespace only") {
    const auto foreign = sends_notices_in(CLONE_NEWUSER | CLONE_NEWNET);
    if (!foreign) MESSAGE("skipped: no right to make a user namespace");
    CHECK_FALSE(foreign.value_or(false));
    const auto inherited = sends_notices_in(CLONE_NEWUSER);
    CHECK_FALSE(inherited.value_or(false));
    const auto own = sends_notices_in(CLONE_NEWNET);
    CHECK(own.value_or(is_initial_user_namespace()) == is_initial_user_namespace());
}

TEST_CASE("a message of the kernel is about a block device if it says so in a field of its own") {
    CHECK(is_block_event(
        "change@/devices/virtual/block/dm-0\0ACTION=change\0DEVPATH=/devices/virtual/block/dm-0\0"
        "SUBSYSTEM=block\0MAJOR=253\0"sv));
    CHECK(is_block_event("add@/x\0SUBSYSTEM=block"sv));
    CHECK_FALSE(is_block_event("add@/devices/x\0ACTION=add\0SUBSYSTEM=net\0"sv));
    CHECK_FALSE(is_block_event("add@/x\0SUBSYSTEM=blocks\0NAME=SUBSYSTEM=block\0"sv));
    CHECK_FALSE(is_block_event("libudev\0SUBSYSTEM=block\0"sv));
    CHECK_FALSE(is_block_event(""sv));
    CHECK_FALSE(is_block_event("\0\0"sv));
}
