// Accepts a missing file unless the user named it; an unreadable file is an error.

#include "client/config/config_files.hh"

#include "common/linux/text_file.hh"

namespace holdfast::client {
namespace {

constexpr std::size_t largest_file = 1U << 20;

bool is_missing(const SysError& error) { return error.code == ENOENT || error.code == ENOTDIR; }

std::string message(const std::string& path, const SysError& error) { return path + ": " + error.message(); }

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
    const std::string path = named.value_or(default_device_table);
    const auto text = read_text_file(path, largest_file);
    if (text) return read_device_table(path, *text);
    if (!named && is_missing(text.error())) return DeviceTable{};
    return std::unexpected{message(path, text.error())};
}

}  // namespace holdfast::client
