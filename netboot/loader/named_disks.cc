// Reads nbdroot= and holdfast.disk= as holdfast-client(8) documents them, and the root=nbd: and netroot=nbd:
// of dracut. No form of a disk may be missed; a form that is read in one way too many costs a refusal.

#include "netboot/loader/named_disks.hh"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "common/text/number.hh"
#include "common/text/text.hh"
#include "common/text/words.hh"
#include "netboot/loader/kernel_words.hh"

namespace holdfast::netboot {
namespace {

using Names = std::vector<std::string>;

std::string percent_decoded(std::string_view text) {
    std::string decoded;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const std::string_view digits = text.substr(at + 1).substr(0, 2);
        const bool is_code =
            text[at] == '%' && digits.size() == 2 &&
            std::ranges::all_of(digits, [](unsigned char c) { return std::isxdigit(c) != 0; });
        if (is_code) {
            decoded += static_cast<char>(std::stoi(std::string(digits), nullptr, 16));
            at += 2;
        } else {
            decoded += text[at];
        }
    }
    return decoded;
}

// Removes and returns the server at the start: up to a comma, slash or colon, but with all of an IPv6
// address, and with a port that a slash follows.
std::string take_server(std::string_view& rest) {
    std::size_t end = rest.find_first_of(",/:");
    const std::string_view first_field = rest.substr(0, rest.find_first_of(",/"));
    const std::string_view address = first_field.substr(0, first_field.find('%'));  // without the interface
    const bool bare_v6 = !rest.starts_with('[') && std::ranges::count(address, ':') > 1 &&
                         address.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
    if (rest.starts_with('[')) end = rest.find(']') == std::string_view::npos ? end : rest.find(']') + 1;
    if (bare_v6) end = first_field.size();
    std::string server(rest.substr(0, end));
    rest.remove_prefix(std::min(end, rest.size()));
    if (bare_v6) return "[" + server + "]";
    const std::string_view port = rest.substr(0, rest.find('/'));
    if (port.size() < rest.size() && port.starts_with(':') && number_of<unsigned>(port.substr(1))) {
        server += port;
        rest.remove_prefix(port.size());
    }
    return server;
}

// The fields between commas and colons.
Names fields_of(std::string_view text) {
    Names fields;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(",:"), text.size());
        if (end != 0) fields.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return fields;
}

// True for a server that the client gets from DHCP, or the loader from a variable.
bool is_any_server(std::string_view server) {
    const std::string_view host = server.substr(0, server.find(':'));
    return host.empty() || host == "dhcp" || server.contains('$');
}

// The query has no effect on the name.
NamedDisk disk_of_uri(std::string_view rest) {
    rest = rest.substr(0, rest.find('?'));
    const std::string server = percent_decoded(take_until(rest, '/'));
    const std::string_view plain = rest.substr(0, rest.find(','));
    return {.servers = {server},
            .exports = {percent_decoded(rest), percent_decoded(plain)},
            .is_any_server = server.contains('$'),
            .may_be_default = plain.empty()};
}

// True if the words after the server name no export: the first of them that is no port may be a device.
bool may_be_default(const Names& fields) {
    const auto word = std::ranges::find_if(
        fields, [](const std::string& field) { return !number_of<unsigned>(field).has_value(); });
    return word == fields.end() || word->starts_with("nbd") || word->starts_with("/dev/nbd");
}

NamedDisk disk_of(std::string_view value) {
    if (value.starts_with("nbd://")) return disk_of_uri(value.substr(6));
    if (value.starts_with("nbd:")) value.remove_prefix(4);
    const std::string server = take_server(value);
    NamedDisk disk{.servers = {server}, .exports = fields_of(value), .is_any_server = is_any_server(server)};
    disk.may_be_default = may_be_default(disk.exports);
    for (const std::string& field : Names(disk.exports)) {
        if (number_of<unsigned>(field)) disk.servers.push_back(fmt::format("{}:{}", server, field));
        if (field.starts_with('/')) disk.exports.push_back(field.substr(1));
    }
    if (value.starts_with('/')) disk.exports.emplace_back(value.substr(1));
    return disk;
}

// A blank in quotes, which ends no word.
constexpr char held_blank = '\1';

std::string with_blanks(std::string text) {
    std::ranges::replace(text, held_blank, ' ');
    return text;
}

