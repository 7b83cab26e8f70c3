// The NBD disks that a loader's file gives to a machine: for files that people have edited or made. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::netboot {

// A disk as a kernel command line names it. Some forms can be read in several ways: all of them count.
struct NamedDisk {
    std::vector<std::string> servers;  // with the port, if it is named
    std::vector<std::string> exports;
    bool writes = true;           // false: the command line keeps all changes in memory
    bool is_any_server = false;   // DHCP, or a variable of the loader, names the server
    bool may_be_default = false;  // the default export of the port, if no name is meant
};

// Disks in all kernel command lines of the text. `path` is the file with the text, relative to the tree.
[[nodiscard]] std::vector<NamedDisk> disks_named_in(std::string_view path, std::string_view text);

}  // namespace holdfast::netboot
