// The output of a program that unpacks a part of a file. For the processes of a sandbox.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

#include "common/linux/fd.hh"
#include "netboot/loader/initramfs_archive.hh"

namespace holdfast::netboot {

// A line about a failure of this machine, not of the file, marked for the way out of the sandbox.
[[nodiscard]] std::string local_fault(std::string_view line);
// Removes the mark; false if there is none.
[[nodiscard]] bool take_local_mark(std::string_view& line);

// Most bytes that anything may unpack to.
inline constexpr std::uint64_t most_unpacked = 1ULL << 30;

// Unpacks `file` from its position on, and hands each piece to `take`, until `take` or the program fails.
// `expect_success`: false if the program may find something else after the end of what it unpacks.
[[nodiscard]] Read<void> unpack(const Unpacker& unpacker, int file, bool expect_success,
                                const std::function<Read<void>(std::string_view)>& take);

}  // namespace holdfast::netboot
