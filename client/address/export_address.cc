// Selects the form of a word; each form has its own file.

#include "client/address/export_address.hh"

#include "client/address/classic_form.hh"
#include "client/address/dracut_form.hh"
#include "client/address/uri.hh"
#include "client/address/word_checks.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

std::expected<ServerAddress, std::string> read_server_address(std::string_view word) {
    auto named = parse_named_export(word);
    if (!named) return Problem{named.error()};
    if (named->all_from_dhcp || named->server_from_dhcp)
        return problem("missing server; only `boot` can get it from DHCP");
    if (named->device || !named->options.empty() || !named->fstype.empty() || !named->rootflags.empty())
        return problem(
            "a device or options inside the export are valid on the kernel command line only; name the "
            "export alone, and give each option separately");
    return named->address;
}

}  // namespace

std::expected<NamedExport, std::string> parse_named_export(std::string_view word) {
    NamedExport named;
    if (word.empty() || word == "dhcp") {
        named.all_from_dhcp = true;
        return named;
    }
    if (has_control_character(word)) return problem("control character");
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

std::expected<ServerAddress, std::string> parse_server_address(std::string_view word) {
    if (word.empty())
        return problem("missing export; write nbd://HOST[:PORT]/NAME, or HOST,PORT or HOST,NAME");
    auto address = read_server_address(word);
    if (!address) return problem("'{}': {}", printable(word), address.error());
    return address;
}

}  // namespace holdfast::client
