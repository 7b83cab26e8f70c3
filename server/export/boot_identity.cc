// Reads the boot ID from /proc, once.

#include "server/export/boot_identity.hh"

#include <sys/random.h>

#include "common/linux/log.hh"
#include "common/linux/text_file.hh"
#include "common/text/text.hh"

namespace holdfast::server {
namespace {

std::optional<unsigned> digit(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
    return std::nullopt;
}

}  // namespace

std::optional<nbd::Uuid> parse_uuid(std::string_view text) {
    std::string_view line = take_line(text);
    line = trimmed(line);
    if (line.size() != 36 || !text.empty()) return std::nullopt;
    nbd::Uuid uuid{};
    std::size_t digits = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (line[i] != '-') return std::nullopt;
            continue;
        }
        const std::optional<unsigned> value = digit(line[i]);
        if (!value) return std::nullopt;
        std::uint8_t& byte = uuid[digits++ / 2];
        byte = static_cast<std::uint8_t>(byte << 4 | *value);
    }
    return uuid;
}

nbd::Uuid boot_identity() {
    constexpr const char* path = "/proc/sys/kernel/random/boot_id";
    const Result<std::string> text = read_text_file(path, 4096);
    if (const std::optional<nbd::Uuid> uuid = text ? parse_uuid(*text) : std::nullopt) return *uuid;
    log::warning(std::string(path) + ": " + (text ? "not a UUID" : text.error().message()) +
                 "; clients will mistake each restart of the server for a restart of its machine");
    nbd::Uuid random{};
    (void)::getrandom(random.data(), random.size(), 0);
    return random;
}

}  // namespace holdfast::server
