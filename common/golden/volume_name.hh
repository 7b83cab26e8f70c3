// Names of the logical volumes that are created for hosts: a pattern of the administrator, and a host's word
// in the place of "%s", "%n" or "%m". Pure. The word comes from the network, so that a name is made of safe
// characters only, and two words never give the same name.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "common/golden/host_word.hh"

namespace holdfast {

// A volume group, and the parts of the name before and after the word.
struct VolumePattern {
    std::string group;
    std::string before;
    std::string after;
    HostKind by = HostKind::address;

    bool operator==(const VolumePattern&) const = default;
};

// Longest word that every pattern has room for: an IPv6 address with its colons encoded.
inline constexpr std::size_t longest_encoded_word = 53;

// Whether LVM accepts the text as the name of a volume group or a logical volume. Reserved names are refused.
[[nodiscard]] bool is_group_name(std::string_view text);
[[nodiscard]] bool is_volume_name(std::string_view text);

// Parses /dev/GROUP/BEFORE%sAFTER, with %s, %n or %m. The error says how to correct the path.
[[nodiscard]] std::expected<VolumePattern, std::string> parse_volume_pattern(std::string_view path);

// Parses /dev/GROUP/VOLUME, of which each session gets a snapshot: VOLUME+cow-SESSION. The error says how to
// correct the path.
[[nodiscard]] std::expected<VolumePattern, std::string> parse_session_pattern(std::string_view path);
// The volume of which a pattern of parse_session_pattern() has snapshots.
[[nodiscard]] std::string origin_of_sessions(const VolumePattern& pattern);

// Encodes a word with letters, digits, "." and "+": any other byte becomes "+" and two hexadecimal digits.
// Different words have different results.
[[nodiscard]] std::string encoded_word(std::string_view word);

// Returns the word that encoded_word() has encoded; a "+" that is no encoding stays.
[[nodiscard]] std::string decoded_word(std::string_view text);

// Name of the word's volume, without the group. The error says why LVM could not have such a volume.
[[nodiscard]] std::expected<std::string, std::string> volume_name(const VolumePattern& pattern,
                                                                  std::string_view word);

// Name of a volume that is not complete yet. No pattern gives such a name for any word.
[[nodiscard]] std::string unfinished_name(std::string_view volume);

// Whether some two words give the same volume by these patterns.
[[nodiscard]] bool may_collide(const VolumePattern& one, const VolumePattern& other);
// Whether a word could give this volume.
[[nodiscard]] bool may_be_of(const VolumePattern& pattern, std::string_view group, std::string_view volume);

}  // namespace holdfast
