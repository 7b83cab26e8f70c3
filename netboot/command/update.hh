// Changes the tree to new settings: compares all files, refuses conflicts, shows or makes the changes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "netboot/command/commands.hh"
#include "netboot/tree/boot_tree.hh"

namespace holdfast::netboot {

// The files of one owner: the tree, the loaders, or a host.
struct Part {
    Sums recorded;
    Texts wanted;
    Changes changes;
    bool settings_changed = false;  // so that the state is stored even if no file changes
    std::function<Read<void>(const Sums&)> store;
    bool of_command = false;  // the command names this owner: --force restores all its files
};

// Opens and locks an existing tree, and loads its state. The error is a line.
struct OpenTree {
    BootTree tree;
    TreeState state;
};
[[nodiscard]] Read<OpenTree> open_tree(const Options& options);

// Compares a part with the disk.
[[nodiscard]] Read<Part> compare_part(const BootTree& tree, Part part, Edited edited);

// Parts of all owners whose settings are `after`, with those of the hosts that only `before` has: their
// wanted files are none, and they are not stored at the end. `tree` and `after` must outlive the parts.
[[nodiscard]] Read<std::vector<Part>> compare_all(BootTree& tree, const TreeState& before, TreeState& after,
                                                  const Options& options);

// Treatment of the edited files of a part.
[[nodiscard]] Edited edited_of(const Options& options, const Part& part);

// Makes the changes, and prints a line for each; with --dry-run prints the differences. `first` is called
// before any file changes, `last` after all have.
struct Steps {
    std::function<Read<void>()> first = [] { return Read<void>(); };
    std::function<Read<void>()> last = [] { return Read<void>(); };
};
[[nodiscard]] ExitCode carry_out(BootTree& tree, const std::vector<Part>& parts, const Options& options,
                                 const Steps& steps);

}  // namespace holdfast::netboot
