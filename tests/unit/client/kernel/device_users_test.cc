// Users of a device, by the kernel's tables.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

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

// A machine with nbd0, which has a partition; folders in place of /sys/block and /proc.
class Machine {
public:
    Machine() {
        std::string pattern = "/tmp/holdfast-users-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder_ = pattern;
        put("block/nbd0/dev", "43:0\n");
        put("block/nbd0/nbd0p1/dev", "43:1\n");
    }
    ~Machine() { std::filesystem::remove_all(folder_); }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    void put(const char* name, const char* text) const {
        std::filesystem::create_directories((folder_ / name).parent_path());
        std::ofstream(folder_ / name) << text;
    }
    // A folder is a file that even root cannot read.
    void put_unreadable(const char* name) const { std::filesystem::create_directories(folder_ / name); }
    std::vector<std::string> users() const { return users_of(0, (folder_ / "block").c_str(), proc()); }
    std::string proc() const { return folder_ / "proc"; }

private:
    std::filesystem::path folder_;
};

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

TEST_CASE("mounts, swap and stacked devices are users of a disk and of its partitions") {
    const Machine machine;
    CHECK(machine.users().empty());
    machine.put("proc/self/mountinfo", "22 1 43:1 / / rw - ext4 /dev/nbd0p1 rw\n");
    machine.put("proc/swaps", "/dev/nbd0 partition 1024 0 -2\n");
    machine.put("block/nbd0/nbd0p1/holders/dm-0", "");
    CHECK(machine.users() == std::vector<std::string>{"nbd0p1 is mounted on /", "nbd0 is in use as swap",
                                                      "nbd0p1 carries dm-0"});
}

TEST_CASE("a table that cannot be read counts as in use; a table that the kernel does not have does not") {
    const Machine machine;
    const auto unreadable = [&](const char* table) {
        return "nbd0 may be in use: " + machine.proc() + table + ": read: Is a directory";
    };
    SUBCASE("the table of mounts") {
        machine.put_unreadable("proc/self/mountinfo");
        CHECK(machine.users() == std::vector{unreadable("/self/mountinfo")});
    }
    SUBCASE("the table of swap") {
        machine.put("proc/self/mountinfo", "22 1 43:16 / / rw - ext4 /dev/nbd1 rw\n");
        machine.put_unreadable("proc/swaps");
        CHECK(machine.users() == std::vector{unreadable("/swaps")});
    }
}
