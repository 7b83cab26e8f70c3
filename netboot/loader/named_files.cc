// Reads as much of the three languages as it takes to find names of files.

#include "netboot/loader/named_files.hh"

#include <algorithm>
#include <initializer_list>
#include <ranges>

#include "common/text/text.hh"
#include "common/text/words.hh"

namespace holdfast::netboot {
namespace {

using Names = std::vector<std::string>;

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, word) != words.end();
}

std::string lower(std::string_view word) {
    std::string text(word);
    std::ranges::transform(text, text.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return text;
}

// Adds a name unless only the loader can tell which file it means. `folder`: of relative names.
void add(Names& names, std::string_view name, std::string_view folder = "") {
    for (const std::string_view elsewhere : {"$", "::", "://", "..", "(", "'", "\""})
        if (name.contains(elsewhere)) return;
    std::string path = name.starts_with('/') ? "" : std::string(folder);
    name.remove_prefix(std::min(name.find_first_not_of('/'), name.size()));
    if (!name.empty()) names.push_back(path + std::string(name));
}

void add_list(Names& names, std::string_view list) {
    while (!list.empty()) add(names, take_until(list, ','));
}

// The words of APPEND. For mboot.c32: a file at the start and after each "---".
void take_pxelinux_words(Names& names, std::string_view words, bool is_mboot) {
    constexpr std::string_view initrd = "initrd=";
    bool is_file = is_mboot;
    for (const std::string_view word : words_of(words)) {
        if (word.starts_with(initrd)) add_list(names, word.substr(initrd.size()));
        if (is_file) add(names, word);
        is_file = is_mboot && word == "---";
    }
}

Names names_of_pxelinux(std::string_view text) {
    Names names;
    bool is_mboot = false;
    while (!text.empty()) {
        std::string_view rest = take_line(text);
        const std::string key = lower(take_word(rest));
        const std::string_view value = trimmed(rest);
        if (is_one_of(key, {"kernel", "linux", "com32", "boot", "config"})) {
            add(names, value.substr(0, value.find(' ')));
            is_mboot = value.contains("mboot.c32");
        } else if (key == "initrd") {
            add_list(names, value);
        } else if (key == "append") {
            take_pxelinux_words(names, value, is_mboot);
        }
    }
    return names;
}

// Reads GRUB's commands in order.
class GrubNames {
public:
    void take_line(std::string_view line);
    Names names;

private:
    void take_command(std::string_view command);

    // Between each pair of braces, the outermost first: true once absolute names are of another device.
    std::vector<bool> elsewhere_{false};
};

// True for a command after which GRUB takes names from another device.
bool changes_device(const std::vector<std::string_view>& words) {
    return words[0] == "search" || words[0].starts_with("search.") || words[0].starts_with("root=") ||
           (words.size() > 1 && words[0] == "set" && words[1].starts_with("root="));
}

std::string_view without_quotes(std::string_view word) {
    if (word.size() < 2 || !is_one_of(word.substr(0, 1), {"'", "\""}) || word.back() != word[0]) return word;
    return word.substr(1, word.size() - 2);
}

void GrubNames::take_command(std::string_view command) {
    const auto words = words_of(command);
    if (words.empty()) return;
    if (changes_device(words)) elsewhere_.back() = true;
    const bool takes_all = words[0].starts_with("initrd");
    const bool takes_one =
        is_one_of(words[0], {"linux", "linux16", "linuxefi", "multiboot", "multiboot2", "module", "module2",
                             "xen_hypervisor", "xen_module", "chainloader", "configfile", "source"});
    if (elsewhere_.back() || (!takes_all && !takes_one)) return;
    for (std::string_view word : words | std::views::drop(1)) {
        if (word.starts_with('-')) continue;
        word = without_quotes(word);
        if (word.starts_with('/')) add(names, word);
        if (takes_one) return;
    }
}

void GrubNames::take_line(std::string_view line) {
    // Commands end at ; and braces, unless these are in quotes.
    char quote = '\0';
    std::size_t begin = 0;
    for (std::size_t at = 0; at < line.size(); ++at) {
        const char c = line[at];
        if (quote != '\0') {
            quote = c == quote ? '\0' : quote;
        } else if (c == '\'' || c == '"') {
            quote = c;
        } else if (c == ';' || c == '{' || c == '}') {
            take_command(line.substr(begin, at - begin));
            begin = at + 1;
            if (c == '{') elsewhere_.push_back(elsewhere_.back());
            if (c == '}' && elsewhere_.size() > 1) elsewhere_.pop_back();
        }
    }
    take_command(line.substr(begin));
}

Names names_of_grub(std::string_view text) {
    GrubNames grub;
    while (!text.empty()) {
        const std::string_view line = trimmed(take_line(text));
        if (!line.starts_with('#')) grub.take_line(line);
    }
    return grub.names;
}

Names names_of_ipxe(std::string_view path, std::string_view text) {
    Names names;
    const std::string_view folder = path.substr(0, path.find('/') + 1);
    while (!text.empty()) {
        const auto words = words_of(take_line(text));
        if (words.empty() || !is_one_of(words[0], {"kernel", "initrd", "module", "chain", "imgfetch"}))
            continue;
        for (std::size_t at = 1; at < words.size(); ++at) {
            if (is_one_of(words[at], {"--name", "-n", "--timeout", "-t"}))
                ++at;
            else if (!words[at].starts_with('-')) {
                add(names, words[at], folder);
                break;
            }
        }
    }
    return names;
}

}  // namespace

bool is_loader_text(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    return path == "boot.ipxe" || path.starts_with("pxelinux.cfg/") ||
           (path.starts_with("grub/") && (name.starts_with("grub.cfg") || name.ends_with(".cfg"))) ||
           (path.starts_with("ipxe/") && name.ends_with(".ipxe"));
}

std::vector<std::string> files_named_in(std::string_view path, std::string_view text) {
    if (!is_loader_text(path)) return {};
    if (path.starts_with("pxelinux.cfg/")) return names_of_pxelinux(text);
    return path.starts_with("grub/") ? names_of_grub(text) : names_of_ipxe(path, text);
}

}  // namespace holdfast::netboot
