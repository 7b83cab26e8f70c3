// Asks stat(2), faccessat(2) and /sys, none of which waits for the disk itself.

#include "server/config/export_path.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <optional>

#include "common/linux/result.hh"
#include "common/linux/text_file.hh"
#include "common/text/number.hh"
#include "common/text/plural.hh"
#include "common/text/text.hh"

namespace holdfast::server {
namespace {

std::optional<std::uint64_t> attribute(dev_t device, const char* name, const std::string& sys) {
    const auto text =
        read_text_file(fmt::format("{}/dev/block/{}:{}/{}", sys, major(device), minor(device), name), 4096);
    if (!text) return std::nullopt;
    return number_of<std::uint64_t>(text->substr(0, text->find('\n')));
}

// Names the likely mistake if a path of --export has a comma and does not exist; empty: none.
std::string comma_clue(const ExportConfig& config) {
    const std::size_t comma = config.path.rfind(',');
    if (!is_on_command_line(config.position) || comma == std::string::npos) return {};
    const std::string before = config.path.substr(0, comma);
    if (::access(before.c_str(), F_OK) != 0) return {};
    return fmt::format("; {} exists, but everything after it except \",readonly\" is part of the path",
                       before);
}

// Asks for the rights of the effective user, which open(2) needs; 0, or the error.
int denied(const std::string& path, int rights) {
    return ::faccessat(AT_FDCWD, path.c_str(), rights, AT_EACCESS) == 0 ? 0 : errno;
}

std::string denial(const std::string& path, int code) {
    std::string text = fmt::format("{}: {}", path, SysError{code, "open"}.message());
    if (code == EACCES) text += fmt::format(" for user {}", ::geteuid());
    return text;
}

constexpr std::string_view refused = "clients are refused until this is fixed";

std::string check_missing(const ExportConfig& config, int code) {
    std::string why = code == ENOENT && config.filesize != 0 ? why_not_creatable(config.path)
                                                             : SysError{code, "stat"}.message();
    if (why.empty()) return {};
    return fmt::format("{}: {}; clients are refused until it can be reached{}", config.path, why,
                       comma_clue(config));
}

PathFindings check_size(const ExportConfig& config, std::uint64_t size) {
    if (size == 0) return {fmt::format("{} is empty", config.path), {}};
    if (size >= config.filesize) return {};
    return {{},
            fmt::format("{} has {}, less than filesize = {}; clients are refused until it is larger",
                        config.path, counted(size, "byte"), config.filesize)};
}

PathFindings check_device(const ExportConfig& config, dev_t device, const std::string& sys) {
    constexpr std::uint64_t sector = 512;
    const std::optional<std::uint64_t> sectors = attribute(device, "size", sys);
    if (!sectors)
        return {{},
                fmt::format("{}: there is no disk behind the device; clients are refused until it can be "
                            "reached",
                            config.path)};
    PathFindings found = check_size(config, *sectors * sector);
    if (!found.mistake.empty() || !found.warning.empty() || config.readonly) return found;
    if (!is_read_only_device(device, sys)) return {};
    if (config.must_be_writable)
        return {{},
                fmt::format("{} is a read-only device, and the export has readonly = false; clients are "
                            "refused until it is writable",
                            config.path)};
    return {{},
            fmt::format("{} is a read-only device, and offered read-only; set readonly = true, or make the "
                        "device writable (blockdev --setrw, lvchange --permission rw)",
                        config.path),
            true};
}

}  // namespace

bool is_read_only_device(dev_t device, const std::string& sys) {
    return attribute(device, "ro", sys).value_or(0) != 0;
}

std::string why_not_creatable(const std::string& path) {
    if (path.starts_with("/dev/")) return "no such device";
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    const int code = denied(folder, W_OK | X_OK);
    return code == 0 ? std::string() : denial(folder, code);
}

PathFindings check_path(const ExportConfig& config, const std::string& sys) {
    struct stat status {};
    if (::stat(config.path.c_str(), &status) != 0) return {{}, check_missing(config, errno)};
    if (!S_ISBLK(status.st_mode) && !S_ISREG(status.st_mode))
        return {fmt::format("{} is neither a block device nor a regular file", config.path), {}};
    PathFindings found = S_ISBLK(status.st_mode)
                             ? check_device(config, status.st_rdev, sys)
                             : check_size(config, static_cast<std::uint64_t>(status.st_size));
    if (!found.mistake.empty() || !found.warning.empty()) return found;
    if (const int code = denied(config.path, config.readonly ? R_OK : R_OK | W_OK))
        return {{}, fmt::format("{}; {}", denial(config.path, code), refused)};
    return {};
}

}  // namespace holdfast::server
