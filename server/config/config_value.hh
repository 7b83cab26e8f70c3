// Value of a configuration key, converted to the type that the key needs; mistakes are reported with their
// position.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/text/ini.hh"

namespace holdfast::server {

class ConfigValue {
public:
    ConfigValue(const IniEntry& entry, std::vector<Remark>& errors, std::vector<Remark>& warnings)
        : entry_(entry), errors_(errors), warnings_(warnings) {}

    [[nodiscard]] const std::string& text() const { return entry_.value; }
    [[nodiscard]] const FilePosition& position() const { return entry_.position; }
    [[nodiscard]] bool empty() const { return entry_.value.empty(); }

    // Accepts true, false, yes, no, 1, 0. Returns false after a mistake.
    [[nodiscard]] bool boolean();
    // Accepts a decimal number in the range. Returns `least` after a mistake.
    [[nodiscard]] std::uint64_t number(std::uint64_t least, std::uint64_t most);
    [[nodiscard]] std::uint16_t port();
    // Returns an empty string after a mistake.
    [[nodiscard]] std::string absolute_path();
    // Accepts a comma-separated list of addresses; empty: all addresses.
    [[nodiscard]] std::vector<std::string> addresses();

    // For keys of nbd-server that are not supported here.
    void refuse_if_true(std::string_view why);
    void refuse_if_set(std::string_view why);
    void warn_not_needed(std::string_view why);
    void warn_not_supported(std::string_view why);

    void error(std::string_view text);
    void warning(std::string_view text);
    // Whether a mistake was reported.
    [[nodiscard]] bool is_wrong() const { return wrong_; }

private:
    const IniEntry& entry_;
    std::vector<Remark>& errors_;
    std::vector<Remark>& warnings_;
    bool wrong_ = false;
};

// Whether the text can be a host name or a numeric address, of which a link-local one may name its interface.
// Checks the letters only.
[[nodiscard]] bool is_host(std::string_view text);

}  // namespace holdfast::server
