// Requests of the command `attach`, in an initramfs and elsewhere.
#include "client/command/attach_request.hh"

#include <doctest/doctest.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include <filesystem>
#include <fstream>

using namespace holdfast::client;

TEST_CASE("a disk attached by hand in the initramfs may be lost if its line in the table says nofail") {
    // Its root file system is in memory.
    std::string folder = "/dev/shm/holdfast-attach-XXXXXX";
    struct statfs memory {};
    if (::statfs("/dev/shm", &memory) != 0 || memory.f_type != TMPFS_MAGIC) {
        MESSAGE("skipped: /dev/shm is not in memory");
        return;
    }
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    BootFiles files;
    files.root = folder;
    files.run = folder;
    files.command_line = folder + "/cmdline";
    const auto request = [&](const char* line) {
        const DeviceTable table = read_device_table("table", line);
        REQUIRE(table.devices.size() == 1);
        AttachOptions options;
        options.index = 1;
        auto made = request_for(options, table.devices[0], {}, files);
        REQUIRE(made);
        return *made;
    };
    CHECK_FALSE(request("nbd1 h a initramfs,nofail").carries_root);
    CHECK_FALSE(request("nbd1 h a initramfs,nofail").may_be_lost);
    std::filesystem::create_directory(folder + "/conf");
    std::ofstream(folder + "/conf/initramfs.conf") << "\n";
    CHECK(request("nbd1 h a initramfs,nofail").carries_root);
    CHECK(request("nbd1 h a initramfs,nofail").may_be_lost);
    CHECK_FALSE(request("nbd1 h a initramfs").may_be_lost);
    std::filesystem::remove_all(folder);
}
