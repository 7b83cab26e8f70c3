// LVM's autoactivation (pvscan, from udev) leaves a file for each physical volume that it accepts: the device
// number, then lines such as "vg:NAME". A device that the filter or the devices file excludes has none.

#include "server/opener/guest_volumes.hh"

#include <fmt/core.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "common/linux/text_file.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"

namespace holdfast::server {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_file = 4096;
constexpr std::size_t longest_name = 128;

std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        names.push_back(at->path().filename().string());
    std::ranges::sort(names);
    return names;
}

std::string first_line(const std::string& path) {
    const std::string text = read_text_file(path, longest_file).value_or("");
    return text.substr(0, text.find('\n'));
}

// Returns the folders in /sys of the device and its partitions.
std::vector<std::string> with_partitions(dev_t device, const std::string& sys) {
    const std::string disk = fmt::format("{}/dev/block/{}:{}", sys, major(device), minor(device));
    std::vector<std::string> found{disk};
    for (const std::string& name : names_in(disk)) {
        const std::string part = disk + "/" + name;
        if (!first_line(part + "/partition").empty()) found.push_back(part);
    }
    return found;
}

std::string active_volume(const std::string& device) {
    for (const std::string& holder : names_in(device + "/holders")) {
        const std::string mapped = device + "/holders/" + holder + "/dm/";
        if (first_line(mapped + "uuid").starts_with("LVM-"))
            return fmt::format("/dev/mapper/{} is active",
                               printable_ascii(first_line(mapped + "name"), longest_name));
    }
    return {};
}

std::string known_group(const std::string& number, const std::string& run) {
    const std::string folder = run + "/pvs_online";
    for (const std::string& name : names_in(folder)) {
        const std::string text = read_text_file(folder + "/" + name, longest_file).value_or("");
        std::string_view rest = text;
        if (trimmed(take_line(rest)) != number) continue;
        const std::string_view line = take_line(rest);
        if (!line.starts_with("vg:")) return fmt::format("physical volume {} is known to LVM", number);
        return fmt::format("physical volume {} of volume group {} is known to LVM", number,
                           printable_ascii(trimmed(line.substr(3)), longest_name));
    }
    return {};
}

}  // namespace

std::string lvm_use_of(dev_t device, const std::string& sys, const std::string& run) {
    const std::vector<std::string> devices = with_partitions(device, sys);
    for (const std::string& one : devices)
        if (std::string use = active_volume(one); !use.empty()) return use;
    for (const std::string& one : devices)
        if (const std::string number = first_line(one + "/dev"); !number.empty())
            if (std::string use = known_group(number, run); !use.empty()) return use;
    return {};
}

}  // namespace holdfast::server
