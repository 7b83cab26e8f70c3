// What may carry a device again after an outage.
#include <doctest/doctest.h>

#include "client/daemon.hh"

using namespace holdfast;
using client::DeviceConfiguration;
using client::mismatch;

namespace {

DeviceConfiguration a_device() {
    DeviceConfiguration device;
    device.size = 1 << 20;
    device.block_size = 512;
    device.server_flags =
        nbd::flag_has_flags | nbd::flag_send_flush | nbd::flag_send_fua | nbd::flag_send_trim;
    return device;
}

nbd::Offer the_same() { return {1 << 20, a_device().server_flags, {1, 4096, 32U << 20}}; }

}  // namespace

TEST_CASE("the same export, a larger one, and one that offers more may carry the device") {
    CHECK(mismatch(the_same(), a_device()).empty());
    nbd::Offer offer = the_same();
    offer.size *= 2;
    offer.flags =
        static_cast<std::uint16_t>(offer.flags | nbd::flag_send_write_zeroes | nbd::flag_can_multi_conn);
    CHECK(mismatch(offer, a_device()).empty());
}

TEST_CASE("a smaller export is refused, by one byte too") {
    nbd::Offer offer = the_same();
    --offer.size;
    CHECK(mismatch(offer, a_device()).find("1048575") != std::string::npos);
}

TEST_CASE("a read-only export is refused for a writable device only") {
    nbd::Offer offer = the_same();
    offer.flags |= nbd::flag_read_only;
    CHECK(mismatch(offer, a_device()).find("read-only") != std::string::npos);
    DeviceConfiguration device = a_device();
    device.server_flags |= nbd::flag_read_only;
    CHECK(mismatch(offer, device).empty());
    CHECK(mismatch(the_same(), device).empty());
}

TEST_CASE("a server that lost a command which the kernel was promised is refused, with the command's name") {
    nbd::Offer offer = the_same();
    offer.flags = nbd::flag_has_flags | nbd::flag_send_fua | nbd::flag_send_trim;
    CHECK(mismatch(offer, a_device()).find("flush") != std::string::npos);
    offer.flags = nbd::flag_has_flags | nbd::flag_send_flush | nbd::flag_send_fua;
    CHECK(mismatch(offer, a_device()).find("trim") != std::string::npos);
}

TEST_CASE("a server whose smallest request is larger than the device's blocks is refused") {
    nbd::Offer offer = the_same();
    offer.block_sizes.minimum = 4096;
    CHECK(mismatch(offer, a_device()).find("4096") != std::string::npos);
}
