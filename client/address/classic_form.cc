// Parses the server, which both forms share, then the rest of each form.

#include "client/address/classic_form.hh"

#include <optional>
#include <vector>

#include "client/address/word_checks.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

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
    if (after.front() != ':') return problem("expected ':' or '/' after ']'; write [ADDRESS]:PORT/NAME");
    after.remove_prefix(1);
    const std::size_t slash = after.find('/');
    const std::string_view port = after.substr(0, slash);
    part.rest = slash == std::string_view::npos ? std::string_view{} : after.substr(slash);
    if (port.empty()) return part;
    part.port = port_number(port);
    if (!part.port && !all_digits(port))
        return problem("{}; to name an export, write {}/{}", port_problem(port), printable(host),
                       printable(port));
    if (!part.port) return problem("{}", port_problem(port));
    return part;
}

std::expected<ServerPart, std::string> parse_server_part(std::string_view text) {
    if (text.starts_with('[')) {
        const std::size_t bracket = text.find(']');
        if (bracket == std::string_view::npos) return problem("missing ']'; write [ADDRESS]:PORT/NAME");
        const std::string_view address = text.substr(1, bracket - 1);
        if (!is_ipv6(address)) return problem("invalid IPv6 address '{}' in brackets", printable(address));
        return parse_after_host(address, text.substr(bracket + 1));
    }
    const std::string_view before_slash = text.substr(0, text.find('/'));
    const std::size_t colon = before_slash.find(':');
    if (colon != std::string_view::npos && before_slash.find(':', colon + 1) != std::string_view::npos)
        return problem("enclose an IPv6 address in brackets: [ADDRESS]:PORT/NAME or [ADDRESS],NAME");
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

std::expected<NamedExport, std::string> parse_first_of_commas(std::string_view server) {
    if (server.find('/') != std::string_view::npos)
        return problem(
            "'/' in the server, before the comma; write SERVER,PORT,NAME[,nbdN], or a URI "
            "nbd://SERVER:PORT/NAME with %2C for a comma in the name and nbddev= for the device");
    // Needs no brackets around colons, since the comma ends the address.
    if (is_ipv6(server)) {
        NamedExport named;
        named.address.host = server;
        return named;
    }
    return parse_server_alone(server);
}

// Words of a comma form after SERVER,PORT-or-NAME, taken in order: name, device, options.
class LaterWords {
public:
    LaterWords(const std::vector<std::string_view>& words, NamedExport& named)
        : words_(words), named_(named) {}

    // SERVER,PORT,nbd1 is Debian's triple and names a device; an export called nbd1 must be followed by its
    // device.
    void take_name() {
        if (next_ == words_.size()) return;
        const bool device_follows = next_ + 1 < words_.size() && parse_nbd_device(words_[next_ + 1]);
        if (device_follows || !parse_nbd_device(words_[next_])) named_.address.export_name = words_[next_++];
    }

    // `after_name`: the second word was the name, so that digits here are a misplaced port.
    std::expected<void, std::string> take_device(bool after_name) {
        if (next_ == words_.size()) return {};
        const std::string_view word = words_[next_];
        named_.device = parse_nbd_device(word);
        if (named_.device || word.empty())
            ++next_;
        else if (after_name && all_digits(word))
            return problem("port after the name; write SERVER,{},{}", word, printable(words_[1]));
        return {};
    }

    void take_options() {
        for (; next_ < words_.size(); ++next_)
            if (!words_[next_].empty()) named_.options.emplace_back(words_[next_]);
    }

private:
    const std::vector<std::string_view>& words_;
    NamedExport& named_;
    std::size_t next_ = 2;
};

}  // namespace

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

std::expected<NamedExport, std::string> parse_comma_form(std::string_view word) {
    const std::vector<std::string_view> words = split(word, ',');
    auto named = parse_first_of_commas(words[0]);
    if (!named) return named;
    const auto name_may_follow = take_port_or_name(words[1], *named);
    if (!name_may_follow) return Problem{name_may_follow.error()};
    LaterWords later(words, *named);
    if (*name_may_follow) later.take_name();
    if (const auto taken = later.take_device(!*name_may_follow); !taken) return Problem{taken.error()};
    later.take_options();
    if (const std::string wrong = name_problem(named->address.export_name); !wrong.empty())
        return problem("{}", wrong);
    return named;
}

std::expected<NamedExport, std::string> parse_server_alone(std::string_view text) {
    const auto part = parse_server_part(text);
    if (!part) return Problem{part.error()};
    return named_by(*part);
}

std::expected<bool, std::string> take_port_or_name(std::string_view word, NamedExport& named) {
    if (word.empty()) return true;
    if (!all_digits(word)) {
        named.address.export_name = word;
        return false;
    }
    if (named.address.port_given)
        return problem(
            "two ports, {} and {}; for an export name of digits only, write SERVER,PORT,NAME or "
            "nbd://SERVER:PORT/NAME",
            named.address.port, printable(word));
    const auto port = port_number(word);
    if (!port)
        return problem("{}; for an export name of digits only, write SERVER,PORT,NAME or nbd://SERVER/NAME",
                       port_problem(word));
    named.address.port = *port;
    named.address.port_given = true;
    return true;
}

}  // namespace holdfast::client
