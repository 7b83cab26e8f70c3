// Who uses a device: mounts, swap, what is stacked on it. The reading of the tables is pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::client {

// A block device by its two names in the tables: "nbd0p1" and "43:1".
struct BlockName {
    std::string name;
    std::string numbers;
};

// "mounted on /mnt": each mount of one of `devices` in the text of /proc/self/mountinfo. File systems of
// several devices have numbers of their own there, so the source's name counts, too.
[[nodiscard]] std::vector<std::string> mounts_of(std::string_view mountinfo,
                                                 const std::vector<BlockName>& devices);

// "swap on nbd0p2": each of `devices` in the text of /proc/swaps.
[[nodiscard]] std::vector<std::string> swaps_on(std::string_view swaps,
                                                const std::vector<BlockName>& devices);

// Everything that uses the disk or one of its partitions, each in a few words; empty when nothing is known
// to.
[[nodiscard]] std::vector<std::string> users_of(std::uint32_t index);

// "nbd0 is held open by process 217 (cat)", as far as this process may see: what users_of() does not know.
[[nodiscard]] std::vector<std::string> openers_of(std::uint32_t index);

}  // namespace holdfast::client
