// Changes the tree to new settings: compares all files, refuses conflicts, shows or makes the changes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "netboot/command/commands.hh"
#include "netboot/plan/planned_files.hh"
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

// Error if two machines would write to the disk of this host, which destroys its file system.
[[nodiscard]] Read<void> check_sharing(const Host& host, const TreeState& state, const Options& options);

// Error if the change makes that so for any host; or if it was so, for the host of the command.
[[nodiscard]] Read<void> refuse_new_sharing(const TreeState& before, const TreeState& after,
                                            const Options& options);

// Compares a part with the disk.
[[nodiscard]] Read<Part> compare_part(const BootTree& tree, Part part, Edited edited);

// Parts of all owners whose settings are `after`, with those of the hosts that only `before` has: their
// wanted files are none, and they are not stored at the end. `tree` and `after` must outlive the parts.
[[nodiscard]] Read<std::vector<Part>> compare_all(BootTree& tree, const TreeState& before, TreeState& after,
                                                  const Options& options);

// The same for the host of the command alone, and for the tree if unknown machines get the host's entry.
// Only the state of this host, and that of the tree, are needed.
[[nodiscard]] Read<std::vector<Part>> compare_host(BootTree& tree, const TreeState& before, TreeState& after,
                                                   const Options& options);

// "bios,uefi,": kinds of the loaders in the tree.
[[nodiscard]] std::string kinds_in(const Sums& loaders);

// Treatment of the edited files of a part.
[[nodiscard]] Edited edited_of(const Options& options, const Part& part);

// A line, and the status with which the command ends.
struct Failure {
    ExitCode code = ExitCode::failure;
    std::string line;
};

// Texts of the loaders' files that the changes leave as they are. Error if one cannot be read; or if a text
// of another hand makes a machine write to the disk of a host, and did not before, or the host is that of the
// command.
[[nodiscard]] std::expected<Texts, Failure> check_texts_that_stay(const BootTree& tree,
                                                                  const TreeState& before,
                                                                  const TreeState& after,
                                                                  const std::vector<Part>& parts,
                                                                  const Options& options);
// Line about such a text.
[[nodiscard]] std::string line_of(const Writer& writer, const TreeState& state, const Options& options);

// The change of a file that was edited by hand, which makes the command change nothing; nullptr: none.
[[nodiscard]] const Change* edit_in_the_way(const std::vector<Part>& parts, const Options& options);
// Stores the states and makes the changes, without a question and a word.
[[nodiscard]] Read<void> make_changes(BootTree& tree, const std::vector<Part>& parts);
// Prints a line for each change.
void report_changes(const std::vector<Part>& parts);
// Prints a line for each kernel that was removed, unless the output is JSON, and the notes.
void report_old_kernels(const OldKernels& old, bool json);

// Makes the changes, and prints a line for each; with --dry-run prints the differences. `first` is called
// before any file changes, `last` after all have; what `last` has removed is printed, too.
struct Steps {
    std::function<Read<void>()> first = [] { return Read<void>(); };
    std::function<Read<OldKernels>()> last = [] { return OldKernels{}; };
};
[[nodiscard]] ExitCode carry_out(BootTree& tree, const std::vector<Part>& parts, const Options& options,
                                 const Steps& steps);

}  // namespace holdfast::netboot
