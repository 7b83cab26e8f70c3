// Splits the text of a configuration file into sections, keys and values, each with its line.
// A scanner of our own and not libinih, whose Debian build takes an indented line for the continuation of the
// one above (nbd-server's own example indents every key), cuts lines at 200 bytes and values at " ;", passes
// over empty sections and tells its caller no line numbers: with it, the classic files would be misread and
// mistakes could not be placed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// Where something stands. Line 0 means the file (or the command line) as a whole.
struct Place {
    std::string file;
    unsigned line = 0;

    bool operator==(const Place&) const = default;
};

// "FILE:LINE" or "FILE".
[[nodiscard]] std::string to_string(const Place& place);

// Something to tell the administrator about a place in the configuration.
struct Remark {
    Place place;
    std::string text;

    bool operator==(const Remark&) const = default;
};

// "FILE:LINE: TEXT".
[[nodiscard]] std::string to_string(const Remark& remark);

struct IniEntry {
    std::string key;
    std::string value;  // without the white space around it; GKeyFile's escapes (\s \t \n \r \\) undone
    Place place;
};

struct IniSection {
    std::string name;
    Place place;
    std::vector<IniEntry> entries;
};

// The sections in their order. Lines that are neither section, key nor comment are reported in `errors`.
// `first_section` names the sections that a key without one may have been meant for: "[generic] or [EXPORT]".
[[nodiscard]] std::vector<IniSection> scan_ini(std::string_view file, std::string_view text,
                                               std::string_view first_section, std::vector<Remark>& errors);

}  // namespace holdfast
