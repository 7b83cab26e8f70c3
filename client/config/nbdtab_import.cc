// A device per line: DEVICE HOST EXPORT [OPTION,...].

#include "client/config/nbdtab_import.hh"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "client/config/shell_assignments.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"
#include "common/text/words.hh"

namespace holdfast::client {
namespace {

void take_nbdtab_option(NbdClientDevice& device, const FilePosition& position, std::string_view option) {
    if (option.empty()) return;
    if (option.starts_with('_')) return device.keep_word(option);  // reserved for other programs by nbdtab(5)
    std::string_view value = option;
    const std::string_view word = take_until(value, '=');
    const NbdClientOption* const known = find_nbdtab_option(word);
    // nbd-client ignores `ro` and `name` in nbdtab.
    if (known == nullptr || word == "ro" || word == "name")
        return device.note(position,
                           fmt::format("option '{}': left out: nbd-client does not know it, and ignores "
                                       "it",
                                       printable(option)));
    device.take_option(position, *known, option,
                       word.size() < option.size() ? std::optional(value) : std::nullopt);
}

void import_nbdtab_line(Import& import, const FilePosition& position, std::string_view line) {
    std::vector<std::string_view> words = words_of(line);
    words.erase(std::ranges::find_if(words, [](std::string_view word) { return word.starts_with('#'); }),
                words.end());
    if (words.empty()) return;
    NbdClientDevice device(import, position, std::string(words[0]));
    if (words.size() < 3)
        return device.error(position, "incomplete line; write DEVICE HOST EXPORT [OPTION,...]");
    if (words.size() > 4)
        return device.error(position, fmt::format("unexpected word '{}'; separate options by commas only",
                                                  printable(words[4])));
    device.set_host(words[1]);
    device.set_name(words[2]);
    if (words.size() == 4)
        for (std::string_view rest = words[3]; !rest.empty();)
            take_nbdtab_option(device, position, take_until(rest, ','));
    device.finish();
}

}  // namespace

void import_nbdtab(Import& import, std::string_view file, std::string_view text) {
    for (FilePosition position{std::string(file), 1}; !text.empty(); ++position.line) {
        const std::string_view line = take_line(text);
        if (line.size() <= longest_script_line) {
            import_nbdtab_line(import, position, line);
        } else {
            import.errors.push_back(
                {position, fmt::format("longer than {} bytes; shorten the line", longest_script_line)});
        }
    }
}

}  // namespace holdfast::client
