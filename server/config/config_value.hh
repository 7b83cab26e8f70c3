// One value of the configuration, taken as what its key wants, with the mistakes reported at its place.
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
    [[nodiscard]] const Place& place() const { return entry_.place; }
    [[nodiscard]] bool empty() const { return entry_.value.empty(); }

    // true, false, yes, no, 1, 0. False after a mistake.
    [[nodiscard]] bool boolean();
    // A decimal number in the range. `least` after a mistake.
    [[nodiscard]] std::uint64_t number(std::uint64_t least, std::uint64_t most);
    [[nodiscard]] std::uint16_t port();
    // Empty after a mistake.
    [[nodiscard]] std::string absolute_path();
    // A comma-separated list of addresses; empty for all.
    [[nodiscard]] std::vector<std::string> addresses();

    // For keys of nbd-server that we do not have.
    void refuse_if_true(std::string_view why);
    void refuse_if_set(std::string_view why);
    void warn_not_needed(std::string_view why);
    void warn_not_supported(std::string_view why);
    void warn_not_supported_if_true(std::string_view why);

    void error(std::string_view text);
    void warning(std::string_view text);
    // A mistake was reported.
    [[nodiscard]] bool is_wrong() const { return wrong_; }

private:
    const IniEntry& entry_;
    std::vector<Remark>& errors_;
    std::vector<Remark>& warnings_;
    bool wrong_ = false;
};

// Whether it can be a host's name or a numeric address. Purely by its letters.
[[nodiscard]] bool is_host(std::string_view text);
// Decimal digits that fit; false otherwise.
[[nodiscard]] bool parse_number(std::string_view text, std::uint64_t& value);

}  // namespace holdfast::server
