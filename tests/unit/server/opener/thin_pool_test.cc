// The pool of a thin volume, by the names of device-mapper.
#include "server/opener/thin_pool.hh"

#include <doctest/doctest.h>
#include <sys/sysmacros.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace holdfast::server;

TEST_CASE("a name of device-mapper is split at its only single hyphen") {
    CHECK(volume_of_mapped_name("vg0-pool") == "vg0/pool");
    CHECK(volume_of_mapped_name("my--vg-a--pool") == "my-vg/a-pool");
    for (const char* name : {"", "pool", "vg0-", "-pool", "vg0-pool-tpool", "vg0--pool"})
        CHECK(volume_of_mapped_name(name).empty());
}

TEST_CASE("the pool is that of the device below, and a volume that is not thin has none") {
    char root[] = "/tmp/holdfast-unit-XXXXXX";
    REQUIRE(::mkdtemp(root) != nullptr);
    const std::string below = std::string(root) + "/dev/block/253:4/slaves/dm-2/dm";
    std::filesystem::create_directories(below);
    std::ofstream(below + "/name") << "vg0-the--pool-tpool\n";
    std::ofstream(below + "/uuid") << "LVM-abc-tpool\n";
    CHECK(thin_pool_of(makedev(253, 4), root) == "vg0/the-pool");
    std::ofstream(below + "/uuid") << "LVM-abc\n";
    CHECK(thin_pool_of(makedev(253, 4), root).empty());
    CHECK(thin_pool_of(makedev(253, 5), root).empty());
    std::filesystem::remove_all(root);
}
