// Whether a disk may lose what it has answered, by imitations of /sys.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>

#include "server/volume/write_cache.hh"

using holdfast::server::may_lose_writes;

namespace {

namespace fs = std::filesystem;

// A copy of /sys with disks in it, which are numbered by the tests.
class Tree {
public:
    Tree() {
        REQUIRE(::mkdtemp(root_.data()) != nullptr);
        fs::create_directories(root_ + "/dev/block");
    }
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;
    ~Tree() { fs::remove_all(root_); }

    void disk(const std::string& name, unsigned minor, const char* cache,
              std::initializer_list<const char*> below = {}) {
        fs::create_directories(root_ + "/devices/" + name + "/slaves");
        fs::create_directories(root_ + "/devices/" + name + "/queue");
        if (cache != nullptr)
            std::ofstream(root_ + "/devices/" + name + "/queue/write_cache") << cache << '\n';
        for (const std::string one : below)
            fs::create_symlink("../../" + one,
                               root_ + "/devices/" + name + "/slaves/" + fs::path(one).filename().string());
        number("devices/" + name, minor);
    }
    void partition(const std::string& disk, const std::string& name, unsigned minor) {
        fs::create_directories(root_ + "/devices/" + disk + "/" + name);
        std::ofstream(root_ + "/devices/" + disk + "/" + name + "/partition") << "1\n";
        number("devices/" + disk + "/" + name, minor);
    }
    [[nodiscard]] bool may_lose(unsigned minor) const { return may_lose_writes(makedev(8, minor), root_); }

private:
    void number(const std::string& target, unsigned minor) const {
        fs::create_symlink("../../" + target, root_ + "/dev/block/8:" + std::to_string(minor));
    }
    std::string root_ = "/tmp/holdfast-write-cache-XXXXXX";
};

constexpr const char* stable = "write through";

}  // namespace

TEST_CASE("a disk without a volatile cache keeps what it has answered, and so does its partition") {
    Tree tree;
    tree.disk("sda", 0, stable);
    tree.partition("sda", "sda1", 1);
    tree.disk("nvme0n1", 2, stable);
    CHECK_FALSE(tree.may_lose(0));
    CHECK_FALSE(tree.may_lose(1));
    CHECK_FALSE(tree.may_lose(2));
}

TEST_CASE("a disk with a volatile cache, or one that is not known, may lose writes") {
    Tree tree;
    tree.disk("sda", 0, "write back");
    tree.partition("sda", "sda1", 1);
    tree.disk("sdb", 2, nullptr);
    tree.disk("sdc", 3, "");
    for (const unsigned minor : {0U, 1U, 2U, 3U, 99U}) CHECK(tree.may_lose(minor));
}

TEST_CASE("disks in memory, of other machines and of RAID report no cache and are not believed") {
    Tree tree;
    unsigned minor = 0;
    for (const char* name : {"ram0", "zram0", "nullb0", "nbd0", "loop0", "rbd0"}) {
        tree.disk(name, minor, stable);
        CHECK(tree.may_lose(minor));
        ++minor;
    }
    tree.disk("sda", 10, stable);
    tree.disk("md0", 11, stable, {"sda"});
    CHECK(tree.may_lose(11));
}

TEST_CASE("what is stacked keeps only what every layer keeps") {
    Tree tree;
    tree.disk("sda", 0, stable);
    tree.partition("sda", "sda2", 1);
    tree.disk("sdb", 2, "write back");
    tree.disk("dm-0", 3, stable, {"sda/sda2"});
    tree.disk("dm-1", 4, stable, {"dm-0"});
    tree.disk("dm-2", 5, stable, {"dm-1", "sdb"});
    tree.disk("dm-3", 6, "write back", {"sda"});  // thin: its metadata
    tree.disk("dm-4", 7, stable);                 // zero, error: no disk at all
    CHECK_FALSE(tree.may_lose(3));
    CHECK_FALSE(tree.may_lose(4));
    CHECK(tree.may_lose(5));
    CHECK(tree.may_lose(6));
    CHECK(tree.may_lose(7));
}