// Splits a loader's text into commands, without comments and quotes: GRUB removes its own, and the kernel and
// the client the double quotes that other loaders hand on. Blanks in quotes are held, but not in a text that
// GRUB takes apart later.
class Commands {
public:
    explicit Commands(std::string_view path)
        : is_grub_(path.starts_with("grub/")), is_pxelinux_(path.starts_with("pxelinux.cfg/")) {}

    Names split(std::string text) {
        if (!is_pxelinux_)
            for (std::size_t at = 0; (at = text.find("\\\n", at)) != std::string::npos;)
                text.replace(at, 2, "  ");
        for (const char c : text) take(c);
        end_command();
        return std::move(commands_);
    }

private:
    void take(char c) {
        if (in_comment_ && c != '\n') return;
        if (std::exchange(is_escaped_, false))
            take_escaped(c);
        else if (is_grub_ && c == '\\' && quote_ != '\'')
            is_escaped_ = true;
        else if (quote_ != '\0' && (is_grub_ || c != '\n'))
            take_quoted(c);
        else
            take_plain(c);
    }

    void take_plain(char c) {
        if (is_quote(c))
            quote_ = c;
        else if (ends_command(c))
            end_command();
        else if (c == '#' && begins_comment())
            in_comment_ = true;
        else
            command_ += c;
    }

    void take_escaped(char c) {
        if (!is_quote(c)) command_ += c;
    }

    void take_quoted(char c) {
        if (c == quote_)
            quote_ = '\0';
        else
            command_ += is_blank(c) ? held_blank : c;
    }

    [[nodiscard]] bool is_quote(char c) const { return c == '"' || (is_grub_ && c == '\''); }

    [[nodiscard]] bool ends_command(char c) const {
        return c == '\n' || (is_grub_ && std::string_view(";{}").contains(c) && !is_of_variable(c));
    }

    // True for the braces of "${name}".
    [[nodiscard]] bool is_of_variable(char c) const {
        if (c == '{') return command_.ends_with('$');
        const std::size_t begin = command_.rfind("${");
        return c == '}' && begin != std::string::npos &&
               command_.find_first_of("} ", begin) == std::string::npos;
    }

    [[nodiscard]] bool begins_comment() const {
        return is_pxelinux_ ? trimmed(command_).empty() : command_.empty() || is_blank(command_.back());
    }

    void end_command() {
        if (is_grub_ && is_taken_apart_later()) command_ = with_blanks(std::move(command_));
        std::string joined;
        for (const std::string_view word : words_of(command_)) {
            if (word == "||" || word == "&&")
                commands_.push_back(std::exchange(joined, ""));
            else
                joined += std::string(word) + " ";
        }
        commands_.push_back(std::move(joined));
        command_.clear();
        in_comment_ = false;
        quote_ = '\0';
    }

    [[nodiscard]] bool is_taken_apart_later() const {
        const auto words = words_of(command_);
        return !words.empty() && (words[0] == "set" || words[0] == "eval" || words[0].contains('='));
    }

    bool is_grub_;
    bool is_pxelinux_;
    char quote_ = '\0';
    bool is_escaped_ = false;
    bool in_comment_ = false;
    std::string command_;
    Names commands_;
};

// Value of a word that names the disk; empty for other words.
std::string_view disk_in(std::string_view word) {
    constexpr std::string_view further = "holdfast.disk=";
    if (const std::size_t at = word.find(further); at != std::string_view::npos) {
        std::string_view value = word.substr(at + further.size());
        take_until(value, '=');  // the device
        return value;
    }
    const std::size_t at = word.find("root=");
    if (at == std::string_view::npos) return {};
    const std::string_view value = word.substr(at + 5);
    return word.substr(0, at).ends_with("nbd") || value.starts_with("nbd:") ? value : std::string_view();
}

}  // namespace

std::vector<NamedDisk> disks_named_in(std::string_view path, std::string_view text) {
    std::vector<NamedDisk> disks;
    for (const std::string& command : Commands(path).split(std::string(text))) {
        for (const std::string_view word : words_of(command)) {
            const std::string_view value = disk_in(word);
            if (value.empty()) continue;
            disks.push_back(disk_of(with_blanks(std::string(value))));
            disks.back().writes = !keeps_changes_in_memory(command);
        }
    }
    return disks;
}

}  // namespace holdfast::netboot
