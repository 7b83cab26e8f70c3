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

// Error unless all loaders hand on the word unchanged, and the command generates none of this name.
Read<void> check_appended(std::string_view word) {
    for (const char c : word)
        if (!consists_of({&c, 1}, "._-+,:;=/@%~^*!?()[]<>&|#"))
            return unexpected(
                fmt::format("loaders disagree on the character {}; omit it", printable({&c, 1})));
    if (word.starts_with('#'))
        return unexpected("iPXE takes this word and all after it as a comment; omit it");
    if (std::ranges::none_of(word, [](char c) { return letters_and_digits.contains(c); }) && word != "---")
        return unexpected("loaders take this word as a command; omit it");
    for (const std::string_view ours : {"root=", "nbdroot=", "BOOTIF="})
        if (word.starts_with(ours))
            return unexpected(
                fmt::format("the command generates {}; use --root, --server and --export", ours));
    for (const std::string_view theirs : {"initrd=", "BOOT_IMAGE="})
        if (word.starts_with(theirs))
            return unexpected(
                fmt::format("loaders use {} for files of theirs; omit it, and name the initramfs "
                            "with --initrd",
                            theirs));
    return {};
}

// A name or an IPv4 address; between brackets an IPv6 address, whose zone may be named.
bool is_server_host(std::string_view host, bool in_brackets) {
    if (!in_brackets)
        return !host.empty() && letters_and_digits.contains(host[0]) && consists_of(host, ".-_");
    const std::string_view address = take_until(host, '%');
    return address.contains(':') &&
           address.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos &&
           consists_of(host, "._-");
}

// Empty, or a colon and a port.
bool is_port(std::string_view text) {
    if (text.empty()) return true;
    const auto number = number_of<unsigned>(text.substr(1));
    return text[0] == ':' && number && *number >= 1 && *number <= 65535;
}

// HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT.
bool is_server(std::string_view text) {
    const bool in_brackets = text.starts_with('[');
    const std::size_t end = in_brackets ? text.find(']') : std::min(text.find(':'), text.size());
    if (end == std::string_view::npos) return false;
    return is_server_host(text.substr(0, end).substr(in_brackets ? 1 : 0), in_brackets) &&
           is_port(text.substr(in_brackets ? end + 1 : end));
}

// The percent sign of a zone, as a URI has it.
std::string server_in_uri(std::string_view server) {
    const std::size_t percent = server.find('%');
    if (percent == std::string_view::npos) return std::string(server);
    return fmt::format("{}%25{}", server.substr(0, percent), server.substr(percent + 1));
}

}  // namespace

Read<std::string> read_append(std::string_view text) {
    std::string joined;
    if (text.find_first_of("\n\r") != std::string_view::npos)
        return unexpected("--append: the words contain a line break; write them in one line");
    for (const std::string_view word : words_of(text)) {
        if (const auto checked = check_appended(word); !checked)
            return unexpected(fmt::format("--append: {}: {}", printable(word), checked.error()));
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
    const bool bare_v6 = !word.contains('[') && std::ranges::count(word, ':') > 1;
    std::string full = bare_v6 ? fmt::format("[{}]", word) : std::string(word);
    if (!is_server(full))
        return unexpected(fmt::format(
            "--server {}: invalid address; write for example 192.0.2.1, 192.0.2.1:10809 or [2001:db8::1]",
            printable(word)));
    return full;
}

Read<std::string> read_export(std::string_view word) {
    if (word.empty() || !is_printable(word))
        return unexpected(
            fmt::format("--export {}: invalid name of an export; use one that `holdfast-client list` "
                        "of the server shows",
                        printable(word)));
    if (trimmed(word) != word)
        return unexpected(fmt::format(
            "--export \"{}\": the name begins or ends with a blank, which is lost in files of settings; "
            "omit it, or rename the export",
            printable(word)));
    return std::string(word);
}

Read<std::string> read_root(std::string_view word) {
    if (word.empty() || !consists_of(word, "/=-_.,:+"))
        return unexpected(fmt::format(
            "--root {}: invalid device; write for example /dev/nbd0p1 or /dev/vg0/root", printable(word)));
    return std::string(word);
}

bool has_separator(std::string_view words) { return std::ranges::count(words_of(words), "---") != 0; }

std::string xen_words_of(const std::vector<std::string>& consoles, const std::string& append) {
    std::string text;
    for (const std::string& console : consoles) {
        const auto serial = serial_line_of(console);
        if (!serial) continue;
        text = fmt::format("com{0}={1},8n1 console=com{0},vga", serial->port + 1, serial->speed);
        break;
    }
    if (!append.empty()) text += (text.empty() ? "" : " ") + append;
    return text;
}

bool keeps_changes_in_memory(std::string_view words) {
    bool overlay = false;
    bool to_ram = false;
    for (const std::string_view word : words_of(words)) {
        if (word == "--") break;  // the rest is for init
        if (word.starts_with("holdfast.overlay=")) overlay = true;
        if (word == "holdfast.toram" || word.starts_with("holdfast.toram="))
            to_ram = !word.ends_with("=0") && !word.ends_with("=no") && !word.ends_with("=false");
    }
    return overlay || to_ram;
}

std::string command_line_of(const KernelWords& words) {
    std::string text = fmt::format("root={} nbdroot=nbd://{}/{}", words.root, server_in_uri(words.server),
                                   percent_encoded(words.export_name));
    if (!has_ip_word(words.append)) text += " ip=dhcp";
    if (words.shared) text += " ro";
    if (words.shared && !keeps_changes_in_memory(words.append)) text += " holdfast.overlay=RAM";
    for (const std::string& console : words.consoles)
        text += " console=" + (words.xen && serial_line_of(console) ? "hvc0" : console);
    if (!words.append.empty()) text += " " + words.append;
    return text;
}

}  // namespace holdfast::netboot
