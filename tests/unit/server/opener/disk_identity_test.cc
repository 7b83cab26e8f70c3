// Which disk it is: what sysfs may say of a block device, and files that are replaced.
#include "server/opener/disk_identity.hh"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/linux/fd.hh"
#include "server/export/boot_identity.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

// A folder that looks like /sys to a block device 7:3, plugged in somewhere.
class FakeSys {
public:
    FakeSys() {
        REQUIRE(::mkdtemp(root_) != nullptr);
        std::filesystem::create_directories(device());
        std::filesystem::create_directories(path() + "/dev/block");
        std::filesystem::create_symlink("../../devices/pci0/virtio1/block/vda/vda3",
                                        path() + "/dev/block/7:3");
    }
    FakeSys(const FakeSys&) = delete;
    FakeSys& operator=(const FakeSys&) = delete;
    ~FakeSys() { std::filesystem::remove_all(path()); }

    FakeSys& with(const std::string& name, const std::string& text) {
        const std::filesystem::path file = device() + "/" + name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
        return *this;
    }
    [[nodiscard]] std::string identity() const {
        const std::string text = block_identity(makedev(7, 3), path());
        CHECK(is_identity(text));
        return text;
    }

private:
    [[nodiscard]] std::string path() const { return root_; }
    [[nodiscard]] std::string device() const { return path() + "/devices/pci0/virtio1/block/vda/vda3"; }

    char root_[32] = "/tmp/holdfast-unit-XXXXXX";
};

class TemporaryFile {
public:
    TemporaryFile() { make(); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() { ::unlink(path_); }

    void replace() {
        ::unlink(path_);
        const Fd file(::open(path_, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        REQUIRE(file);
    }
    [[nodiscard]] std::string path() const { return path_; }
    [[nodiscard]] std::string identity() const { return disk_identity(path()).value(); }

private:
    void make() {
        const Fd file(::mkstemp(path_));
        REQUIRE(file);
    }
    char path_[32] = "/tmp/holdfast-unit-XXXXXX";
};

}  // namespace

TEST_CASE("a logical volume is known by its UUIDs, and other mapped devices by theirs, or else by name") {
    const std::string uuid = "LVM-" + std::string(32, 'g') + std::string(32, 'v');
    CHECK(FakeSys().with("dm/uuid", uuid + "\n").with("dm/name", "vg0-root\n").with("wwid", "x").identity() ==
          uuid);
    CHECK(FakeSys().with("dm/uuid", "CRYPT-LUKS2-0123-secret\n").identity() == "CRYPT-LUKS2-0123-secret");
    CHECK(FakeSys().with("dm/uuid", "\n").with("dm/name", "by-hand\n").identity() == "device-mapper:by-hand");
}

TEST_CASE(
    "a disk is known by its world-wide name, else by its serial number, else by where it is plugged in") {
    CHECK(FakeSys().with("wwid", "eui.0025385\n").with("device/serial", "S1\n").identity() ==
          "wwid:eui.0025385");
    CHECK(FakeSys().with("device/wwid", "t10.ATA     QEMU  1   \n").identity() == "wwid:t10.ATA     QEMU  1");
    CHECK(FakeSys().with("serial", "disk-7").identity() == "serial:disk-7");
    CHECK(FakeSys().with("serial", "\n").with("md/uuid", "0123:4567\n").identity() == "md:0123:4567");
    CHECK(FakeSys().identity() == "device:pci0/virtio1/block/vda/vda3");
    CHECK(block_identity(makedev(7, 4), "/nowhere") == "device:7:4");
}

TEST_CASE("a partition is known by its disk, its number and where it begins") {
    const auto partition = [](const std::string& start) {
        return FakeSys().with("partition", "3\n").with("start", start).with("../wwid", "naa.5\n").identity();
    };
    CHECK(partition("2048\n") == "wwid:naa.5-part3@2048");
    CHECK(partition("4096\n") != partition("2048\n"));
    CHECK(FakeSys().with("partition", "3\n").identity() == "device:pci0/virtio1/block/vda/vda3");
}

TEST_CASE("a loop device is known by its file") {
    const TemporaryFile file;
    const auto loop = [&] {
        return FakeSys()
            .with("loop/backing_file", file.path() + "\n")
            .with("loop/offset", "512\n")
            .identity();
    };
    CHECK(loop() == "loop:" + file.identity() + "+512");
    CHECK(FakeSys().with("loop/backing_file", "/gone (deleted)\n").with("loop/offset", "0\n").identity() ==
          "loop:/gone (deleted)+0");
}

TEST_CASE("an identity is printable and short whatever a device says, and stays another's other") {
    CHECK(FakeSys().with("serial", "a\xff\tb").identity() == "serial:a%ff%09b");
    CHECK(FakeSys().with("serial", std::string("abc\0def", 7)).identity() == "serial:abc");
    const std::string head(300, 's');
    const std::string one = FakeSys().with("serial", head + "1").identity();
    CHECK(one.size() == longest_identity);
    CHECK(one != FakeSys().with("serial", head + "2").identity());
    CHECK_FALSE(is_identity(""));
    CHECK(is_identity(std::string(255, 'x')));
    CHECK_FALSE(is_identity(std::string(256, 'x')));
    CHECK(is_identity("root of host 7"));
    CHECK_FALSE(is_identity("a\nb"));
    CHECK_FALSE(is_identity("\xc3\xa4"));
}

TEST_CASE("a file is another when it was replaced under its name, and the same when it was renamed") {
    TemporaryFile file;
    const std::string first = file.identity();
    CHECK(first.starts_with("file:"));
    CHECK(is_identity(first));
    const Fd open(::open(file.path().c_str(), O_RDWR | O_CLOEXEC));
    CHECK(disk_identity(open.get()) == first);
    REQUIRE(::ftruncate(open.get(), 4096) == 0);
    CHECK(file.identity() == first);
    const std::string elsewhere = file.path() + "-2";
    REQUIRE(::rename(file.path().c_str(), elsewhere.c_str()) == 0);
    CHECK(disk_identity(elsewhere) == first);
    ::unlink(elsewhere.c_str());
    file.replace();
    CHECK(file.identity() != first);
    CHECK(disk_identity(file.path() + "-3").error().code == ENOENT);
}

TEST_CASE("the boot's UUID is read in the one form that it has") {
    CHECK(parse_uuid("01234567-89ab-CDEF-0123-456789abcdef\n") ==
          nbd::Uuid{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd,
                    0xef});
    for (const char* wrong :
         {"", "01234567", "01234567-89ab-cdef-0123-456789abcdeg", "0123456789ab-cdef-0123-456789abcdef-",
          "01234567-89ab-cdef-0123-456789abcdef\nx", "01234567-89ab-cdef-0123-456789abcdef0"})
        CHECK_FALSE(parse_uuid(wrong));
    CHECK(boot_identity() == boot_identity());
    CHECK(boot_identity() != nbd::Uuid{});
}
