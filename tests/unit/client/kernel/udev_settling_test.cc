// Which of the messages on udev's socket says that the event was processed.
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "client/kernel/udev_settling.hh"

using namespace holdfast::client;
using namespace std::string_view_literals;

namespace {

constexpr std::string_view uuid = "9b0c4cf4-3ad8-4a4a-9d47-1f0d5f1c6a11";

// The head has numbers, with NULs among them.
std::string from_udev(std::string_view properties) {
    return std::string("libudev\0\xfe\xed\xca\xfe\x28\0\0\0\x28\0\0\0\x10\0\0\0"sv) + std::string(properties);
}

}  // namespace

TEST_CASE("the word of udev is a message of udev with the event's UUID") {
    CHECK(is_word_of_udev(
        from_udev("ACTION=change\0SYNTH_UUID=9b0c4cf4-3ad8-4a4a-9d47-1f0d5f1c6a11\0DEVNAME=/dev/nbd3\0"sv),
        uuid));
    CHECK(
        is_word_of_udev(from_udev("ACTION=change\0SYNTH_UUID=9b0c4cf4-3ad8-4a4a-9d47-1f0d5f1c6a11"sv), uuid));
    CHECK_FALSE(is_word_of_udev(from_udev("ACTION=change\0SYNTH_UUID=0\0DEVNAME=/dev/nbd3\0"sv), uuid));
    CHECK_FALSE(is_word_of_udev(from_udev("ACTION=change\0DEVNAME=/dev/nbd3\0"sv), uuid));
    CHECK_FALSE(is_word_of_udev(
        from_udev("ACTION=change\0SYNTH_UUID=9b0c4cf4-3ad8-4a4a-9d47-1f0d5f1c6a110\0"sv), uuid));
    CHECK_FALSE(
        is_word_of_udev(from_udev("A=1\0XSYNTH_UUID=9b0c4cf4-3ad8-4a4a-9d47-1f0d5f1c6a11\0"sv), uuid));
}

TEST_CASE("no other message is the word of udev") {
    // The kernel's own message about the event comes before udev has processed it.
    CHECK_FALSE(is_word_of_udev(
        "change@/devices/virtual/block/nbd3\0ACTION=change\0SYNTH_UUID=9b0c4cf4-3ad8-4a4a-9d47-1f0d5f1c6a11\0"sv,
        uuid));
    CHECK_FALSE(is_word_of_udev(""sv, uuid));
    CHECK_FALSE(is_word_of_udev("libudev"sv, uuid));
    CHECK_FALSE(is_word_of_udev(from_udev(""sv), uuid));
    CHECK_FALSE(is_word_of_udev(from_udev("SYNTH_UUID=\0"sv), ""sv));
}

TEST_CASE("a device that does not exist is not waited for") {
    CHECK(settle_udev(4'000'000, std::chrono::milliseconds{1}) == UdevSettling::no_udev);
}
