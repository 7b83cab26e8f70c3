// Scans character by character. An expansion ($, `) is refused, not replaced, so that no value is guessed.

#include "client/config/shell_assignments.hh"

#include <fmt/core.h>

#include <expected>
#include <utility>

#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"

namespace holdfast::client {
namespace {

using Problem = std::unexpected<std::string>;
template <class T>
using Read = std::expected<T, std::string>;

constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_space(char c) { return c == ' ' || c == '\t'; }

constexpr std::string_view no_expansion = "expansions ($, `) are not carried out; write the value itself";

class LineScanner {
public:
    explicit LineScanner(std::string_view line) : rest_(line) {}

    // Returns false at the end of the line or at a comment.
    bool skip_to_word() {
        while (!rest_.empty() && (is_space(rest_.front()) || rest_.front() == ';')) rest_.remove_prefix(1);
        return !rest_.empty() && rest_.front() != '#';
    }

    Read<void> take_assignment(Assignment& made) {
        const std::string_view whole = rest_;
        const auto unknown = [&] {
            return Problem{
                fmt::format("'{}' is not an assignment, and is not executed; write NAME=VALUE or "
                            "NAME[NUMBER]=VALUE",
                            printable(trimmed(whole)))};
        };
        made.name = take_name();
        if (made.name.empty()) return unknown();
        if (take('[')) {
            auto index = take_index(made.name);
            if (!index) return Problem{index.error()};
            made.index = *index;
        }
        if (!take('=')) return unknown();
        made.refused = true;
        if (rest_.starts_with('('))
            return Problem{
                fmt::format("{}: the form NAME=(...) is not read; write {}[0]=VALUE and so on, each "
                            "on a line of its own",
                            made.name, made.name)};
        auto value = take_value();
        if (!value) return Problem{fmt::format("{}: {}", made.name, value.error())};
        made.value = *std::move(value);
        made.refused = false;
        return {};
    }

private:
    bool take(char wanted) {
        if (!rest_.starts_with(wanted)) return false;
        rest_.remove_prefix(1);
        return true;
    }

    std::string take_name() {
        std::size_t length = 0;
        while (length < rest_.size() && (is_letter(rest_[length]) || (length > 0 && is_digit(rest_[length]))))
            ++length;
        const std::string_view name = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return std::string(name);
    }

    Read<unsigned> take_index(std::string_view name) {
        const std::size_t end = rest_.find(']');
        const std::string_view text = rest_.substr(0, end);
        const auto index = number_of<unsigned>(text);
        const bool octal = text.size() > 1 && text.starts_with('0');  // to the shell
        if (end == std::string_view::npos || !index || octal || *index > highest_array_index)
            return Problem{fmt::format("{}[{}: the index must be a number from 0 to {}, and ]", name,
                                       printable(text), highest_array_index)};
        rest_.remove_prefix(end + 1);
        return *index;
    }

    // Takes a word up to a blank, ";" or the end of the line.
    Read<std::string> take_value() {
        std::string value;
        if (rest_.starts_with('~')) return Problem{"~ is not replaced by a folder; write the path itself"};
        while (!rest_.empty() && !is_space(rest_.front()) && rest_.front() != ';')
            if (auto taken = take_piece(value); !taken) return Problem{taken.error()};
        return value;
    }

    // Takes a quoted piece or a character.
    Read<void> take_piece(std::string& value) {
        constexpr std::string_view operators = "&|()<>";
        const char first = rest_.front();
        rest_.remove_prefix(1);
        if (first == '\'') return take_single_quoted(value);
        if (first == '"') return take_double_quoted(value);
        if (first == '\\') return take_escaped(value);
        if (first == '$' || first == '`') return Problem{std::string(no_expansion)};
        if (operators.find(first) != std::string_view::npos)
            return Problem{fmt::format("{} is an operator of the shell; quote the value", first)};
        value += first;
        return {};
    }

    Read<void> take_escaped(std::string& value) {
        if (rest_.empty()) return Problem{"\\ at the end of the line; write the value on one line"};
        value += rest_.front();
        rest_.remove_prefix(1);
        return {};
    }

    Read<void> take_single_quoted(std::string& value) {
        const std::size_t end = rest_.find('\'');
        if (end == std::string_view::npos) return unclosed('\'');
        value += rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return {};
    }

    Read<void> take_double_quoted(std::string& value) {
        constexpr std::string_view escapable = "\\\"$`";
        while (!rest_.empty()) {
            const char next = rest_.front();
            rest_.remove_prefix(1);
            if (next == '"') return {};
            if (next == '$' || next == '`') return Problem{std::string(no_expansion)};
            const bool escapes =
                next == '\\' && !rest_.empty() && escapable.find(rest_.front()) != std::string_view::npos;
            value += escapes ? rest_.front() : next;
            if (escapes) rest_.remove_prefix(1);
        }
        return unclosed('"');
    }

    static Problem unclosed(char quote) {
        return Problem{
            fmt::format("{} is not closed on its line; close it, or write the value on one line", quote)};
    }

    std::string_view rest_;
};

void read_line(Assignments& read, const FilePosition& position, std::string_view line) {
    if (line.size() > longest_script_line) {
        read.errors.push_back(
            {position, fmt::format("longer than {} bytes; shorten the line", longest_script_line)});
        return;
    }
    LineScanner scanner(line);
    while (scanner.skip_to_word()) {
        Assignment assignment;
        assignment.position = position;
        const auto taken = scanner.take_assignment(assignment);
        if (!taken) read.errors.push_back({position, taken.error()});
        if (taken || assignment.refused) read.all.push_back(std::move(assignment));
        if (!taken) return;
    }
}

}  // namespace

Assignments read_assignments(std::string_view file, std::string_view text) {
    Assignments read;
    for (FilePosition position{std::string(file), 1}; !text.empty(); ++position.line) {
        std::string_view line = take_line(text);
        if (line.ends_with('\r')) line.remove_suffix(1);
        read_line(read, position, line);
    }
    return read;
}

}  // namespace holdfast::client
