// One table names the fields that are text and one those that are numbers; the spellings run over them, so
// that a field is added in one place.

#include "client/status.hh"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "client/utf8.hh"
#include "common/protocol/constants.hh"

namespace holdfast::client {
namespace {

constexpr std::array state_words{
    std::pair{DeviceState::detached, "detached"},
    std::pair{DeviceState::attached, "attached"},
    std::pair{DeviceState::reconnecting, "reconnecting"},
    std::pair{DeviceState::unattended, "unattended"},
};

struct TextField {
    const char* key;
    std::string DeviceStatus::*field;
};
constexpr std::array text_fields{
    TextField{"server", &DeviceStatus::server},
    TextField{"peer", &DeviceStatus::peer},
    TextField{"identifier", &DeviceStatus::identifier},
    TextField{"last_error", &DeviceStatus::last_error},
};

struct NumberField {
    const char* key;
    std::uint64_t DeviceStatus::*field;
};
constexpr std::array number_fields{
    NumberField{"size", &DeviceStatus::size},
    NumberField{"block_size", &DeviceStatus::block_size},
    NumberField{"flags", &DeviceStatus::flags},
    NumberField{"daemon_pid", &DeviceStatus::daemon_pid},
    NumberField{"attached_seconds", &DeviceStatus::attached_seconds},
    NumberField{"link_seconds", &DeviceStatus::link_seconds},
    NumberField{"reconnects", &DeviceStatus::reconnects},
    NumberField{"servers", &DeviceStatus::servers},
};

std::uint64_t number_in(std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::string one_line(std::string_view text) {
    std::string line(text);
    for (char& c : line)
        if (c == '\n' || c == '\r') c = ' ';
    return line;
}

void take_field(DeviceStatus& status, std::string_view key, std::string_view value) {
    if (key == "index") status.index = static_cast<std::uint32_t>(number_in(value));
    if (key == "read_only") status.read_only = value == "1";
    if (key == "state")
        for (const auto& [state, word] : state_words)
            if (value == word) status.state = state;
    for (const auto& [name, field] : text_fields)
        if (key == name) status.*field = value;
    for (const auto& [name, field] : number_fields)
        if (key == name) status.*field = number_in(value);
}

}  // namespace

const char* word_of(DeviceState state) noexcept {
    for (const auto& [candidate, word] : state_words)
        if (candidate == state) return word;
    return "?";
}

std::string to_lines(const DeviceStatus& status) {
    std::string lines = fmt::format("index {}\nstate {}\nread_only {}\n", status.index, word_of(status.state),
                                    status.read_only ? 1 : 0);
    for (const auto& [key, field] : text_fields)
        lines += fmt::format("{} {}\n", key, one_line(status.*field));
    for (const auto& [key, field] : number_fields) lines += fmt::format("{} {}\n", key, status.*field);
    return lines + "\n";
}

DeviceStatus from_lines(std::string_view lines) {
    DeviceStatus status;
    while (!lines.empty()) {
        const std::size_t end = lines.find('\n');
        const std::string_view line = lines.substr(0, end);
        lines = end == std::string_view::npos ? std::string_view{} : lines.substr(end + 1);
        const std::size_t blank = line.find(' ');
        if (blank != std::string_view::npos)
            take_field(status, line.substr(0, blank), line.substr(blank + 1));
    }
    return status;
}

std::string to_text(const DeviceStatus& status) {
    std::string text = fmt::format("/dev/nbd{}: {}", status.index, word_of(status.state));
    const auto row = [&text](const char* key, const std::string& value) {
        text += fmt::format("\n  {:<11} {}", key, value);
    };
    switch (status.state) {
        case DeviceState::detached: return text + "\n";
        case DeviceState::attached:
            text += fmt::format(" for {}", duration_words(status.attached_seconds));
            break;
        case DeviceState::reconnecting:
            text += fmt::format(", link down for {}", duration_words(status.link_seconds));
            break;
        case DeviceState::unattended: text += " (connected, but no holdfast-client watches it)"; break;
    }
    if (!status.server.empty())
        row("server",
            status.peer.empty() ? status.server : fmt::format("{} ({})", status.server, status.peer));
    row("size", fmt::format("{} ({} bytes), blocks of {}{}", size_words(status.size), status.size,
                            status.block_size, status.read_only ? ", read-only" : ""));
    if (status.state != DeviceState::unattended) {
        row("flags", flag_words(status.flags));
        row("reconnects",
            status.reconnects == 0 || status.state != DeviceState::attached
                ? std::to_string(status.reconnects)
                : fmt::format("{}, the last {} ago", status.reconnects, duration_words(status.link_seconds)));
        row("daemon", fmt::format("pid {}", status.daemon_pid));
    }
    if (!status.last_error.empty()) row("last error", status.last_error);
    return text + "\n";
}

std::string to_json(const DeviceStatus& status) {
    std::string json = fmt::format(R"({{"device":"/dev/nbd{}","state":{},"read_only":{})", status.index,
                                   json_string(word_of(status.state)), status.read_only);
    for (const auto& [key, field] : text_fields)
        json += fmt::format(",\"{}\":{}", key, json_string(status.*field));
    for (const auto& [key, field] : number_fields) json += fmt::format(",\"{}\":{}", key, status.*field);
    return json + "}";
}

std::string json_string(std::string_view text) {
    std::string json = "\"";
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const char c = text[0];
        if (length == 0)
            json += "\\ufffd";
        else if (c == '"' || c == '\\')
            json += {'\\', c};
        else if (is_control(text, length))
            // The code point of a C1 character is its second byte.
            json +=
                fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(text[length - 1])));
        else
            json += text.substr(0, length);
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return json + "\"";
}

std::string flag_words(std::uint64_t flags) {
    static constexpr std::array names{
        std::pair{nbd::flag_read_only, "read-only"},
        std::pair{nbd::flag_send_flush, "flush"},
        std::pair{nbd::flag_send_fua, "fua"},
        std::pair{nbd::flag_rotational, "rotational"},
        std::pair{nbd::flag_send_trim, "trim"},
        std::pair{nbd::flag_send_write_zeroes, "write-zeroes"},
        std::pair{nbd::flag_send_df, "df"},
        std::pair{nbd::flag_can_multi_conn, "multi-conn"},
        std::pair{nbd::flag_send_resize, "resize"},
        std::pair{nbd::flag_send_cache, "cache"},
        std::pair{nbd::flag_send_fast_zero, "fast-zero"},
    };
    std::string words;
    for (const auto& [bit, name] : names)
        if ((flags & bit) != 0) words += (words.empty() ? "" : " ") + std::string(name);
    return words.empty() ? "none" : words;
}

std::string size_words(std::uint64_t bytes) {
    static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    std::uint64_t tenths = bytes;
    // Tenths by integers: no floating point in a program that an initramfs carries.
    std::uint64_t scale = 1;
    while (unit + 1 < units.size() && bytes / scale >= 1024) {
        scale *= 1024;
        ++unit;
    }
    if (unit == 0) return fmt::format("{} B", bytes);
    tenths = bytes / scale * 10 + bytes % scale * 10 / scale;
    return fmt::format("{}.{} {}", tenths / 10, tenths % 10, units[unit]);
}

std::string duration_words(std::uint64_t seconds) {
    if (seconds < 60) return fmt::format("{} s", seconds);
    if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
    if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
    return fmt::format("{} d {} h", seconds / 86400, seconds % 86400 / 3600);
}

}  // namespace holdfast::client
