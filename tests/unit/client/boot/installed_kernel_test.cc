// Which kernel is handed to the server: the one that the distribution's link names, or the highest version.
#include "client/boot/installed_kernel.hh"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

using namespace holdfast::client;
namespace fs = std::filesystem;

namespace {

struct Root {
    Root() {
        char name[] = "/tmp/holdfast-kernels-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        path = name;
        fs::create_directory(path + "/boot");
    }
    Root(const Root&) = delete;
    Root& operator=(const Root&) = delete;
    ~Root() { fs::remove_all(path); }

    void write(const std::string& name) const { std::ofstream(path + "/boot/" + name) << name; }
    void install(const std::string& version) const {
        write("vmlinuz-" + version);
        write("initrd.img-" + version);
    }

    std::string path;
};

}  // namespace

TEST_CASE("the newest kernel is the highest version with an initramfs") {
    const Root root;
    CHECK_FALSE(newest_kernel(root.path));
    root.install("6.1.0-9-amd64");
    root.install("6.1.0-37-amd64");
    root.write("vmlinuz-6.2.0-1-amd64");
    root.write("initrd.img-6.3.0-1-amd64");
    const auto newest = newest_kernel(root.path);
    REQUIRE(newest);
    CHECK(newest->version == "6.1.0-37-amd64");
    CHECK(newest->kernel == root.path + "/boot/vmlinuz-6.1.0-37-amd64");
    CHECK(newest->initrd == root.path + "/boot/initrd.img-6.1.0-37-amd64");
}

TEST_CASE("the link of the distribution decides, unless its kernel has no initramfs") {
    const Root root;
    root.install("6.1.0-9-amd64");
    root.install("6.1.0-37-amd64");
    fs::create_symlink("boot/vmlinuz-6.1.0-9-amd64", root.path + "/vmlinuz");
    CHECK(newest_kernel(root.path)->version == "6.1.0-9-amd64");
    fs::remove(root.path + "/boot/initrd.img-6.1.0-9-amd64");
    CHECK(newest_kernel(root.path)->version == "6.1.0-37-amd64");
    fs::remove(root.path + "/boot/vmlinuz-6.1.0-9-amd64");
    CHECK(newest_kernel(root.path)->version == "6.1.0-37-amd64");
}

TEST_CASE("the newest Xen is found, on a machine that runs under Xen") {
    const Root root;
    root.write("xen-4.9-amd64.gz");
    root.write("xen-4.17-amd64.gz");
    root.write("xen-4.18-amd64.config");
    CHECK_FALSE(newest_xen(root.path));
    fs::create_directories(root.path + "/sys/hypervisor");
    std::ofstream(root.path + "/sys/hypervisor/type") << "vmware\n";
    CHECK_FALSE(newest_xen(root.path));
    std::ofstream(root.path + "/sys/hypervisor/type") << "xen\n";
    CHECK(newest_xen(root.path) == root.path + "/boot/xen-4.17-amd64.gz");
    fs::remove(root.path + "/boot/xen-4.17-amd64.gz");
    fs::remove(root.path + "/boot/xen-4.9-amd64.gz");
    CHECK_FALSE(newest_xen(root.path));
}

TEST_CASE("a file's version is the end of its name") {
    CHECK(version_in("/boot/vmlinuz-6.1.0-37-amd64") == "6.1.0-37-amd64");
    CHECK(version_in("/boot/xen-4.17-amd64.gz") == "4.17-amd64");
    CHECK(version_in("bzImage") == "bzImage");
    CHECK(version_in("/boot/vmlinuz-") == "");
    CHECK(version_in("/boot/vmlinuz-a b") == "");
}
