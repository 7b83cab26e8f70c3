// Accepts a missing file unless the user named it; an unreadable file is an error.

#include "client/config/config_file.hh"

#include "common/linux/text_file.hh"

namespace holdfast::client {
namespace {

constexpr std::size_t largest_config = 1U << 20;

}  // namespace

std::expected<Config, std::vector<std::string>> load_config(const std::optional<std::string>& named,
                                                            const std::string& default_file) {
    // /dev/null means "no file".
    if (named == "/dev/null") return Config{};
    const std::string& path = named ? *named : default_file;
    const auto text = read_text_file(path, largest_config);
    if (text) return read_config(path, *text);
    const bool missing = text.error().code == ENOENT || text.error().code == ENOTDIR;
    if (missing && !named) return Config{};
    return std::unexpected{std::vector{path + ": " + text.error().message()}};
}

}  // namespace holdfast::client
