// Faults of a file, and of the machine that looks into it.
#include "netboot/inspect/inspection.hh"

#include <doctest/doctest.h>

using namespace holdfast::netboot;

TEST_CASE("a file that cannot be read is no file without a kernel") {
    for (const char* const path : {"/", "/nonexistent/vmlinuz"}) {
        const Inspection kernel = inspect_kernel(path, "6.1");
        REQUIRE_FALSE(kernel);
        CHECK(kernel.error().is_local);
        CHECK_FALSE(kernel.error().line.starts_with('\1'));
        const Inspection initramfs = inspect_initramfs(path, "6.1");
        REQUIRE_FALSE(initramfs);
        CHECK(initramfs.error().is_local);
        CHECK(inspect_hypervisor(path).error().is_local);
        CHECK(inspect_first_domain(path).error().is_local);
    }
}

TEST_CASE("a file that is no boot file is a fault of the file") {
    constexpr const char* path = "/etc/passwd";
    for (const Inspection& each : {inspect_kernel(path, "6.1"), inspect_initramfs(path, "6.1"),
                                   inspect_first_domain(path), inspect_hypervisor(path)}) {
        REQUIRE_FALSE(each);
        CHECK_FALSE(each.error().is_local);
        CHECK_FALSE(each.error().line.empty());
    }
}
