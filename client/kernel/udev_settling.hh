// Waits until udev has processed the events of a device: the links in /dev/disk exist then, and no probe of
// udev is still to come, which would read from a device that is detached meanwhile. udev(7), and "Synthetic
// uevents" in the kernel's Documentation/ABI/testing/sysfs-uevent.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace holdfast::client {

enum class UdevSettling : std::uint8_t {
    done,
    no_udev,  // none runs, or it cannot be heard from this network namespace
    late,     // ... than `patience`: udev is busy, or waits for the device
};

// Sends an event of its own for the disk, and waits for udev's word that this event was processed: udev takes
// the events of a disk and its partitions in their order.
[[nodiscard]] UdevSettling settle_udev(std::uint32_t index, std::chrono::milliseconds patience);

// True for a message of udev (not of the kernel) about the event that was sent with this UUID.
[[nodiscard]] bool is_word_of_udev(std::string_view message, std::string_view uuid) noexcept;

}  // namespace holdfast::client
