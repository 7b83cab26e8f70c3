// Finds the users of a device: mounts, swap, stacked devices. Parsing the tables is pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::client {

// Both names of a block device in the tables: "nbd0p1" and "43:1".
struct BlockName {
    std::string name;
    std::string numbers;
};

// Returns "mounted on /mnt" for each mount of `devices` in the text of /proc/self/mountinfo. File systems on
// several devices have their own device numbers there, so the source's name is matched, too.
[[nodiscard]] std::vector<std::string> mounts_of(std::string_view mountinfo,
                                                 const std::vector<BlockName>& devices);

// Returns "swap on nbd0p2" for each of `devices` in the text of /proc/swaps.
[[nodiscard]] std::vector<std::string> swaps_on(std::string_view swaps,
                                                const std::vector<BlockName>& devices);

// Returns a short text for each known user of the disk or its partitions; may be empty. A table that exists
// and cannot be read counts as a user. (Tests use folders in place of /sys/block and /proc.)
[[nodiscard]] std::vector<std::string> users_of(std::uint32_t index, const char* block = "/sys/block",
                                                const std::string& proc = "/proc");

// Returns "nbd0 is held open by process 217 (cat)" for openers visible to this process: these are not covered
// by users_of().
[[nodiscard]] std::vector<std::string> openers_of(std::uint32_t index);

}  // namespace holdfast::client
