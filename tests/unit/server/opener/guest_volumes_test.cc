// Whether this machine's LVM uses an exported disk, by what LVM and the kernel have recorded.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>

#include "server/opener/guest_volumes.hh"

using holdfast::server::lvm_use_of;
namespace fs = std::filesystem;

namespace {

class Machine {
public:
    Machine() { REQUIRE(::mkdtemp(path_) != nullptr); }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine() { fs::remove_all(path_); }

    Machine& with(const std::string& name, const std::string& text) {
        const fs::path file = fs::path(path_) / name;
        fs::create_directories(file.parent_path());
        std::ofstream(file) << text;
        return *this;
    }
    [[nodiscard]] std::string use() const {
        return lvm_use_of(makedev(8, 16), std::string(path_) + "/sys", std::string(path_) + "/lvm");
    }

private:
    char path_[32] = "/tmp/holdfast-lvm-XXXXXX";
};

constexpr const char* disk = "sys/dev/block/8:16/";

}  // namespace

TEST_CASE("a disk that LVM does not use is free, whatever else it knows") {
    CHECK(Machine().use().empty());
    Machine machine;
    machine.with(disk + std::string("dev"), "8:16\n")
        .with(disk + std::string("sdb1/partition"), "1\n")
        .with(disk + std::string("sdb1/dev"), "8:17\n")
        .with(disk + std::string("queue/partition"), "")
        .with(disk + std::string("holders/dm-1/dm/uuid"), "CRYPT-LUKS2-1\n")
        .with("lvm/pvs_online/abc", "8:1\nvg:server\ndev:/dev/sda1\n")
        .with("lvm/pvs_online/def", "8:160\nvg:other\n");
    CHECK(machine.use().empty());
}

TEST_CASE("a physical volume that LVM has accepted is found, in the disk or in a partition") {
    Machine whole;
    whole.with(disk + std::string("dev"), "8:16\n")
        .with("lvm/pvs_online/abc", "8:16\nvg:guest\ndev:/dev/sdb\n");
    CHECK(whole.use() == "physical volume 8:16 of volume group guest is known to LVM");
    Machine part;
    part.with(disk + std::string("dev"), "8:16\n")
        .with(disk + std::string("sdb2/partition"), "2\n")
        .with(disk + std::string("sdb2/dev"), "8:18\n")
        .with("lvm/pvs_online/abc", "8:18\nvg:gu\x1b[2Jest\n");
    CHECK(part.use().find("8:18 of volume group gu") != std::string::npos);
    CHECK(part.use().find('\x1b') == std::string::npos);
    Machine nameless;
    nameless.with(disk + std::string("dev"), "8:16\n").with("lvm/pvs_online/abc", "8:16\n");
    CHECK(nameless.use() == "physical volume 8:16 is known to LVM");
}

TEST_CASE("an active logical volume of a guest is found") {
    Machine machine;
    machine.with(disk + std::string("sdb2/partition"), "2\n")
        .with(disk + std::string("sdb2/holders/dm-3/dm/uuid"), "LVM-abc\n")
        .with(disk + std::string("sdb2/holders/dm-3/dm/name"), "guest-root\n");
    CHECK(machine.use() == "/dev/mapper/guest-root is active");
}
