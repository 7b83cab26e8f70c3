// Tries sources from permanent names of a disk to names that are stable only until the disk is plugged in
// elsewhere.

#include "server/opener/disk_identity.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "common/linux/fd.hh"
#include "common/linux/text_file.hh"
#include "common/text/fnv1a.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"

namespace holdfast::server {
namespace {

// Converts the text so that it passes is_identity(); different texts stay different.
std::string made_sound(std::string_view text) {
    std::string sound;
    for (const char c : text) {
        if (is_printable_ascii(c)) {
            sound += c;
        } else {
            sound += fmt::format("%{:02x}", static_cast<unsigned>(static_cast<std::uint8_t>(c)));
        }
    }
    if (sound.size() <= longest_identity) return sound;
    // Distinguishes texts that are cut at the same place.
    const std::string end = fmt::format("#{:016x}", fnv1a(sound));
    return sound.substr(0, longest_identity - end.size()) + end;
}

// Reads the attribute without the padding that some devices put around it; empty if there is none.
std::string attribute(const std::string& directory, const char* name) {
    const std::string text = read_text_file(directory + "/" + name, 4096).value_or("");
    const std::string_view whole =
        std::string_view(text).substr(0, text.find_first_of(std::string_view("\n\0", 2)));
    return std::string(trimmed(whole));
}

// Returns the disk's position: "virtual/block/ram0", "pci0000:00/0000:00:05.0/virtio2/block/vda".
std::string place_of(const std::string& directory) {
    std::array<char, 4096> target{};
    const ssize_t length = ::readlink(directory.c_str(), target.data(), target.size());
    if (length <= 0) return {};
    const std::string_view link(target.data(), static_cast<std::size_t>(length));
    constexpr std::string_view devices = "devices/";
    const std::size_t at = link.find(devices);
    return std::string(at == std::string_view::npos ? link : link.substr(at + devices.size()));
}

std::string whole_disk_identity(const std::string& directory) {
    struct Source {
        const char* attribute;
        const char* word;
    };
    // device/ is the SCSI or NVMe device behind the disk; virtio has its serial number at the disk itself.
    static constexpr Source sources[] = {
        {"wwid", "wwid"},     {"device/wwid", "wwid"},     {"md/uuid", "md"},
        {"serial", "serial"}, {"device/serial", "serial"},
    };
    for (const Source& one : sources) {
        const std::string value = attribute(directory, one.attribute);
        if (!value.empty()) return fmt::format("{}:{}", one.word, value);
    }
    const std::string backing = attribute(directory, "loop/backing_file");
    if (!backing.empty()) {
        const std::string offset = attribute(directory, "loop/offset");
        return fmt::format("loop:{}+{}", disk_identity(backing).value_or(backing), offset);
    }
    return {};
}

std::string file_identity(int file, const struct statx& status) {
    // File system ID: stable across boots, unlike the device number.
    struct statfs system {};
    std::uint64_t id = 0;
    static_assert(sizeof system.f_fsid == sizeof id);
    if (::fstatfs(file, &system) == 0) std::memcpy(&id, &system.f_fsid, sizeof id);
    const std::string where = id != 0 ? fmt::format("{:016x}", id)
                                      : fmt::format("{}:{}", status.stx_dev_major, status.stx_dev_minor);
    std::string text = fmt::format("file:{}:{}", where, status.stx_ino);
    // Inode numbers are soon reused.
    if ((status.stx_mask & STATX_BTIME) != 0)
        text += fmt::format(":{}.{:09}", status.stx_btime.tv_sec, status.stx_btime.tv_nsec);
    return text;
}

}  // namespace

std::string block_identity(dev_t device, const std::string& sys) {
    const std::string number = fmt::format("{}:{}", major(device), minor(device));
    const std::string directory = fmt::format("{}/dev/block/{}", sys, number);
    // "LVM-" and the UUIDs of volume group and logical volume; "CRYPT-...", "mpath-..." and similar.
    const std::string mapped = attribute(directory, "dm/uuid");
    if (!mapped.empty()) return made_sound(mapped);
    const std::string mapped_name = attribute(directory, "dm/name");
    if (!mapped_name.empty()) return made_sound("device-mapper:" + mapped_name);
    std::string text = whole_disk_identity(directory);
    const std::string partition = attribute(directory, "partition");
    if (!partition.empty()) {
        text = whole_disk_identity(directory + "/..");
        // Includes the start sector, because a new partition table may give the number to another partition.
        if (!text.empty()) text += fmt::format("-part{}@{}", partition, attribute(directory, "start"));
    }
    if (!text.empty()) return made_sound(text);
    const std::string place = place_of(directory);
    return made_sound("device:" + (place.empty() ? number : place));
}

Result<std::string> disk_identity(int file) {
    struct statx status {};
    if (::statx(file, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &status) != 0)
        return sys_error("statx");
    if (S_ISBLK(status.stx_mode))
        return block_identity(makedev(status.stx_rdev_major, status.stx_rdev_minor), "/sys");
    return file_identity(file, status);
}

Result<std::string> disk_identity(const std::string& path) {
    const Fd file(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!file) return sys_error("open");
    return disk_identity(file.get());
}

}  // namespace holdfast::server
