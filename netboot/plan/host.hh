// Settings of the tree and of its hosts, and their text in the hidden folder of the tree. Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "netboot/name/host_keys.hh"

namespace holdfast::netboot {

// Path relative to the tree -> SHA-256 of each text that this program has written there: one, or two while a
// change is in progress. A file with another text was edited by hand.
using Sums = std::map<std::string, std::set<std::string>>;
// Path relative to the tree -> content.
using Texts = std::map<std::string, std::string>;

// A copy of a kernel and its initramfs, and perhaps a hypervisor, in hosts/NAME/VERSION.
struct KernelCopy {
    unsigned version = 0;
    std::string release;  // "6.1.0-37-amd64"
    bool xen = false;     // with a hypervisor, xen.gz
    // SHA-256 of the files_in() as hexadecimal digits, with commas between them; empty if they are not known:
    // of a kernel from a command.
    std::string sums = {};
    bool operator==(const KernelCopy&) const = default;
};

struct Host {
    std::string name;
    std::string export_name;
    std::string server;  // empty: the server of the tree
    Keys keys;
    std::string root = "/dev/nbd0";
    std::vector<std::string> consoles;
    std::string append;
    std::string xen_append;
    bool shared = false;  // several machines use the export, read-only
    std::optional<KernelCopy> kernel;
    std::optional<KernelCopy> previous;
    // Boot files from the host itself (`take`): SHA-256 of the last manifest that was published, and of the
    // last that was refused, with the reason after a blank. Empty: none.
    std::string taken;
    std::string refused;
    Sums sums;
    bool operator==(const Host&) const = default;
};

struct TreeSettings {
    std::string server;        // empty: each host names its server
    std::string default_host;  // for machines that no key finds; empty: none
    Sums sums;
    bool operator==(const TreeSettings&) const = default;
};

[[nodiscard]] std::string to_text(const Host& host);
[[nodiscard]] std::string to_text(const TreeSettings& settings);
// The error names the line. An unknown key is an error: a later version has written it.
[[nodiscard]] Read<Host> read_host(std::string_view name, std::string_view text);
[[nodiscard]] Read<TreeSettings> read_settings(std::string_view text);

// "hosts/NAME/VERSION"
[[nodiscard]] std::string folder_of(const Host& host, const KernelCopy& kernel);
// "/vmlinuz" and the other files in that folder.
[[nodiscard]] std::vector<std::string> files_in(const KernelCopy& kernel);
// True if the kernel or the previous one has a hypervisor.
[[nodiscard]] bool has_xen(const Host& host);
// "Linux 6.1.0-37-amd64", or "Xen, Linux ..."
[[nodiscard]] std::string title_of(const KernelCopy& kernel);
// Reason of the refusal; empty: none.
[[nodiscard]] std::string reason_of_refusal(const Host& host);
// SHA-256 as hexadecimal digits.
[[nodiscard]] std::string sum_of(std::string_view text);
// Sums of the texts.
[[nodiscard]] Sums sums_of(const Texts& texts);

}  // namespace holdfast::netboot
