// Writes the URI form of nbdroot=, which is unambiguous for every name of an export.

#include "netboot/loader/kernel_words.hh"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"
#include "common/text/utf8.hh"
#include "common/text/words.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

constexpr std::string_view letters_and_digits =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool consists_of(std::string_view word, std::string_view others) {
    return std::ranges::all_of(word,
                               [&](char c) { return letters_and_digits.contains(c) || others.contains(c); });
}

std::string percent_encoded(std::string_view name) {
    std::string text;
    for (const char c : name) {
        if (letters_and_digits.contains(c) || std::string_view("-._~/").contains(c))
            text += c;
        else
            text += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
    return text;
}

bool has_ip_word(std::string_view words) {
    return std::ranges::any_of(words_of(words),
                               [](std::string_view word) { return word.starts_with("ip="); });
}

}  // namespace

Read<std::string> read_append(std::string_view text) {
    std::string joined;
    if (text.find_first_of("\n\r") != std::string_view::npos)
        return unexpected("--append: the words contain a line break; write them in one line");
    for (const std::string_view word : words_of(text)) {
        for (const char c : word)
            if (!consists_of({&c, 1}, "._-+,:;=/@%~^*!?()[]<>&|#"))
                return unexpected(fmt::format("--append: {}: loaders disagree on the character {}; omit it",
                                              printable(word), printable({&c, 1})));
        if (std::ranges::none_of(word, [](char c) { return letters_and_digits.contains(c); }) &&
            word != "---")
            return unexpected(
                fmt::format("--append: {}: loaders take this word as a command; omit it", printable(word)));
        for (const std::string_view ours : {"root=", "nbdroot=", "BOOTIF="})
            if (word.starts_with(ours))
                return unexpected(
                    fmt::format("--append: {}: the command generates {}; use --root, --server and --export",
                                printable(word), ours));
        joined += (joined.empty() ? "" : " ") + std::string(word);
    }
    return joined;
}

Read<std::string> read_console(std::string_view word) {
    if (word.starts_with("/dev/")) word.remove_prefix(5);
    const bool good = !word.empty() && letters_and_digits.contains(word[0]) && consists_of(word, ",");
    if (!good)
        return unexpected(fmt::format(
            "--console {}: invalid console; write for example ttyS0 or ttyS0,115200", printable(word)));
    return std::string(word);
}

std::optional<SerialLine> serial_line_of(std::string_view console) {
    if (!console.starts_with("ttyS")) return std::nullopt;
    console.remove_prefix(4);
    const auto port = number_of<unsigned>(take_until(console, ','));
    if (!port || *port > 3) return std::nullopt;
    const std::string_view digits = console.substr(0, console.find_first_not_of("0123456789"));
    return SerialLine{*port, number_of<unsigned>(digits).value_or(115200)};
}

Read<std::string> read_server(std::string_view word) {
    const bool good = !word.empty() && word[0] != ':' && consists_of(word, ".-:[]%");
    const bool bare_v6 = !word.contains('[') && std::ranges::count(word, ':') > 1;
    if (!good)
        return unexpected(fmt::format(
            "--server {}: invalid address; write for example 192.0.2.1, 192.0.2.1:10809 or [2001:db8::1]",
            printable(word)));
    return bare_v6 ? fmt::format("[{}]", word) : std::string(word);
}

Read<std::string> read_export(std::string_view word) {
    if (word.empty() || !is_printable(word))
        return unexpected(
            fmt::format("--export {}: invalid name of an export; use one that `holdfast-client list` "
                        "of the server shows",
                        printable(word)));
    return std::string(word);
}

Read<std::string> read_root(std::string_view word) {
    if (word.empty() || !consists_of(word, "/=-_.,:+"))
        return unexpected(fmt::format(
            "--root {}: invalid device; write for example /dev/nbd0p1 or /dev/vg0/root", printable(word)));
    return std::string(word);
}

std::string command_line_of(const KernelWords& words) {
    std::string text = fmt::format("root={} nbdroot=nbd://{}/{}", words.root, words.server,
                                   percent_encoded(words.export_name));
    if (!has_ip_word(words.append)) text += " ip=dhcp";
    for (const std::string& console : words.consoles) text += " console=" + console;
    if (!words.append.empty()) text += " " + words.append;
    return text;
}

}  // namespace holdfast::netboot
