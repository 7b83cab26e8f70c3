// One name, one disk: who is refused while others use another.
#include <doctest/doctest.h>

#include "server/export/disks_in_use.hh"

using namespace holdfast::server;

namespace {

DisksInUse::Use use(ino_t disk, std::string client, bool read_only = false) {
    return {{.device = 1, .inode = disk}, "/disk" + std::to_string(disk), std::move(client), read_only};
}

}  // namespace

TEST_CASE("a name in use by another disk refuses every client until the last connection has ended") {
    DisksInUse disks;
    const auto old = use(1, "a");
    CHECK_FALSE(disks.enter("x", old).has_value());
    CHECK_FALSE(disks.enter("x", old).has_value());
    CHECK_FALSE(disks.enter("y", use(2, "a")).has_value());
    CHECK(disks.enter("x", use(2, "b")) ==
          "/disk2 is not the disk that was exported before; 2 connections still use the old one (/disk1); "
          "connect again when they have ended");
    CHECK(disks.conflict("x", use(2, "a")).has_value());
    CHECK(disks.others_than("x", "/disk2").connections == 2);
    CHECK(disks.others_than("x", "/disk2").path == "/disk1");
    CHECK(disks.others_than("x", "/disk1").connections == 0);
    disks.leave("x", old);
    CHECK(disks.conflict("x", use(2, "b")).has_value());
    disks.leave("x", old);
    CHECK_FALSE(disks.enter("x", use(2, "b")).has_value());
    CHECK(disks.conflict("x", old).has_value());
}

TEST_CASE("another path to the same disk is no other disk") {
    DisksInUse disks;
    CHECK_FALSE(disks.enter("x", use(1, "a")).has_value());
    auto alias = use(1, "b");
    alias.path = "/alias";
    CHECK_FALSE(disks.enter("x", alias).has_value());
}

TEST_CASE("of two disks that are read-only, only a client that has the old one is refused the new one") {
    DisksInUse disks;
    CHECK_FALSE(disks.enter("x", use(1, "a", true)).has_value());
    CHECK(disks.enter("x", use(2, "a", true)).has_value());
    CHECK_FALSE(disks.enter("x", use(2, "b", true)).has_value());
    CHECK_MESSAGE(disks.enter("x", use(3, "c", false)).has_value(), "what is written concerns all");
    disks.leave("x", use(1, "a", true));
    CHECK_FALSE(disks.enter("x", use(2, "a", true)).has_value());
}
