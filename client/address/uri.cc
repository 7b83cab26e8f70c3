// Splits a URI into parts, then checks each part.

#include "client/address/uri.hh"

#include <fmt/core.h>

#include "client/address/word_checks.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

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
            return problem("'%' without two hexadecimal digits after it; write %25 for a percent sign");
        decoded += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return decoded;
}

struct UriParts {
    std::string_view scheme, authority, path, query;
};

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
        return "TLS is not supported yet; use nbd:// on a trusted network";
    if (scheme == "nbd+vsock" || scheme == "nbds+vsock")
        return "vsock is not supported; use nbd:// or nbd+unix://";
    return fmt::format(
        "unknown URI scheme '{}'; write nbd://HOST[:PORT]/NAME or nbd+unix:///NAME?socket=PATH",
        printable(scheme));
}

// Sets the socket; no other parameter is supported.
std::expected<void, std::string> take_query(std::string_view query, ServerAddress& address) {
    for (const std::string_view parameter : split(query, '&')) {
        if (parameter.empty()) continue;
        const std::string_view key = parameter.substr(0, parameter.find('='));
        if (key.starts_with("tls-")) return problem("'{}': TLS is not supported yet", printable(key));
        if (key != "socket")
            return problem("unknown parameter '{}'; only socket= is supported", printable(key));
        if (address.kind != ServerAddress::Kind::unix_socket)
            return problem("socket= is valid with nbd+unix:// only");
        if (!address.socket_path.empty()) return problem("socket= is given twice");
        auto path =
            percent_decode(parameter.substr(key.size() < parameter.size() ? key.size() + 1 : key.size()));
        if (!path) return Problem{path.error()};
        address.socket_path = *std::move(path);
    }
    return {};
}

std::string socket_problem(const std::string& path) {
    if (path.empty()) return "missing socket; write nbd+unix:///NAME?socket=PATH";
    if (path.front() != '/') return "the socket path must begin with '/'";
    if (path.size() > longest_socket_path)
        return fmt::format("socket path longer than {} bytes, the limit of UNIX sockets",
                           longest_socket_path);
    if (has_control_character(path)) return "control character in the socket path";
    return {};
}

// HOST or [V6], and the text after it: empty, or a colon and a port if the URI is valid.
struct Authority {
    std::string_view host;  // without brackets
    bool in_brackets = false;
    std::string_view port;
};

std::expected<Authority, std::string> split_authority(std::string_view text) {
    if (text.find('@') != std::string_view::npos)
        return problem("NBD has no user names; remove the part before the '@'");
    if (!text.starts_with('[')) {
        const std::string_view host = text.substr(0, text.find(':'));
        return Authority{.host = host, .in_brackets = false, .port = text.substr(host.size())};
    }
    const std::size_t bracket = text.find(']');
    if (bracket == std::string_view::npos) return problem("missing ']'; write nbd://[ADDRESS]:PORT/NAME");
    return Authority{
        .host = text.substr(1, bracket - 1), .in_brackets = true, .port = text.substr(bracket + 1)};
}

std::expected<void, std::string> take_host(const Authority& authority, ServerAddress& address) {
    auto host = percent_decode(authority.host);
    if (!host) return Problem{host.error()};
    if (!authority.in_brackets && authority.port.find(':', 1) != std::string_view::npos)
        return problem("enclose an IPv6 address in brackets: nbd://[ADDRESS]:PORT/NAME");
    if (authority.in_brackets && !is_ipv6(*host))
        return problem("invalid IPv6 address '{}' in brackets", printable(*host));
    if (const std::string wrong = authority.in_brackets ? "" : host_problem(*host); !wrong.empty())
        return problem("{}", wrong);
    address.host = *std::move(host);
    return {};
}

// `text` is empty or follows the host.
std::expected<void, std::string> take_port(std::string_view text, ServerAddress& address) {
    if (text.empty()) return {};
    if (text.front() != ':') return problem("{}", port_problem(text));
    const auto number = port_number(text.substr(1));
    if (!number) return problem("{}", port_problem(text.substr(1)));
    address.port = *number;
    address.port_given = true;
    return {};
}

std::expected<void, std::string> take_tcp_server(std::string_view text, ServerAddress& address) {
    const auto authority = split_authority(text);
    if (!authority) return Problem{authority.error()};
    if (const auto taken = take_host(*authority, address); !taken) return taken;
    return take_port(authority->port, address);
}

std::expected<void, std::string> check_unix_server(std::string_view authority, const ServerAddress& address) {
    if (!authority.empty())
        return problem("a UNIX socket has no host; write nbd+unix:///NAME?socket=PATH with three slashes");
    if (const std::string wrong = socket_problem(address.socket_path); !wrong.empty())
        return problem("{}", wrong);
    return {};
}

void append_encoded(std::string& uri, std::string_view text, std::string_view plain) {
    for (const char c : text)
        if (is_letter(c) || is_digit(c) || plain.find(c) != std::string_view::npos)
            uri += c;
        else
            uri += fmt::format("%{:02X}", static_cast<unsigned char>(c));
}

}  // namespace

bool looks_like_uri(std::string_view word) {
    const std::size_t colon = word.find("://");
    if (colon == std::string_view::npos || colon == 0) return false;
    return has_only_letters_digits_or("+.-", word.substr(0, colon));
}

std::expected<ServerAddress, std::string> read_uri(std::string_view uri) {
    if (!looks_like_uri(uri))
        return problem("not a URI; write nbd://HOST[:PORT]/NAME or nbd+unix:///NAME?socket=PATH");
    const UriParts parts = split_uri(uri);
    if (const std::string wrong = scheme_problem(parts.scheme); !wrong.empty()) return problem("{}", wrong);
    if (uri.find('#') != std::string_view::npos)
        return problem("URI fragments ('#') are not supported; write %23 for a '#' in a name");

    ServerAddress address;
    const bool tcp = parts.scheme == "nbd";
    address.kind = tcp ? ServerAddress::Kind::tcp : ServerAddress::Kind::unix_socket;
    if (const auto taken = take_query(parts.query, address); !taken) return Problem{taken.error()};
    const auto server =
        tcp ? take_tcp_server(parts.authority, address) : check_unix_server(parts.authority, address);
    if (!server) return Problem{server.error()};
    // Removes the slash between host and name; the rest is the name, including slashes (NBD URI, "Export
    // name").
    auto name = percent_decode(parts.path.empty() ? parts.path : parts.path.substr(1));
    if (!name) return Problem{name.error()};
    if (const std::string wrong = name_problem(*name); !wrong.empty()) return problem("{}", wrong);
    address.export_name = *std::move(name);
    return address;
}

std::expected<ServerAddress, std::string> parse_uri(std::string_view uri) {
    auto address = read_uri(uri);
    if (!address) return problem("'{}': {}", printable(uri), address.error());
    return address;
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

}  // namespace holdfast::client
