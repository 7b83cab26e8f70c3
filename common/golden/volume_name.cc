// LVM's rules are those of lvm(8), VALID NAMES.

#include "common/golden/volume_name.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "common/golden/pattern_ends.hh"
#include "common/text/characters.hh"
#include "common/text/text.hh"

namespace holdfast {
namespace {

constexpr std::string_view unfinished_end = "+new";
// Cannot be part of a pattern of `create`, nor of a word.
constexpr std::string_view session_mark = "+cow-";

bool is_name_character(char c) {
    return is_letter_or_digit(c) || c == '_' || c == '.' || c == '-' || c == '+';
}

bool is_word_character(char c) { return is_letter_or_digit(c) || c == '.' || c == '+'; }

bool is_word(std::string_view text) { return std::ranges::all_of(text, is_word_character); }

// The kernel's name of a volume has the group's name in front, and every hyphen twice.
std::size_t mapped_size(std::string_view text) {
    return text.size() + static_cast<std::size_t>(std::ranges::count(text, '-'));
}

// 127 bytes, less LVM's own endings such as "-real" and "-cow".
constexpr std::size_t longest_mapped = 120;

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= longest_mapped && text.front() != '-' && text != "." &&
           text != ".." && std::ranges::all_of(text, is_name_character);
}

constexpr std::size_t place_size = 2;  // bytes of "%s"

std::optional<HostKind> kind_of(std::string_view place) {
    if (place == "%s") return HostKind::address;
    if (place == "%n") return HostKind::name;
    return place == "%m" ? std::optional(HostKind::mac) : std::nullopt;
}

// Checks the names that a pattern gives; `volume` is the pattern's text.
std::expected<VolumePattern, std::string> checked(VolumePattern pattern, std::string_view volume) {
    if (pattern.before.empty())
        return std::unexpected("the volume's name must begin with characters of your own, such as root-%s");
    const std::string longest = pattern.before + std::string(longest_encoded_word, 'f') + pattern.after;
    if ((pattern.before + pattern.after).find('+') != std::string::npos)
        return std::unexpected("\"+\" is kept for the encoding of hosts; use another character");
    if (!is_volume_name(pattern.before + "1" + pattern.after))
        return std::unexpected(
            fmt::format("LVM has no volume named \"{}\"; see VALID NAMES in lvm(8)", volume));
    if (mapped_size(pattern.group) + 1 + mapped_size(longest) + unfinished_end.size() > longest_mapped)
        return std::unexpected(
            "with the address of an IPv6 host, or a long name, the volume's name would be too long for LVM; "
            "shorten it");
    return pattern;
}

}  // namespace

bool is_group_name(std::string_view text) { return is_name(text); }

bool is_volume_name(std::string_view text) {
    constexpr std::array reserved{"_cdata",  "_cmeta", "_corig",   "_cpool",  "_cvol",  "_imeta", "_iorig",
                                  "_mimage", "_mlog",  "_pmspare", "_rimage", "_rmeta", "_tdata", "_tmeta",
                                  "_tpool",  "_vdata", "_vorigin", "_vpool",  "_wcorig"};
    return is_name(text) && !text.starts_with("snapshot") && !text.starts_with("pvmove") &&
           std::ranges::none_of(reserved, [&](std::string_view one) { return text.find(one) != text.npos; });
}

std::expected<VolumePattern, std::string> parse_volume_pattern(std::string_view path) {
    constexpr std::string_view form =
        "write /dev/GROUP/NAME-%s, with one %s, %n or %m in the name of the volume";
    constexpr std::string_view folder = "/dev/";
    if (!path.starts_with(folder)) return std::unexpected(std::string(form));
    const std::string_view rest = path.substr(folder.size());
    const std::size_t slash = rest.find('/');
    if (slash == rest.npos || rest.find('/', slash + 1) != rest.npos)
        return std::unexpected(std::string(form));
    const std::string_view group = rest.substr(0, slash);
    const std::string_view volume = rest.substr(slash + 1);
    const std::size_t at = volume.find('%');
    const std::optional<HostKind> by =
        at == volume.npos ? std::nullopt : kind_of(volume.substr(at, place_size));
    if (!by || volume.find('%', at + 1) != volume.npos || group.find('%') != group.npos)
        return std::unexpected(std::string(form));
    if (!is_group_name(group) || group == "mapper")
        return std::unexpected(fmt::format("\"{}\" is not the name of a volume group", group));
    return checked({std::string(group), std::string(volume.substr(0, at)),
                    std::string(volume.substr(at + place_size)), *by},
                   volume);
}

std::expected<VolumePattern, std::string> parse_session_pattern(std::string_view path) {
    constexpr std::string_view folder = "/dev/";
    constexpr std::size_t longest_session = 33;
    std::string_view volume = path;
    if (volume.starts_with(folder)) volume.remove_prefix(folder.size());
    const std::string_view group = take_until(volume, '/');
    if (!path.starts_with(folder) || !is_group_name(group) || group == "mapper" || !is_volume_name(volume))
        return std::unexpected(fmt::format(
            "{} is no logical volume /dev/GROUP/VOLUME, of which LVM could take a snapshot; export "
            "an LV, or set readonly = true",
            path));
    VolumePattern pattern{
        std::string(group), std::string(volume) + std::string(session_mark), {}, HostKind::session};
    if (mapped_size(group) + 1 + mapped_size(pattern.before) + longest_session > longest_mapped)
        return std::unexpected(
            fmt::format("the names of snapshots of {} would be too long for LVM; rename the volume", path));
    return pattern;
}

std::string origin_of_sessions(const VolumePattern& pattern) {
    return pattern.before.substr(0, pattern.before.size() - session_mark.size());
}

std::string encoded_word(std::string_view word) {
    std::string out;
    for (const char c : word) {
        if (is_letter_or_digit(c) || c == '.') {
            out += c;
        } else {
            out += fmt::format("+{:02x}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

std::string decoded_word(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        unsigned code = 0;
        constexpr std::size_t encoded_size = 3;
        const char* const digits = text.data() + 1;
        if (text.size() >= encoded_size && text[0] == '+' &&
            std::from_chars(digits, digits + 2, code, 16).ptr == digits + 2) {
            out += static_cast<char>(code);
            text.remove_prefix(encoded_size);
        } else {
            out += text[0];
            text.remove_prefix(1);
        }
    }
    return out;
}

std::expected<std::string, std::string> volume_name(const VolumePattern& pattern, std::string_view word) {
    const std::string encoded = encoded_word(word);
    if (encoded.empty()) return std::unexpected("the host has no name");
    if (encoded.size() > longest_encoded_word)
        return std::unexpected("the host's name is too long for a volume");
    std::string name = pattern.before + encoded + pattern.after;
    if (!is_volume_name(name)) return std::unexpected(fmt::format("LVM reserves the volume name {}", name));
    return name;
}

std::string unfinished_name(std::string_view volume) {
    return std::string(volume) + std::string(unfinished_end);
}

bool may_collide(const VolumePattern& one, const VolumePattern& other) {
    return one.group == other.group && ends_may_meet(one.before, other.before, true, is_word_character) &&
           ends_may_meet(one.after, other.after, false, is_word_character);
}

bool may_be_of(const VolumePattern& pattern, std::string_view group, std::string_view volume) {
    if (group != pattern.group || volume.size() <= pattern.before.size() + pattern.after.size()) return false;
    if (!volume.starts_with(pattern.before) || !volume.ends_with(pattern.after)) return false;
    volume.remove_prefix(pattern.before.size());
    volume.remove_suffix(pattern.after.size());
    return is_word(volume);
}

}  // namespace holdfast
