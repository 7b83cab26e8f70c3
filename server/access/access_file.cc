// Reads the whole file each time: it is short, and a change must apply from the next connection on.

#include "server/access/access_file.hh"

#include <fmt/core.h>

#include "common/linux/text_file.hh"

namespace holdfast::server {
namespace {

constexpr std::size_t largest = 4U << 20;

}  // namespace

std::expected<AccessList, std::string> read_access_file(const std::string& path) {
    const Result<std::string> text = read_text_file(path, largest);
    if (!text) return std::unexpected(fmt::format("authfile {}: {}", path, text.error().message()));
    return parse_access_file(path, *text);
}

std::expected<AccessList, std::string> parse_access_file(const std::string& path, std::string_view text) {
    std::expected<AccessList, std::vector<AccessList::Mistake>> list = AccessList::parse(text);
    if (list) return std::move(*list);
    const AccessList::Mistake& first = list.error().front();
    return std::unexpected(fmt::format("authfile {}:{}: {}", path, first.line, first.text));
}

std::vector<Remark> mistakes_in_access_file(const std::string& path) {
    std::vector<Remark> remarks;
    const Result<std::string> text = read_text_file(path, largest);
    if (!text) return remarks;
    const auto list = AccessList::parse(*text);
    if (list) return remarks;
    for (const AccessList::Mistake& one : list.error()) remarks.push_back({{path, one.line}, one.text});
    return remarks;
}

}  // namespace holdfast::server
