// Checks /proc and /sys, cheap and certain sources first.

#include "server/opener/disk_holders.hh"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string_view>

#include "common/linux/text_file.hh"
#include "common/text/octal_escapes.hh"
#include "common/text/text.hh"

namespace holdfast::server {
namespace {

void for_each_name(const std::string& directory, const std::function<bool(const std::string&)>& go_on) {
    const auto close = [](DIR* dir) { ::closedir(dir); };
    const std::unique_ptr<DIR, decltype(close)> dir(::opendir(directory.c_str()), close);
    if (!dir) return;
    while (const dirent* entry = ::readdir(dir.get())) {
        if (entry->d_name[0] != '.' && !go_on(entry->d_name)) return;
    }
}

std::string first_line(const std::string& path) {
    const std::string text = read_text_file(path, 1U << 16).value_or("");
    return text.substr(0, text.find('\n'));
}

bool is_block_device(const std::string& path, dev_t device) {
    struct stat status {};
    return path.starts_with('/') && ::stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode) &&
           status.st_rdev == device;
}

bool is_swap(dev_t device) {
    const std::string text = read_text_file("/proc/swaps", 1U << 20).value_or("");
    std::string_view rest = text;
    while (!rest.empty()) {
        std::string_view line = take_line(rest);
        if (is_block_device(without_octal_escapes(take_word(line)), device)) return true;
    }
    return false;
}

// Compares source names: btrfs shows a device number of its own in mountinfo.
std::string mount_point_by_source(dev_t device) {
    const std::string text = read_text_file("/proc/self/mounts", 16U << 20).value_or("");
    std::string_view rest = text;
    while (!rest.empty()) {
        std::string_view line = take_line(rest);
        if (is_block_device(without_octal_escapes(take_word(line)), device))
            return without_octal_escapes(take_word(line));
    }
    return {};
}

// Names the device mapper target, RAID array or bcache built on top of the device.
std::string upper_device(dev_t device) {
    const std::string directory = fmt::format("/sys/dev/block/{}:{}/holders", major(device), minor(device));
    std::string text;
    for_each_name(directory, [&](const std::string& name) {
        const std::string mapped = first_line(directory + "/" + name + "/dm/name");
        text = mapped.empty() ? fmt::format("part of {}", name)
                              : fmt::format("part of /dev/mapper/{} (device mapper, {})", mapped, name);
        return false;
    });
    return text;
}

// Compares from the kernel's own caches: a file of a dead network mount must not block this process.
bool is_same(const std::string& path, const std::function<bool(const struct statx&)>& is_it) {
    struct statx status {};
    return ::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &status) == 0 &&
           is_it(status);
}

bool has_open(const std::string& pid, const std::function<bool(const struct statx&)>& is_it) {
    const std::string directory = "/proc/" + pid + "/fd";
    bool found = false;
    for_each_name(directory, [&](const std::string& name) {
        found = is_same(directory + "/" + name, is_it);
        return !found;
    });
    return found;
}

std::string process_with(pid_t server, const std::function<bool(const struct statx&)>& is_it) {
    const std::string self = std::to_string(::getpid());
    const std::string ours = std::to_string(server);
    std::string text;
    for_each_name("/proc", [&](const std::string& name) {
        if (name.find_first_not_of("0123456789") != std::string::npos || name == self || name == ours)
            return true;
        if (has_open(name, is_it))
            text = fmt::format("open by process {} ({})", name, first_line("/proc/" + name + "/comm"));
        return text.empty();
    });
    return text;
}

}  // namespace

std::string mount_point(const std::string& mountinfo, unsigned device_major, unsigned device_minor) {
    const std::string wanted = fmt::format("{}:{}", device_major, device_minor);
    std::string_view rest = mountinfo;
    while (!rest.empty()) {
        // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
        std::string_view line = take_line(rest);
        take_word(line);
        take_word(line);
        const std::string_view device = take_word(line);
        take_word(line);
        if (device == wanted) return without_octal_escapes(take_word(line));
    }
    return {};
}

std::string kernel_holder_of(dev_t device) {
    const std::string mountinfo = read_text_file("/proc/self/mountinfo", 16U << 20).value_or("");
    std::string point = mount_point(mountinfo, major(device), minor(device));
    if (point.empty()) point = mount_point_by_source(device);
    if (!point.empty()) return "mounted on " + point;
    if (is_swap(device)) return "used as swap";
    return upper_device(device);
}

std::string holder_of_device(dev_t device, pid_t server) {
    std::string text = kernel_holder_of(device);
    if (!text.empty()) return text;
    text = process_with(server, [&](const struct statx& one) {
        return S_ISBLK(one.stx_mode) && makedev(one.stx_rdev_major, one.stx_rdev_minor) == device;
    });
    return text.empty() ? "holder unknown (another mount namespace, or the kernel itself)" : text;
}

std::string holder_of_file(const struct stat& file, pid_t server) {
    const std::string text = process_with(server, [&](const struct statx& one) {
        return makedev(one.stx_dev_major, one.stx_dev_minor) == file.st_dev && one.stx_ino == file.st_ino;
    });
    return text.empty() ? "locked by a process that is not visible here" : text;
}

}  // namespace holdfast::server
