// Splits a configuration file's text into sections, keys and values, each with its line number. Holdfast has
// its own scanner because Debian's build of libinih takes an indented line as the continuation of the line
// above (nbd-server's own example indents every key), cuts lines at 200 bytes and values at " ;", skips empty
// sections and reports no line numbers: classic files would be misread, and errors could not be located.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// A position in the configuration. Line 0 means the whole file or the command line.
struct FilePosition {
    std::string file;
    unsigned line = 0;

    bool operator==(const FilePosition&) const = default;
};

// "FILE:LINE" or "FILE".
[[nodiscard]] std::string to_string(const FilePosition& position);

// A message for the administrator about a position in the configuration.
struct Remark {
    FilePosition position;
    std::string text;

    bool operator==(const Remark&) const = default;
};

// "FILE:LINE: TEXT".
[[nodiscard]] std::string to_string(const Remark& remark);

struct IniEntry {
    std::string key;
    std::string value;  // surrounding white space removed; GKeyFile's escapes (\s \t
                        //  \r \\) decoded
    FilePosition position;
};

struct IniSection {
    std::string name;
    FilePosition position;
    std::vector<IniEntry> entries;
};

// Returns the sections in file order. Lines that are neither section, key nor comment are reported in
// `errors`. `first_section` names the sections suggested for a key outside any section: "[generic] or
// [EXPORT]".
[[nodiscard]] std::vector<IniSection> scan_ini(std::string_view file, std::string_view text,
                                               std::string_view first_section, std::vector<Remark>& errors);

}  // namespace holdfast
