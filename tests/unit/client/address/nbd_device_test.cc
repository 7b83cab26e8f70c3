// Names of devices.

#include <doctest/doctest.h>

#include "client/address/nbd_device.hh"

using namespace holdfast::client;

TEST_CASE("a device is nbdN or nbdNpM, with or without /dev/") {
    CHECK(parse_nbd_device("nbd0") == NbdDevice{.index = 0, .partition = 0});
    CHECK(parse_nbd_device("/dev/nbd15") == NbdDevice{.index = 15, .partition = 0});
    CHECK(parse_nbd_device("/dev/nbd1p2") == NbdDevice{.index = 1, .partition = 2});
    CHECK(device_path({.index = 1, .partition = 2}) == "/dev/nbd1p2");
    for (const char* word :
         {"", "nbd", "/dev/", "/dev/nbd", "nbd00", "nbd01", "nbd0p", "nbd0p0", "nbdp1", "nbd-1", "nbd0p1p2",
          "nbd32768", "nbd99999999999", "sda", "dev/nbd0", "/nbd0", "nbd0 "}) {
        INFO(word);
        CHECK_FALSE(parse_nbd_device(word));
    }
}
