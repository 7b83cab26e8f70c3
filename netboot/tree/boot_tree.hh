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
};

class BootTree {
public:
    // `folder`: the root of the TFTP server.
    explicit BootTree(std::string folder) : folder_(std::move(folder)) {}

    [[nodiscard]] const std::string& folder() const { return folder_; }
    // An absolute name, which is that of a file outside of the tree, stays as it is.
    [[nodiscard]] std::string path_of(const std::string& name) const {
        return name.starts_with('/') ? name : folder_ + "/" + name;
    }
    [[nodiscard]] bool exists() const;

    // Makes the folders of a new tree; success if there is one.
    [[nodiscard]] Read<void> create();
    // Waits for other processes that change the tree. Until the object ends, none starts.
    [[nodiscard]] Read<void> lock();
    [[nodiscard]] Read<TreeState> load() const;
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
    [[nodiscard]] Read<void> forget(const Host& host);

    // Makes the changes, in order.
    [[nodiscard]] Read<void> apply(const std::vector<Change>& list);

    // Copies a kernel and an initramfs into the folder of a new version. The folder appears complete.
    [[nodiscard]] Read<void> add_kernel(const Host& host, const KernelCopy& copy, const std::string& kernel,
                                        const std::string& initrd);
    // Removes all kernels of the host but those that the host names.
    [[nodiscard]] Read<void> remove_other_kernels(const Host& host);
    // The number for the next kernel of the host: above all that are recorded, or in the tree.
    [[nodiscard]] unsigned next_version(const Host& host) const;

private:
    [[nodiscard]] Read<std::string> text_of(const std::string& name) const;
    [[nodiscard]] Read<Sums> load_sums(const std::string& name) const;
    [[nodiscard]] Read<void> store_sums(const std::string& name, const Sums& sums);

    std::string folder_;
    Fd lock_;
};

}  // namespace holdfast::netboot
