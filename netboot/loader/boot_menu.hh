// The kernels that a host may boot, independent of the loader. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace holdfast::netboot {

// A kernel with its initramfs and its command line, complete but for BOOTIF, which the loader adds. With Xen,
// that is the kernel of its first domain.
struct BootEntry {
    std::string label;   // "current", "previous", or "plain": the current kernel without Xen
    std::string title;   // for a menu; no quotes
    std::string folder;  // relative to the tree; contains vmlinuz and initrd.img
    std::string words;
    std::optional<std::string> xen = {};  // the hypervisor's words; the folder contains xen.gz
};

struct SerialLine {
    unsigned port;  // 0 for ttyS0
    unsigned speed;
};

struct BootMenu {
    std::string owner;               // for the first line of the file
    std::vector<BootEntry> entries;  // the first is the default, the second the fallback; may be empty
    std::optional<SerialLine> serial;
    std::string card = {};  // BOOTIF for a loader that cannot add it: "01-52-54-00-12-34-56"; may be empty
};

// First line of each generated file, which tells a person who wrote it.
[[nodiscard]] inline std::string remark_for(const std::string& owner) {
    return "# Written by holdfast-netboot for " + owner +
           ". Changes by hand are noticed and kept; see holdfast-netboot(8).\n";
}

}  // namespace holdfast::netboot
