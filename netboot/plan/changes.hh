// Compares the files that are wanted with those on disk, and decides what to write. A text that this program
// has not written is a person's. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "netboot/plan/host.hh"

namespace holdfast::netboot {

// Treatment of files that were edited by hand. All but `overwrite_all` keep a file whose wanted text has not
// changed.
enum class Edited : std::uint8_t { refuse, keep, overwrite_changed, overwrite_all };

struct Change {
    std::string path;
    std::optional<std::string> before;  // nullopt: creates the file
    std::optional<std::string> after;   // nullopt: removes the file
    bool is_foreign = false;            // no text of this program was ever there
};

struct Changes {
    std::vector<Change> list;       // to be made
    std::vector<Change> edited;     // not made: the file was edited by hand, and the wanted text has changed
    std::vector<std::string> kept;  // edited by hand; the wanted text has not changed
    Sums sums;                      // after the changes
};

// `recorded`: sums of the texts written before; `on_disk`: texts of those files of `recorded` and `wanted`
// that exist. With Edited::keep, the changes in `edited` are left out silently; with refuse, the caller must
// make no change at all if `edited` is not empty; with both overwrites, `edited` is empty.
[[nodiscard]] Changes compare(const Sums& recorded, const Texts& wanted, const Texts& on_disk, Edited edited);

// Sums of both states, to be stored before a change is made: after a crash in between, both texts are ours.
[[nodiscard]] Sums united(const Sums& before, const Sums& after);

// Reason why a change in `edited` is not made, and the ways to go on.
struct Obstacle {
    std::string_view state;
    std::string_view remedy;
};
[[nodiscard]] Obstacle obstacle_to(const Change& change) noexcept;

// The change as a unified diff of one hunk; of a binary file, a line.
[[nodiscard]] std::string diff_of(const Change& change);

}  // namespace holdfast::netboot
