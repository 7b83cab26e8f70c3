// Reads the kernel's three tables of block devices in use; the caller adds an exclusive open, which detects
// the other users.

#include "client/kernel/device_users.hh"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <memory>

#include "client/kernel/sysfs.hh"
#include "common/linux/fd.hh"
#include "common/linux/text_file.hh"
#include "common/text/octal_escapes.hh"
#include "common/text/text.hh"

namespace holdfast::client {
namespace {

Result<std::string> whole_file(const char* path) {
    const Fd file(::open(path, O_RDONLY | O_CLOEXEC));
    if (!file) return sys_error("open");
    return read_to_end(file.get(), std::string::npos);
}

struct MountLine {
    std::string_view numbers, point, source;
};

MountLine read_mount_line(std::string_view line) {
    MountLine mount;
    take_until(line, ' ');  // mount id
    take_until(line, ' ');  // parent's mount id
    mount.numbers = take_until(line, ' ');
    take_until(line, ' ');  // root within the file system
    mount.point = take_until(line, ' ');
    // Skips options and optional fields up to "-", then the type; the source follows.
    while (!line.empty() && take_until(line, ' ') != "-") continue;
    take_until(line, ' ');
    mount.source = take_until(line, ' ');
    return mount;
}

std::vector<BlockName> disk_and_partitions(const SysfsDevice& device, std::uint32_t index) {
    const std::string disk = "nbd" + std::to_string(index);
    std::vector<BlockName> names{{disk, device.attribute("dev")}};
    for (const std::string& partition : device.partitions())
        names.push_back({partition, device.attribute((partition + "/dev").c_str())});
    return names;
}

// Returns the numeric names in a folder of /proc: processes, descriptors.
std::vector<std::string> numbers_in(const std::string& path) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), &::closedir);
    if (!stream) return names;
    while (const dirent* entry = ::readdir(stream.get()))
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') names.emplace_back(entry->d_name);
    return names;
}

// Returns the device in `names` that another process's descriptor has open.
const BlockName* device_behind(const std::string& descriptor, const std::vector<BlockName>& names) {
    struct stat file {};
    if (::stat(descriptor.c_str(), &file) != 0 || !S_ISBLK(file.st_mode)) return nullptr;
    const std::string numbers =
        std::to_string(major(file.st_rdev)) + ":" + std::to_string(minor(file.st_rdev));
    for (const BlockName& name : names)
        if (name.numbers == numbers) return &name;
    return nullptr;
}

}  // namespace

std::vector<std::string> mounts_of(std::string_view mountinfo, const std::vector<BlockName>& devices) {
    std::vector<std::string> found;
    while (!mountinfo.empty()) {
        const MountLine mount = read_mount_line(take_until(mountinfo, '\n'));
        for (const BlockName& device : devices)
            if (mount.numbers == device.numbers || mount.source == "/dev/" + device.name)
                found.push_back(device.name + " is mounted on " + without_octal_escapes(mount.point));
    }
    return found;
}

std::vector<std::string> swaps_on(std::string_view swaps, const std::vector<BlockName>& devices) {
    std::vector<std::string> found;
    while (!swaps.empty()) {
        std::string_view line = take_until(swaps, '\n');
        const std::string file = without_octal_escapes(take_until(line, ' '));
        for (const BlockName& device : devices)
            if (file == "/dev/" + device.name) found.push_back(device.name + " is in use as swap");
    }
    return found;
}

namespace {

// Reads a table of the kernel. A table that cannot be read counts as a user: the device may be in it.
std::vector<std::string> users_in(const std::string& table, decltype(mounts_of)& parse,
                                  const std::vector<BlockName>& names) {
    const Result<std::string> text = whole_file(table.c_str());
    if (text) return parse(*text, names);
    if (text.error().code == ENOENT) return {};
    return {names.front().name + " may be in use: " + table + ": " + text.error().message()};
}

}  // namespace

std::vector<std::string> users_of(std::uint32_t index, const char* block, const std::string& proc) {
    const auto device = SysfsDevice::open(index, block);
    if (!device) return {};
    const std::vector<BlockName> names = disk_and_partitions(*device, index);
    std::vector<std::string> users = users_in(proc + "/self/mountinfo", mounts_of, names);
    for (std::string& swap : users_in(proc + "/swaps", swaps_on, names)) users.push_back(std::move(swap));
    for (const BlockName& name : names)
        for (const std::string& holder : device->holders(name.name))
            users.push_back(name.name + " carries " + holder);
    return users;
}

std::vector<std::string> openers_of(std::uint32_t index) {
    std::vector<std::string> openers;
    const auto device = SysfsDevice::open(index);
    if (!device) return openers;
    const std::vector<BlockName> names = disk_and_partitions(*device, index);
    for (const std::string& process : numbers_in("/proc")) {
        const std::string folder = "/proc/" + process;
        const std::string descriptors = folder + "/fd/";
        for (const std::string& descriptor : numbers_in(descriptors)) {
            const BlockName* const held = device_behind(descriptors + descriptor, names);
            if (held == nullptr) continue;
            std::string program = whole_file((folder + "/comm").c_str()).value_or("");
            if (program.ends_with('\n')) program.pop_back();
            openers.push_back(
                fmt::format("{} is held open by process {} ({})", held->name, process, program));
            break;
        }
    }
    return openers;
}

}  // namespace holdfast::client
