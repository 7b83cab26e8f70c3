// Who uses a device, by the kernel's tables.
#include <doctest/doctest.h>

#include "client/kernel/device_users.hh"

using namespace holdfast::client;

namespace {

const std::vector<BlockName> disk{{"nbd0", "43:0"}, {"nbd0p1", "43:1"}};

constexpr const char* mountinfo =
    "22 1 43:1 / / rw,relatime shared:1 - ext4 /dev/nbd0p1 rw\n"
    "23 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n"
    "40 22 43:16 / /other rw - ext4 /dev/nbd1 rw\n"
    "41 22 43:1 /home /mnt/with\\040blank rw shared:7 master:2 - ext4 /dev/root rw\n"
    "42 22 0:44 / /pool rw - btrfs /dev/nbd0 rw\n";

}  // namespace

TEST_CASE("a mount is found by the device's numbers, and by its source where the file system has its own") {
    CHECK(mounts_of(mountinfo, disk) == std::vector<std::string>{"nbd0p1 is mounted on /",
                                                                 "nbd0p1 is mounted on /mnt/with blank",
                                                                 "nbd0 is mounted on /pool"});
}

TEST_CASE("another device's mounts, also one whose name begins alike, are none of ours") {
    CHECK(mounts_of(mountinfo, {{"nbd2", "43:32"}}).empty());
    CHECK(mounts_of("1 0 43:160 / /x rw - ext4 /dev/nbd10 rw\n", {{"nbd1", "43:16"}}).empty());
    CHECK(mounts_of("", disk).empty());
    CHECK(mounts_of("1 0 43:160", {{"nbd10", "43:160"}}).size() == 1);
}

TEST_CASE("swap on a partition is found") {
    constexpr const char* swaps =
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/nbd0p1                             partition\t1024\t\t0\t\t-2\n";
    CHECK(swaps_on(swaps, disk) == std::vector<std::string>{"nbd0p1 is in use as swap"});
    CHECK(swaps_on(swaps, {{"nbd0p10", "43:10"}}).empty());
}
