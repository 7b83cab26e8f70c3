// The kernel's messages on block devices.
#include <doctest/doctest.h>

#include <string_view>

#include "server/volume/block_events.hh"

using namespace holdfast::server;
using namespace std::string_view_literals;

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
