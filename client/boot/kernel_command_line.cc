// Follows next_arg() in the kernel's lib/cmdline.c: a quote anywhere keeps blanks, but is removed only at the
// beginning and end of the word or its value.

#include "client/boot/kernel_command_line.hh"

#include <algorithm>
#include <optional>

#include "common/text/words.hh"

namespace holdfast::client {
namespace {

// Removes and returns the next word, with its quotes; nullopt at the end.
std::optional<std::string_view> take_quoted_word(std::string_view& line) {
    const auto* const begin = std::ranges::find_if_not(line, is_blank);
    line.remove_prefix(static_cast<std::size_t>(begin - line.begin()));
    if (line.empty()) return {};
    bool in_quotes = false;
    std::size_t end = 0;
    for (; end < line.size() && (in_quotes || !is_blank(line[end])); ++end)
        if (line[end] == '"') in_quotes = !in_quotes;
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(end);
    return word;
}

// Removes a quote at the beginning; returns whether there was one.
bool remove_opening_quote(std::string_view& text) {
    const bool quoted = text.starts_with('"');
    if (quoted) text.remove_prefix(1);
    return quoted;
}

KernelWord split_word(std::string_view word) {
    bool quoted = remove_opening_quote(word);
    // A '=' at the beginning is part of the key.
    const std::size_t equals = word.find('=', 1);
    const bool has_value = !word.empty() && equals != std::string_view::npos;
    std::string_view key = has_value ? word.substr(0, equals) : word;
    std::string_view value = has_value ? word.substr(equals + 1) : std::string_view{};
    if (remove_opening_quote(value)) quoted = true;
    std::string_view& last = has_value ? value : key;
    if (quoted && last.ends_with('"')) last.remove_suffix(1);
    return {.key = std::string{key}, .value = std::string{value}, .has_value = has_value};
}

}  // namespace

std::vector<KernelWord> split_command_line(std::string_view line) {
    std::vector<KernelWord> words;
    while (const auto quoted = take_quoted_word(line)) {
        KernelWord word = split_word(*quoted);
        if (word.key == "--" && !word.has_value) break;
        words.push_back(std::move(word));
    }
    return words;
}

}  // namespace holdfast::client
