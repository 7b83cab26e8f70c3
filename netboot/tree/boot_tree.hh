// The tree that TFTP and web servers serve: its state in the hidden folder .holdfast, and the changes of its
// files. Errors are complete lines.
//
// A change first stores the sums of the old and the new texts, then moves each file into place, then stores
// the sums of the new texts alone. After a power cut at any moment, each file is whole, and no file of this
// program looks as if edited by hand; the same command completes the change.
#pragma once

#include <string>
#include <vector>

#include "common/linux/fd.hh"
#include "netboot/plan/changes.hh"
#include "netboot/plan/host.hh"

namespace holdfast::netboot {

// All that the state contains.
struct TreeState {
    TreeSettings settings;
    std::vector<Host> hosts;  // by name
    bool is_stored = false;   // false: the tree is new
};

// Files on disk for the three loaders, those of other hands included. Names are relative to the tree.
struct LoaderTexts {
    Texts texts;
    std::vector<std::string> errors;    // lines: what could not be read
    std::vector<std::string> no_files;  // lines: names of what no loader can read either; no folders
};

// Kernels that a host no longer needs.
struct OldKernels {
    std::vector<std::string> removed;  // their folders in the tree
    std::vector<std::string> notes;    // lines: those that only a loader's text names, or cannot be removed
};

// A loader's file that names a file in this folder, in any way; empty if there is none.
[[nodiscard]] std::string file_naming(const Texts& texts, const std::string& folder);

// True for the name of a folder of this program below that of a host: a version, or the rest of an
// interrupted copy.
[[nodiscard]] bool is_version(std::string_view name);

class BootTree {
public:
    // `folder`: the root of the TFTP server.
    explicit BootTree(std::string folder) : folder_(std::move(folder)) {}

    [[nodiscard]] const std::string& folder() const { return folder_; }
    // An absolute name, which is that of a file outside of the tree, stays as it is.
    [[nodiscard]] std::string path_of(const std::string& name) const {
        return name.starts_with('/') ? name : folder_ + "/" + name;
    }
    [[nodiscard]] Read<bool> exists() const;

    // Makes the folders of a new tree; success if there is one.
    [[nodiscard]] Read<void> create();
    // Waits for other processes that change the tree. Until the object ends, none starts. Removes drafts that
    // a process has left.
    [[nodiscard]] Read<void> lock();
    [[nodiscard]] Read<TreeState> load() const;
    // The same for the tree and one host; no host if the tree has none of this name.
    [[nodiscard]] Read<TreeState> load(const std::string& host) const;
    // Sums of the loaders' files.
    [[nodiscard]] Read<Sums> load_loaders() const;
    // Sums of the files for DHCP servers, by their absolute names.
    [[nodiscard]] Read<Sums> load_dhcp_files() const;

    // Texts of those files that exist.
    [[nodiscard]] Read<Texts> read(const Sums& recorded, const Texts& wanted) const;

    // Stores states; the previous text, if any, is replaced at once.
    [[nodiscard]] Read<void> store(const TreeSettings& settings);
    [[nodiscard]] Read<void> store(const Host& host);
    [[nodiscard]] Read<void> store_loaders(const Sums& sums);
    [[nodiscard]] Read<void> store_dhcp_files(const Sums& sums);
    // Removes the host and its kernels, as remove_other_kernels() does.
    [[nodiscard]] Read<OldKernels> forget(const Host& host, const Texts& texts);

    // Makes the changes, in order.
    [[nodiscard]] Read<void> apply(const std::vector<Change>& list);

    // Copies a kernel's files, `sources` for those of files_in(), into the folder of a new version. The
    // folder appears complete.
    [[nodiscard]] Read<void> add_kernel(const Host& host, const KernelCopy& copy,
                                        const std::vector<std::string>& sources);
    // The same in three steps: an empty folder, whose path is returned, for files that are still to be
    // checked; then one of the others.
    [[nodiscard]] Read<std::string> begin_kernel(const Host& host, const KernelCopy& copy);
    [[nodiscard]] Read<void> finish_kernel(const Host& host, const KernelCopy& copy);
    void drop_kernel(const Host& host, const KernelCopy& copy);
    // True if all files are there and not empty.
    [[nodiscard]] Read<bool> is_whole(const Host& host, const KernelCopy& copy) const;
    [[nodiscard]] LoaderTexts load_loader_texts() const;
    // Removes all kernels of the host but those that the host, or one of the loaders' texts, names.
    [[nodiscard]] OldKernels remove_other_kernels(const Host& host, const Texts& texts);
    // The number for the next kernel of the host: above all that are recorded, or in the tree.
    [[nodiscard]] Read<unsigned> next_version(const Host& host) const;

private:
    [[nodiscard]] std::string draft_of(const Host& host, const KernelCopy& copy) const;
    [[nodiscard]] Read<std::string> text_of(const std::string& name) const;
    [[nodiscard]] Read<TreeState> load_settings() const;
    [[nodiscard]] Read<void> load_host(TreeState& state, const std::string& name) const;
    // Names of the kernels' folders of a host, and of other files beside them.
    [[nodiscard]] Read<std::vector<std::string>> versions_of(const Host& host) const;
    [[nodiscard]] Read<Sums> load_sums(const std::string& name) const;
    [[nodiscard]] Read<void> store_sums(const std::string& name, const Sums& sums);

    std::string folder_;
    Fd lock_;
};

}  // namespace holdfast::netboot
