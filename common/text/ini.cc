// Implements the grammar of GKeyFile (nbd-server's configuration parser), without translations and lists.

#include "common/text/ini.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "common/text/text.hh"
#include "common/text/utf8.hh"

namespace holdfast {
namespace {

// Returns false for an escape that GKeyFile does not know.
bool unescape(std::string_view text, std::string& out) {
    struct Escape {
        char letter, meaning;
    };
    static constexpr std::array<Escape, 5> escapes{
        {{'s', ' '}, {'t', '\t'}, {'n', '\n'}, {'r', '\r'}, {'\\', '\\'}}};
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            out += text[i];
            continue;
        }
        if (++i == text.size()) return false;
        const auto* const found = std::ranges::find(escapes, text[i], &Escape::letter);
        if (found == escapes.end()) return false;
        out += found->meaning;
    }
    return true;
}

// Returns text from the file for a message, with characters that a terminal would interpret escaped.
std::string shown(std::string_view text) {
    constexpr std::size_t longest = 100;
    std::string words;
    while (!text.empty() && words.size() < longest) {
        const std::size_t length = utf8_length(text);
        const std::size_t taken = std::max<std::size_t>(length, 1);
        words += length == 0 || is_hidden(text, length) ? "?" : text.substr(0, taken);
        text.remove_prefix(taken);
    }
    return text.empty() ? words : words + "...";
}

class Scanner {
public:
    Scanner(std::string_view file, std::string_view first_section, std::vector<Remark>& errors)
        : file_(file), first_section_(first_section), errors_(errors) {}

    void line(std::string_view raw) {
        ++number_;
        const std::string_view text = trimmed(raw);
        if (text.empty() || text.front() == '#' || text.front() == ';') return;
        if (text.find('\0') != std::string_view::npos) return wrong("NUL byte; not a text file");
        if (text.front() == '[') return section(text);
        entry(text);
    }

    std::vector<IniSection> take() { return std::move(sections_); }

private:
    FilePosition position() const { return {std::string(file_), number_}; }
    void wrong(std::string text) { errors_.push_back({position(), std::move(text)}); }

    void section(std::string_view text) {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos) {
            wrong("missing \"]\" after the section name");
        } else if (close + 1 != text.size()) {
            wrong("unexpected text after the section name; put comments on their own lines");
        }
        // Opens a section even after an error, so that its keys are not assigned to the previous section.
        const std::string_view name = text.substr(1, close == std::string_view::npos ? close : close - 1);
        sections_.push_back({std::string(name), position(), {}});
    }

    void entry(std::string_view text) {
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos) {
            return wrong(
                fmt::format("\"{}\" is neither a section, nor KEY = VALUE, nor a comment", shown(text)));
        }
        const std::string_view key = trimmed(text.substr(0, equals));
        if (key.empty()) return wrong("missing key before \"=\"");
        if (sections_.empty()) {
            return wrong(fmt::format("\"{}\" before the first section; write {} above it", shown(key),
                                     first_section_));
        }
        IniEntry entry{std::string(key), {}, position()};
        if (!unescape(trimmed(text.substr(equals + 1)), entry.value)) {
            return wrong(fmt::format(
                "{}: unknown escape (the escapes are \\s \\t \\n \\r \\\\); write \\\\ for a backslash",
                shown(key)));
        }
        sections_.back().entries.push_back(std::move(entry));
    }

    std::string_view file_;
    std::string_view first_section_;
    std::vector<Remark>& errors_;
    std::vector<IniSection> sections_;
    unsigned number_ = 0;
};

}  // namespace

std::string to_string(const FilePosition& position) {
    return position.line == 0 ? position.file : fmt::format("{}:{}", position.file, position.line);
}

std::string to_string(const Remark& remark) { return to_string(remark.position) + ": " + remark.text; }

std::vector<IniSection> scan_ini(std::string_view file, std::string_view text, std::string_view first_section,
                                 std::vector<Remark>& errors) {
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
    Scanner scanner(file, first_section, errors);
    while (!text.empty()) {
        scanner.line(take_line(text));
    }
    return scanner.take();
}

}  // namespace holdfast
