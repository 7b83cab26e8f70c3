// The file is read whole each time: it is short, and a change in it must count from the next connection on.

#include "server/access_file.hh"

#include <fmt/format.h>

#include "common/linux/text_file.hh"

namespace holdfast::server {

std::expected<AccessList, std::string> read_access_file(const std::string& path) {
    constexpr std::size_t largest = 4U << 20;
    const Result<std::string> text = read_text_file(path, largest);
    if (!text) return std::unexpected(fmt::format("authfile {}: {}", path, text.error().message()));
    std::expected<AccessList, AccessList::Mistake> list = AccessList::parse(*text);
    if (!list)
        return std::unexpected(fmt::format("authfile {}:{}: {}", path, list.error().line, list.error().text));
    return std::move(*list);
}

}  // namespace holdfast::server
