// Words of the kernel command line for a root file system in memory, and the texts made for it.

#include <doctest/doctest.h>

#include <string>

#include "client/boot/memory_root.hh"

using namespace holdfast::client;

namespace {

MemoryRoot memory_of(const std::string& line) {
    const auto memory = read_memory_root(line);
    if (!memory) FAIL(memory.error().message);
    return *memory;
}

void check_wrong(const std::string& line, const std::string& word, const std::string& mend) {
    INFO(line);
    const auto memory = read_memory_root(line);
    REQUIRE_FALSE(memory);
    CHECK(memory.error().word == word);
    CHECK(memory.error().message.starts_with(word + ": "));
    CHECK(memory.error().message.find(mend) != std::string::npos);
}

constexpr std::uint64_t mib = 1U << 20;

}  // namespace

TEST_CASE("holdfast.overlay= asks for an overlay in memory, with the size of a tmpfs") {
    CHECK(memory_of("root=/dev/nbd0 ro") == MemoryRoot{});
    CHECK(memory_of("holdfast.overlay=RAM").overlay == "50%");
    CHECK(memory_of("holdfast.overlay=ram,size=300m").overlay == "300m");
    CHECK(memory_of("holdfast.overlay=RAM,size=80%").overlay == "80%");
    CHECK(memory_of("holdfast.overlay=RAM holdfast.overlay=RAM,size=1G").overlay == "1G");
    CHECK(memory_of("holdfast.overlay=RAM,size=1048576").needs_read_only());
}

TEST_CASE("a wrong word for the overlay is named") {
    check_wrong("holdfast.overlay", "holdfast.overlay=", "write holdfast.overlay=RAM");
    check_wrong("holdfast.overlay=/dev/sda1", "holdfast.overlay=/dev/sda1", "kept in memory");
    for (const std::string size : {"", "0", "0m", "12q", "101%", "-1", "1.5g", "m", "%", "300mm", "300m,x"})
        check_wrong("holdfast.overlay=RAM,size=" + size, "holdfast.overlay=RAM,size=" + size, "size=512m");
    check_wrong("holdfast.overlay=RAM,300m", "holdfast.overlay=RAM,300m", "size=512m");
}

TEST_CASE("holdfast.toram asks for a copy in memory") {
    CHECK(memory_of("holdfast.toram").to_ram);
    CHECK(memory_of("holdfast.toram=yes").needs_read_only());
    CHECK_FALSE(memory_of("holdfast.toram holdfast.toram=0").to_ram);
    check_wrong("holdfast.toram=2G", "holdfast.toram=2G", "yes or no");
}

TEST_CASE("each choice is described") {
    CHECK(describe(MemoryRoot{}).empty());
    CHECK(describe(memory_of("holdfast.overlay=RAM,size=300m")).front().find("size=300m") !=
          std::string::npos);
    CHECK(describe(memory_of("holdfast.toram holdfast.overlay=RAM")).size() == 2);
}

TEST_CASE("fstab gets an entry for the overlay in the place of the entry for /") {
    CHECK(
        fstab_for_overlay("# /etc/fstab\nUUID=1 /boot ext4 defaults 0 2\n\tUUID=2\t/ ext4 errors=remount-ro "
                          "0 1\nproc /proc proc") ==
        "# /etc/fstab\nUUID=1 /boot ext4 defaults 0 2\n"
        "# Replaced for holdfast.overlay: \tUUID=2\t/ ext4 errors=remount-ro 0 1\noverlay / overlay rw 0 0\n"
        "proc /proc proc\n");
    CHECK(fstab_for_overlay("# UUID=2 / ext4\n/dev/sda2 none swap sw 0 0\n") ==
          "# UUID=2 / ext4\n/dev/sda2 none swap sw 0 0\n");
    const std::string twice = fstab_for_overlay("/dev/a / ext4 rw\n/dev/b / xfs rw\n");
    CHECK(twice.find("overlay / overlay") == twice.rfind("overlay / overlay"));
    CHECK(fstab_for_overlay("").empty());
    // A second run changes nothing but the comment's line.
    CHECK(fstab_for_overlay("overlay / overlay rw 0 0\n").ends_with("\noverlay / overlay rw 0 0\n"));
}

TEST_CASE("a disk is copied to memory only if memory remains for the system") {
    CHECK(available_memory("MemTotal: 1000 kB\nMemAvailable:     512 kB\n") == 512 * 1024);
    CHECK(available_memory("MemTotal: 1000 kB\n") == 0);
    CHECK(reason_not_to_copy(100 * mib, 228 * mib).empty());
    CHECK(reason_not_to_copy(100 * mib, 228 * mib - 1)
              .find("100.0 MiB, and 227.9 MiB of memory are available, of "
                    "which 128.0 MiB must remain") != std::string::npos);
    CHECK(reason_not_to_copy(~0ULL, 228 * mib).find("not enough memory") != std::string::npos);
    CHECK(reason_not_to_copy(0, 228 * mib).find("size of the export is unknown") != std::string::npos);
}

TEST_CASE("the root device is looked for on the copy") {
    CHECK(root_on_copy("/dev/nbd0", "nbd0", "loop0") == "/dev/loop0");
    CHECK(root_on_copy("/dev/nbd0p2", "nbd0", "loop1") == "/dev/loop1p2");
    CHECK(root_on_copy("/dev/nbd01", "nbd0", "loop0") == "/dev/nbd01");
    CHECK(root_on_copy("UUID=1234", "nbd0", "loop0") == "UUID=1234");
    CHECK(root_on_copy("/dev/vg/root", "nbd0", "loop0") == "/dev/vg/root");
}

TEST_CASE("the progress of the copy is a bar of constant length") {
    CHECK(progress_bar(0, 1024 * mib) == "[" + std::string(40, ' ') + "]   0% of 1.0 GiB");
    CHECK(progress_bar(512 * mib, 1024 * mib) ==
          "[" + std::string(20, '=') + std::string(20, ' ') + "]  50% of 1.0 GiB");
    CHECK(progress_bar(1024 * mib, 1024 * mib) == "[" + std::string(40, '=') + "] 100% of 1.0 GiB");
    CHECK(progress_bar(512, 512).find("100%") != std::string::npos);
    CHECK(progress_bar(1ULL << 62, 1ULL << 63).find(" 50%") != std::string::npos);
}
