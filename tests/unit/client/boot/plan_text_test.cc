// Everything that a plan decides is shown.
#include <doctest/doctest.h>

#include "client/boot/plan_text.hh"

using namespace holdfast::client;

namespace {

std::string shown(const char* line) {
    const auto request = read_boot_request(line);
    if (!request) FAIL(request.error().message);
    REQUIRE(request->has_value());
    const auto plan = make_boot_plan(**request, {});
    if (!plan) FAIL(plan.error().message);
    return plan_text(*plan);
}

}  // namespace

TEST_CASE("a plan is shown with every choice, the defaults too") {
    CHECK(shown("nbdroot=192.0.2.1,root") ==
          "nbd://192.0.2.1/root as /dev/nbd0, root /dev/nbd0, for up to 30 s\n"
          "block-size that of the partition table or of the server, read-only no, unless the export is\n"
          "timeout 0 s, dead-after 15 s, probe 10 s, connections 1, lost-cache continue, shutdown-timeout 90 "
          "s, lease renew\n");
    CHECK(
        shown("nbdroot=nbd:192.0.2.1:root:ext4:noatime:ro,bs=4096,timeout=7,dead-after=5,probe=0,lease=leave,"
              "lost-cache=fail,shutdown-timeout=0,wait=60") ==
        "nbd://192.0.2.1/root as /dev/nbd0, root /dev/nbd0, for up to 60 s\n"
        "block-size 4096, read-only yes, file system type ext4, mount options noatime\n"
        "timeout 7 s, dead-after 5 s, probe 0 s, connections 1, lost-cache fail, shutdown-timeout 0 s, lease "
        "leave\n");
}
