// Accepts a missing file unless the user named it; an unreadable file is an error.

#include "client/config/devices_file.hh"

#include "common/linux/text_file.hh"

namespace holdfast::client {
namespace {

constexpr std::size_t largest_table = 1U << 20;

}  // namespace

std::expected<DeviceTable, std::string> load_device_table(const std::optional<std::string>& named) {
    const std::string path = named.value_or(default_device_table);
    const auto text = read_text_file(path, largest_table);
    if (text) return read_device_table(path, *text);
    const bool missing = text.error().code == ENOENT || text.error().code == ENOTDIR;
    if (missing && !named) return DeviceTable{};
    return std::unexpected{path + ": " + text.error().message()};
}

}  // namespace holdfast::client
