// Errors and log lines about a link.
#include "client/daemon/link_log.hh"

#include <doctest/doctest.h>

#include "tests/unit/client/daemon/fake_kernel.hh"

using namespace holdfast;
using namespace holdfast::client;

TEST_CASE("the last error is kept with its server and its time, also a repeated error") {
    KeptDevice device = fake_device();
    LinkLog log(device);
    log.note_failure("no route", LinkLog::Time{std::chrono::seconds{5}});
    CHECK(device.live.last_error == "nbd://server0/export: no route");
    CHECK(device.live.last_error_at == Monotonic{5000});
    log.note_failure("no route", LinkLog::Time{std::chrono::seconds{6}});
    CHECK(device.live.last_error_at == Monotonic{6000});
}

TEST_CASE("an error is new once for each server, until the errors are forgotten") {
    KeptDevice device = fake_device(2);
    LinkLog log(device);
    CHECK(log.is_new("no route"));
    CHECK_FALSE(log.is_new("no route"));
    device.live.target = 1;
    CHECK(log.is_new("no route"));
    log.forget_errors();
    CHECK(log.is_new("no route"));
}
