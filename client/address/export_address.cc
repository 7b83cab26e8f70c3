// The parser of export_address.hh. Each form has its own function; parse_named_export() only selects the
// form.

#include "client/address/export_address.hh"

#include <algorithm>
#include <charconv>

#include <fmt/core.h>

#include "common/text/printable.hh"
#include "common/text/utf8.hh"

namespace holdfast::client {

namespace {

using Problem = std::unexpected<std::string>;

// Makes an error: the fault and the fix. The caller, which knows the word's origin, prepends the word.
template <typename... Args>
Problem problem(fmt::format_string<Args...> format, Args&&... args) {
    return Problem{fmt::format(format, std::forward<Args>(args)...)};
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool all_digits(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool has_control_character(std::string_view text) {
    for (const char c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
    return false;
}

// Parses a device number without a leading zero: nbd00 is not a device node.
std::optional<std::uint32_t> device_number(std::string_view text, std::uint32_t most) {
    if (!all_digits(text) || (text.size() > 1 && text.front() == '0')) return {};
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > most) return {};
    return value;
}

std::optional<std::uint16_t> port_number(std::string_view text) {
    std::uint16_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (!all_digits(text) || error != std::errc{} || end != text.data() + text.size() || value == 0)
        return {};
    return value;
}

// Splits a text at separators; returns one piece more than there are separators.
std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> words;
    while (true) {
        const std::size_t end = text.find(separator);
        words.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return words;
        text.remove_prefix(end + 1);
    }
}

// Checks for four numbers of 0-255, as accepted by inet_pton().
bool is_ipv4(std::string_view text) {
    const auto numbers = split(text, '.');
    return numbers.size() == 4 &&
           std::ranges::all_of(numbers, [](std::string_view n) { return device_number(n, 255).has_value(); });
}

// Counts groups of up to four hexadecimal digits; 0 for an empty text. An IPv4 address may replace the last
// two groups. Negative if the text is invalid.
int count_groups(std::string_view text) {
    if (text.empty()) return 0;
    const auto groups = split(text, ':');
    int count = 0;
    for (const std::string_view group : groups) {
        const bool last = group.data() == groups.back().data();
        if (last && group.find('.') != std::string_view::npos) {
            if (!is_ipv4(group)) return -1;
            count += 2;
        } else if (group.empty() || group.size() > 4 ||
                   group.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
            return -1;
        } else {
            ++count;
        }
    }
    return count;
}

// Accepts an address with or without a zone: fe80::1%eth0.
bool is_ipv6(std::string_view text) {
    const std::size_t percent = text.find('%');
    if (percent != std::string_view::npos) {
        const std::string_view zone = text.substr(percent + 1);
        if (zone.empty() || zone.size() > 15) return false;  // IFNAMSIZ without its NUL
        for (const char c : zone)
            if (!is_letter(c) && !is_digit(c) && c != '.' && c != '_' && c != '-') return false;
    }
    const std::string_view address = text.substr(0, percent);
    const std::size_t gap = address.find("::");
    if (gap == std::string_view::npos) return count_groups(address) == 8;
    const int before = count_groups(address.substr(0, gap));
    const int after = count_groups(address.substr(gap + 2));
    const bool dots_before_gap = address.substr(0, gap).find('.') != std::string_view::npos;
    return before >= 0 && after >= 0 && before + after <= 7 && !dots_before_gap;
}

// Returns the fault of a host name or IPv4 address; empty if valid. A host of only digits and dots must be an
// IPv4 address: the C library would read 10.1 and 12345 as unintended addresses.
std::string host_problem(std::string_view host) {
    if (host.empty()) return "the server is missing; write a host name or an address before the rest";
    if (host.size() > 253) return "the server's name is longer than 253 characters, which no host name is";
    bool digits_and_dots = true;
    for (const char c : host) {
        if (!is_letter(c) && !is_digit(c) && c != '-' && c != '.' && c != '_')
            return fmt::format(
                "the server '{}' has a character that no host name has; an IPv6 address is written in "
                "brackets, and an export name with such a character goes into a URI, nbd://HOST/NAME",
                printable(host));
        digits_and_dots = digits_and_dots && (is_digit(c) || c == '.');
    }
    if (digits_and_dots && !is_ipv4(host))
        return fmt::format(
            "the server '{}' is not an IPv4 address (four numbers of 0-255 with dots) nor a host name", host);
    if (host.front() == '-' || host.front() == '.')
        return fmt::format("the server '{}' does not begin like a host name", host);
    return {};
}

std::string name_problem(std::string_view name) {
    if (name.size() > longest_export_name)
        return fmt::format("the export name has {} bytes, and NBD allows {}", name.size(),
                           longest_export_name);
    if (has_control_character(name)) return "the export name has a control character";
    return {};
}

std::string port_problem(std::string_view port) {
    return fmt::format("'{}' is not a port (1-65535)", printable(port));
}

// --- server part of a classic form
// ------------------------------------------------------------------------------------

// HOST, HOST:PORT, [V6], [V6]:PORT, empty or `dhcp`; `rest` begins at the first '/' after the server, or at a
// ":/" (NFS style, colon removed).
struct ServerPart {
    std::string host;
    std::optional<std::uint16_t> port;
    bool from_dhcp = false;
    std::string_view rest;
};

// Parses the text after the host: empty, ":/path", ":port", ":port/name", "/name".
std::expected<ServerPart, std::string> parse_after_host(std::string_view host, std::string_view after) {
    ServerPart part{
        .host = std::string{host}, .port = {}, .from_dhcp = host.empty() || host == "dhcp", .rest = after};
    if (part.from_dhcp) part.host.clear();
    if (after.empty() || after.front() == '/') return part;
    if (after.front() != ':')
        return problem("a ':' or a '/' was expected after ']'; write [ADDRESS]:PORT/NAME");
    after.remove_prefix(1);
    const std::size_t slash = after.find('/');
    const std::string_view port = after.substr(0, slash);
    part.rest = slash == std::string_view::npos ? std::string_view{} : after.substr(slash);
    if (port.empty()) return part;
    part.port = port_number(port);
    if (!part.port && !all_digits(port))
        return problem("{}; an export is named after a slash: write {}/{}", port_problem(port),
                       printable(host), printable(port));
    if (!part.port) return problem("{}", port_problem(port));
    return part;
}

std::expected<ServerPart, std::string> parse_server_part(std::string_view text) {
    if (text.starts_with('[')) {
        const std::size_t bracket = text.find(']');
        if (bracket == std::string_view::npos)
            return problem("the '[' is not closed; write [ADDRESS]:PORT/NAME");
        const std::string_view address = text.substr(1, bracket - 1);
        if (!is_ipv6(address)) return problem("'{}' in brackets is not an IPv6 address", printable(address));
        return parse_after_host(address, text.substr(bracket + 1));
    }
    const std::string_view before_slash = text.substr(0, text.find('/'));
    const std::size_t colon = before_slash.find(':');
    if (colon != std::string_view::npos && before_slash.find(':', colon + 1) != std::string_view::npos)
        return problem(
            "an IPv6 address is written in brackets here, because of its colons: "
            "[ADDRESS]:PORT/NAME or [ADDRESS],NAME");
    const std::size_t end = text.find_first_of(":/");
    const std::string_view host = text.substr(0, end);
    if (!host.empty() && host != "dhcp")
        if (const std::string wrong = host_problem(host); !wrong.empty()) return problem("{}", wrong);
    return parse_after_host(host, end == std::string_view::npos ? std::string_view{} : text.substr(end));
}

NamedExport named_by(const ServerPart& part) {
    NamedExport named;
    named.address.host = part.host;
    named.server_from_dhcp = part.from_dhcp;
    named.address.port_given = part.port.has_value();
    named.address.port = part.port.value_or(default_nbd_port);
    return named;
}

// --- SERVER[:PORT]/NAME, SERVER:/NAME, SERVER
// ---------------------------------------------------------------------

std::expected<NamedExport, std::string> parse_slash_form(std::string_view word) {
    const auto part = parse_server_part(word);
    if (!part) return Problem{part.error()};
    NamedExport named = named_by(*part);
    std::string_view name = part->rest;
    // NFS style, `srv:/name` and `/name`: the slash is part of the name, as in Debian's script.
    const bool nfs_style =
        word.starts_with('/') ||
        (!part->port && !name.empty() && word.substr(0, word.size() - name.size()).ends_with(':'));
    if (!nfs_style && name.starts_with('/')) name.remove_prefix(1);
    if (const std::string wrong = name_problem(name); !wrong.empty()) return problem("{}", wrong);
    named.address.export_name = name;
    return named;
}

// --- SERVER,PORT-or-NAME[,...]
// ------------------------------------------------------------------------------------

std::expected<NamedExport, std::string> parse_first_of_commas(std::string_view server) {
    if (server.find('/') != std::string_view::npos)
        return problem(
            "a '/' in the server, before the comma; write SERVER,PORT,NAME[,nbdN], or as a URI "
            "nbd://SERVER:PORT/NAME with %2C for a comma in the name and nbddev= for the device");
    // Needs no brackets around colons, since the comma ends the address.
    if (is_ipv6(server)) {
        NamedExport named;
        named.address.host = server;
        return named;
    }
    const auto part = parse_server_part(server);
    if (!part) return Problem{part.error()};
    return named_by(*part);
}

// Takes the second word: all digits are a port, anything else is a name. Returns whether the third word may
// still be the name.
std::expected<bool, std::string> take_second_word(std::string_view second, NamedExport& named) {
    if (second.empty()) return true;
    if (!all_digits(second)) {
        named.address.export_name = second;
        return false;
    }
    if (named.address.port_given)
        return problem(
            "two ports, {} and {}; an export whose name is only digits is written SERVER,PORT,NAME "
            "or nbd://SERVER:PORT/NAME",
            named.address.port, printable(second));
    const auto port = port_number(second);
    if (!port)
        return problem(
            "{}; an export whose name is only digits is written SERVER,PORT,NAME or nbd://SERVER/NAME",
            port_problem(second));
    named.address.port = *port;
    named.address.port_given = true;
    return true;
}

std::expected<NamedExport, std::string> parse_comma_form(std::string_view word) {
    const std::vector<std::string_view> words = split(word, ',');
    auto named = parse_first_of_commas(words[0]);
    if (!named) return named;
    const auto name_may_follow = take_second_word(words[1], *named);
    if (!name_may_follow) return Problem{name_may_follow.error()};

    std::size_t next = 2;
    if (*name_may_follow && words.size() > next) {
        // SERVER,PORT,nbd1 is Debian's triple and names a device; an export called nbd1 must be followed by
        // its device.
        const bool device_behind = words.size() > next + 1 && parse_nbd_device(words[next + 1]);
        if (device_behind || !parse_nbd_device(words[next])) named->address.export_name = words[next++];
    }
    if (words.size() > next) {
        named->device = parse_nbd_device(words[next]);
        if (named->device || words[next].empty())
            ++next;
        else if (!*name_may_follow && next == 2 && all_digits(words[next]))
            return problem("the port comes before the name; write SERVER,{},{}", words[next],
                           printable(words[1]));
    }
    for (; next < words.size(); ++next)
        if (!words[next].empty()) named->options.emplace_back(words[next]);
    if (const std::string wrong = name_problem(named->address.export_name); !wrong.empty())
        return problem("{}", wrong);
    return named;
}

// --- dracut: nbd:SERVER:PORT-or-NAME[:FSTYPE[:ROOTFLAGS[:OPTIONS]]]
// -----------------------------------------------

// Distinguishes dracut's form, which has a server and a colon: nbd:10809/root and nbd:/root are classic forms
// with a host called nbd.
bool is_dracut_form(std::string_view word) {
    if (!word.starts_with("nbd:")) return false;
    word.remove_prefix(4);
    if (word.starts_with('[')) return true;
    const std::size_t end = word.find_first_of(":/,");
    return end != std::string_view::npos && end != 0 && word[end] == ':';
}

std::expected<NamedExport, std::string> parse_dracut_form(std::string_view word) {
    std::string_view rest = word.substr(4);
    if (rest.starts_with("unix:"))
        return problem("this is qemu's way to name a socket; write nbd+unix:///NAME?socket=PATH");
    std::size_t server_end = rest.find(':');
    if (rest.starts_with('[')) {
        const std::size_t bracket = rest.find(']');
        server_end = bracket == std::string_view::npos ? bracket : rest.find(':', bracket);
    }
    if (server_end == std::string_view::npos)
        return problem("a port or a name is missing; write nbd:SERVER:PORT or nbd:SERVER:NAME");
    const auto part = parse_server_part(rest.substr(0, server_end));
    if (!part) return Problem{part.error()};
    NamedExport named = named_by(*part);

    std::vector<std::string_view> fields = split(rest.substr(server_end + 1), ':');
    fields.resize(fields.size() < 4 ? 4 : fields.size());
    if (const auto taken = take_second_word(fields[0], named); !taken) return Problem{taken.error()};
    if (const std::string wrong = name_problem(named.address.export_name); !wrong.empty())
        return problem("{}", wrong);
    named.fstype = fields[1] == "auto" ? "" : fields[1];
    for (const char c : named.fstype)
        if (!is_letter(c) && !is_digit(c) && c != '_' && c != '.' && c != '-')
            return problem(
                "'{}' is not a type of file system; the form is "
                "nbd:SERVER:PORT[:FSTYPE[:ROOTFLAGS[:OPTIONS]]]",
                printable(fields[1]));
    named.rootflags = fields[2];
    if (has_control_character(named.rootflags) || named.rootflags.find(' ') != std::string::npos)
        return problem("the mount options have a blank or a control character");
    // The options are the last field, and may contain colons.
    const std::string_view options =
        fields[3].empty() ? std::string_view{}
                          : word.substr(static_cast<std::size_t>(fields[3].data() - word.data()));
    for (const std::string_view option : split(options, ','))
        if (!option.empty()) named.options.emplace_back(option);
    return named;
}

// --- URIs
// ---------------------------------------------------------------------------------------------------------

int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::expected<std::string, std::string> percent_decode(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            decoded += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
        const int low = high < 0 ? -1 : hex_value(text[i + 2]);
        if (low < 0)
            return problem(
                "a '%' without two hexadecimal digits after it; a percent sign itself is written %25");
        decoded += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return decoded;
}

struct UriParts {
    std::string_view scheme, authority, path, query;
};

bool looks_like_uri(std::string_view word) {
    const std::size_t colon = word.find("://");
    if (colon == std::string_view::npos || colon == 0) return false;
    for (const char c : word.substr(0, colon))
        if (!is_letter(c) && !is_digit(c) && c != '+' && c != '.' && c != '-') return false;
    return true;
}

UriParts split_uri(std::string_view uri) {
    UriParts parts;
    const std::size_t colon = uri.find("://");
    parts.scheme = uri.substr(0, colon);
    uri.remove_prefix(colon + 3);
    if (const std::size_t question = uri.find('?'); question != std::string_view::npos) {
        parts.query = uri.substr(question + 1);
        uri = uri.substr(0, question);
    }
    const std::size_t slash = uri.find('/');
    parts.authority = uri.substr(0, slash);
    if (slash != std::string_view::npos) parts.path = uri.substr(slash);
    return parts;
}

std::string scheme_problem(std::string_view scheme) {
    if (scheme == "nbd" || scheme == "nbd+unix") return {};
    if (scheme == "nbds" || scheme == "nbds+unix")
        return "TLS is not supported yet; use nbd:// on a network that you trust";
    if (scheme == "nbd+vsock" || scheme == "nbds+vsock")
        return "vsock is not supported; use nbd:// or nbd+unix://";
    return fmt::format(
        "'{}' is not a scheme of NBD; write nbd://HOST[:PORT]/NAME or nbd+unix:///NAME?socket=PATH",
        printable(scheme));
}

// Sets the socket; no other parameter is supported.
std::expected<void, std::string> take_query(std::string_view query, ServerAddress& address) {
    for (const std::string_view parameter : split(query, '&')) {
        if (parameter.empty()) continue;
        const std::string_view key = parameter.substr(0, parameter.find('='));
        if (key.starts_with("tls-")) return problem("'{}': TLS is not supported yet", printable(key));
        if (key != "socket")
            return problem("the parameter '{}' is not known; only socket= is", printable(key));
        if (address.kind != ServerAddress::Kind::unix_socket)
            return problem("socket= goes with nbd+unix://, not with nbd://");
        if (!address.socket_path.empty()) return problem("socket= is given twice");
        auto path =
            percent_decode(parameter.substr(key.size() < parameter.size() ? key.size() + 1 : key.size()));
        if (!path) return Problem{path.error()};
        address.socket_path = *std::move(path);
    }
    return {};
}

std::string socket_problem(const std::string& path) {
    if (path.empty()) return "the socket is missing; write nbd+unix:///NAME?socket=PATH";
    if (path.front() != '/') return "the socket's path must begin with '/'";
    if (path.size() > longest_socket_path)
        return fmt::format("the socket's path is longer than {} bytes, which no UNIX socket's is",
                           longest_socket_path);
    if (has_control_character(path)) return "the socket's path has a control character";
    return {};
}

std::expected<void, std::string> take_authority(std::string_view authority, ServerAddress& address) {
    if (authority.find('@') != std::string_view::npos)
        return problem("NBD has no user names; leave out what is before the '@'");
    std::string_view port;
    std::string_view host = authority;
    const bool brackets = authority.starts_with('[');
    const std::size_t host_end = brackets ? authority.find(']') : authority.find(':');
    if (brackets && host_end == std::string_view::npos)
        return problem("the '[' is not closed; write nbd://[ADDRESS]:PORT/NAME");
    if (host_end != std::string_view::npos) {
        host = authority.substr(0, host_end + (brackets ? 1 : 0));
        port = authority.substr(host.size());
    }
    auto decoded = percent_decode(brackets ? host.substr(1, host.size() - 2) : host);
    if (!decoded) return Problem{decoded.error()};
    if (!brackets && port.find(':', 1) != std::string_view::npos)
        return problem("an IPv6 address is written in brackets: nbd://[ADDRESS]:PORT/NAME");
    if (brackets && !is_ipv6(*decoded))
        return problem("'{}' in brackets is not an IPv6 address", printable(*decoded));
    if (const std::string wrong = brackets ? "" : host_problem(*decoded); !wrong.empty())
        return problem("{}", wrong);
    address.host = *std::move(decoded);
    if (port.empty()) return {};
    const auto number = port_number(port.substr(1));
    if (port.front() != ':' || !number)
        return problem("{}", port_problem(port.front() == ':' ? port.substr(1) : port));
    address.port = *number;
    address.port_given = true;
    return {};
}

void append_encoded(std::string& uri, std::string_view text, std::string_view plain) {
    for (const char c : text)
        if (is_letter(c) || is_digit(c) || plain.find(c) != std::string_view::npos)
            uri += c;
        else
            uri += fmt::format("%{:02X}", static_cast<unsigned char>(c));
}

std::expected<ServerAddress, std::string> read_uri(std::string_view uri) {
    if (!looks_like_uri(uri))
        return problem("this is not a URI; write nbd://HOST[:PORT]/NAME or nbd+unix:///NAME?socket=PATH");
    const UriParts parts = split_uri(uri);
    if (const std::string wrong = scheme_problem(parts.scheme); !wrong.empty()) return problem("{}", wrong);
    if (uri.find('#') != std::string_view::npos)
        return problem("a URI's '#' part has no meaning here; a '#' in a name is written %23");

    ServerAddress address;
    address.kind = parts.scheme == "nbd" ? ServerAddress::Kind::tcp : ServerAddress::Kind::unix_socket;
    if (const auto taken = take_query(parts.query, address); !taken) return Problem{taken.error()};
    if (address.kind == ServerAddress::Kind::tcp) {
        if (const auto taken = take_authority(parts.authority, address); !taken)
            return Problem{taken.error()};
    } else if (!parts.authority.empty()) {
        return problem("a UNIX socket has no host; write nbd+unix:///NAME?socket=PATH with three slashes");
    } else if (const std::string wrong = socket_problem(address.socket_path); !wrong.empty()) {
        return problem("{}", wrong);
    }
    // Removes the slash between host and name; the rest is the name, including slashes (NBD URI, "Export
    // name").
    auto name = percent_decode(parts.path.empty() ? parts.path : parts.path.substr(1));
    if (!name) return Problem{name.error()};
    if (const std::string wrong = name_problem(*name); !wrong.empty()) return problem("{}", wrong);
    address.export_name = *std::move(name);
    return address;
}

std::expected<ServerAddress, std::string> read_server_address(std::string_view word) {
    auto named = parse_named_export(word);
    if (!named) return Problem{named.error()};
    if (named->all_from_dhcp || named->server_from_dhcp)
        return problem("the server is missing; only `boot` can ask DHCP for it");
    if (named->device || !named->options.empty() || !named->fstype.empty() || !named->rootflags.empty())
        return problem(
            "only the kernel command line takes a device and options in this word; name the export "
            "alone here, and give each of them by itself");
    return named->address;
}

// Prepends the word to the error.
std::expected<ServerAddress, std::string> with_word(std::string_view word,
                                                    std::expected<ServerAddress, std::string> read) {
    if (read) return read;
    return problem("'{}': {}", printable(word), read.error());
}

}  // namespace

std::expected<NamedExport, std::string> parse_named_export(std::string_view word) {
    NamedExport named;
    if (word.empty() || word == "dhcp") {
        named.all_from_dhcp = true;
        return named;
    }
    if (has_control_character(word)) return problem("it has a control character");
    if (looks_like_uri(word)) {
        auto address = read_uri(word);
        if (!address) return Problem{address.error()};
        named.address = *std::move(address);
        return named;
    }
    if (is_dracut_form(word)) return parse_dracut_form(word);
    if (word.find(',') != std::string_view::npos) return parse_comma_form(word);
    return parse_slash_form(word);
}

std::expected<ServerAddress, std::string> parse_uri(std::string_view uri) {
    return with_word(uri, read_uri(uri));
}

std::expected<ServerAddress, std::string> parse_server_address(std::string_view word) {
    if (word.empty())
        return problem("no export is named; write nbd://HOST[:PORT]/NAME, or HOST,PORT or HOST,NAME");
    return with_word(word, read_server_address(word));
}

std::string to_uri(const ServerAddress& address) {
    constexpr std::string_view plain_in_name = "-._~/:@!$'()*+,;=";
    std::string uri;
    if (address.kind == ServerAddress::Kind::unix_socket) {
        uri = "nbd+unix:///";
        append_encoded(uri, address.export_name, plain_in_name);
        uri += "?socket=";
        append_encoded(uri, address.socket_path, "-._~/");
        return uri;
    }
    uri = "nbd://";
    const bool brackets = address.host.find(':') != std::string::npos;
    uri += brackets ? "[" : "";
    append_encoded(uri, address.host, "-._:");
    uri += brackets ? "]" : "";
    if (address.port_given || address.port != default_nbd_port) uri += fmt::format(":{}", address.port);
    uri += '/';
    append_encoded(uri, address.export_name, plain_in_name);
    return uri;
}

std::optional<NbdDevice> parse_nbd_device(std::string_view word) {
    constexpr std::uint32_t most_partitions = 255;
    if (word.starts_with("/dev/")) word.remove_prefix(5);
    if (!word.starts_with("nbd")) return {};
    word.remove_prefix(3);
    const std::size_t p = word.find('p');
    const auto index = device_number(word.substr(0, p), most_devices - 1);
    if (!index) return {};
    if (p == std::string_view::npos) return NbdDevice{.index = *index, .partition = 0};
    const auto partition = device_number(word.substr(p + 1), most_partitions);
    if (!partition || *partition == 0) return {};
    return NbdDevice{.index = *index, .partition = *partition};
}

std::string device_path(const NbdDevice& device) {
    if (device.partition == 0) return fmt::format("/dev/nbd{}", device.index);
    return fmt::format("/dev/nbd{}p{}", device.index, device.partition);
}

}  // namespace holdfast::client
