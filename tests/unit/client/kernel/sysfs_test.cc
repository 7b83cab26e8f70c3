// Whether a device is still the one that a daemon watches, by what /sys/block says.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "client/kernel/sysfs.hh"

using holdfast::client::SysfsDevice;

namespace {

// A copy of /sys/block with nbd0 in it.
class Folder {
public:
    Folder() {
        REQUIRE(::mkdtemp(path_.data()) != nullptr);
        REQUIRE(::mkdir(device().c_str(), 0755) == 0);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        for (const char* name : {"/pid", "/backend", "/queue/max_sectors_kb", "/queue"}) {
            ::unlink((device() + name).c_str());
            ::rmdir((device() + name).c_str());
        }
        ::rmdir(device().c_str());
        ::rmdir(path_.c_str());
    }
    void put(const char* name, std::string_view text) const {
        const holdfast::Fd file(
            ::open((device() + "/" + name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        REQUIRE(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    }
    // An attribute that is there and cannot be read: a folder, which also root cannot read.
    void put_unreadable(const char* name) const { put_folder(name); }
    void put_folder(const char* name) const { REQUIRE(::mkdir((device() + "/" + name).c_str(), 0755) == 0); }
    [[nodiscard]] SysfsDevice open() const {
        auto sysfs = SysfsDevice::open(0, path_.c_str());
        REQUIRE(sysfs);
        return std::move(*sysfs);
    }

private:
    [[nodiscard]] std::string device() const { return path_ + "/nbd0"; }
    std::string path_ = "/tmp/holdfast-sysfs-XXXXXX";
};

}  // namespace

TEST_CASE("a device is ours while it is connected under our identifier") {
    const Folder folder;
    const SysfsDevice sysfs = folder.open();
    CHECK(!sysfs.possibly_connected_as("ours"));
    folder.put("pid", "217\n");
    CHECK(!sysfs.possibly_connected_as("ours"));  // connected by a program that gave no identifier
    folder.put("backend", "ours\n");
    CHECK(sysfs.possibly_connected_as("ours"));
    folder.put("backend", "ours, not\n");
    CHECK(!sysfs.possibly_connected_as("ours"));
}

TEST_CASE("a device whose attributes cannot be read just now is not taken for detached") {
    const Folder folder;
    const SysfsDevice sysfs = folder.open();
    folder.put_unreadable("pid");
    folder.put_unreadable("backend");
    CHECK(sysfs.possibly_connected_as("ours"));
}

TEST_CASE("the largest request is lowered where it is larger, and never raised") {
    const Folder folder;
    const SysfsDevice sysfs = folder.open();
    CHECK(sysfs.largest_request() == 0);
    CHECK(!sysfs.limit_requests(64U << 10));  // not known is not limited
    folder.put_folder("queue");
    folder.put("queue/max_sectors_kb", "128\n");
    CHECK(sysfs.largest_request() == 128U << 10);
    REQUIRE(sysfs.limit_requests(1U << 20));
    CHECK(sysfs.attribute("queue/max_sectors_kb") == "128");
    folder.put("queue/max_sectors_kb",
               "");  // the kernel replaces a value, a file keeps what is not written over
    REQUIRE(sysfs.limit_requests(64U << 10));
    CHECK(sysfs.attribute("queue/max_sectors_kb") == "64");
}
