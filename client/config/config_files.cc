// Accepts a missing file unless the user named it; an unreadable file is an error.

#include "client/config/config_files.hh"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "common/linux/fd.hh"
#include "common/linux/text_file.hh"

namespace holdfast::client {
namespace {

constexpr std::size_t largest_file = 1U << 20;

bool is_missing(const SysError& error) { return error.code == ENOENT || error.code == ENOTDIR; }

std::string message(const std::string& path, const SysError& error) { return path + ": " + error.message(); }

// Returns the file itself behind symbolic links, with its folder; a missing file as it is named.
std::string real_path(const std::string& file) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(file.c_str(), nullptr), &std::free);
    if (real) return real.get();
    return file.find('/') == std::string::npos ? "./" + file : file;
}

// Writes the text to stable storage, and gives the open file the owner and mode of `target`, if that exists.
Result<void> write_like(int file, const std::string& target, std::string_view text) {
    struct stat old {};
    const bool exists = ::stat(target.c_str(), &old) == 0;
    if (exists && ::fchown(file, old.st_uid, old.st_gid) != 0) return sys_error("fchown");
    if (::fchmod(file, exists ? old.st_mode & 07777 : 0644) != 0) return sys_error("fchmod");
    while (!text.empty()) {
        const ssize_t count = ::write(file, text.data(), text.size());
        if (count < 0) return sys_error("write");
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    if (::fsync(file) != 0) return sys_error("fsync");
    return {};
}

}  // namespace

std::expected<Config, std::vector<std::string>> load_config(const std::optional<std::string>& named,
                                                            const std::string& default_file) {
    // /dev/null means "no file".
    if (named == "/dev/null") return Config{};
    const std::string& path = named ? *named : default_file;
    const auto text = read_text_file(path, largest_file);
    if (text) return read_config(path, *text);
    if (!named && is_missing(text.error())) return Config{};
    return std::unexpected{std::vector{message(path, text.error())}};
}

std::expected<DeviceTable, std::string> load_device_table(const std::optional<std::string>& named) {
    const auto text = read_config_text(named, default_device_table);
    if (!text) return std::unexpected{text.error()};
    return read_device_table(named.value_or(default_device_table), *text);
}

std::expected<std::string, std::string> read_config_text(const std::optional<std::string>& named,
                                                         const std::string& default_file) {
    const std::string& path = named ? *named : default_file;
    auto text = read_text_file(path, largest_file);
    if (text) return *std::move(text);
    if (!named && is_missing(text.error())) return std::string{};
    return std::unexpected{message(path, text.error())};
}

Result<void> replace_config_file(const std::string& file, std::string_view text) {
    const std::string target = real_path(file);
    const std::string folder = target.substr(0, std::max<std::size_t>(target.rfind('/'), 1));
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return sys_error("mkdir");
    std::string draft = target + ".XXXXXX";
    const Fd out(::mkostemp(draft.data(), O_CLOEXEC));
    if (!out) return sys_error("mkostemp");
    auto replaced = write_like(out.get(), target, text);
    if (replaced && ::rename(draft.c_str(), target.c_str()) != 0) replaced = sys_error("rename");
    if (!replaced) ::unlink(draft.c_str());
    const Fd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (replaced && directory) (void)::fsync(directory.get());
    return replaced;
}

}  // namespace holdfast::client
