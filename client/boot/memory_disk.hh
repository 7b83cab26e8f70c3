// Copy of a disk in memory: a file in a tmpfs of its own, and a loop device with partitions on the file. Use
// only before the daemon's seal; blocks for as long as the disk takes.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>

namespace holdfast::client {

// Symbolic link to the loop device of the copy; exists if there is a copy.
inline constexpr const char* copy_link = "/run/holdfast/copy";

// Called with the bytes copied so far, and the size.
using CopyProgress = std::function<void(std::uint64_t done, std::uint64_t size)>;

// Copies `disk` ("/dev/nbd0"), and returns the name of the loop device ("loop0"), which has the disk's
// logical block size. Blocks of zeros take no memory. The copy exists until the machine shuts down. The error
// is a complete line; then nothing is left behind.
[[nodiscard]] std::expected<std::string, std::string> copy_to_memory(const std::string& disk,
                                                                     const CopyProgress& progress);

}  // namespace holdfast::client
