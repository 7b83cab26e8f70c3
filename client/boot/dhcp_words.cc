// The root-path is parsed with the grammar of the words.

#include "client/boot/dhcp_words.hh"

#include <algorithm>

#include <fmt/core.h>

#include "client/address/export_address.hh"
#include "client/boot/boot_options.hh"
#include "common/text/printable.hh"
#include "common/text/words.hh"

namespace holdfast::client {
namespace {

// Reports a missing network, with no invalid word.
std::unexpected<BootError> no_network(std::string_view word) {
    return std::unexpected{BootError{
        .word = {},
        .message =
            fmt::format("{}: no network: the server comes from DHCP, and no interface has an address; check "
                        "the cable, the DHCP server and ip=, or name the server: nbdroot=SERVER,PORT",
                        printable(word))}};
}

const NetworkAnswer* answer_with(const std::vector<NetworkAnswer>& answers,
                                 std::string NetworkAnswer::*field) {
    const auto found =
        std::ranges::find_if(answers, [field](const NetworkAnswer& a) { return !(a.*field).empty(); });
    return found == answers.end() ? nullptr : &*found;
}

std::string interfaces_of(const std::vector<NetworkAnswer>& answers) {
    std::string text;
    for (const NetworkAnswer& answer : answers)
        text += (text.empty() ? "" : ", ") + printable(answer.interface);
    return text;
}

std::string without_blanks(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    // Debian also accepts the word with its key, "for backwards compatibility".
    if (text.starts_with("nbdroot=")) text.remove_prefix(8);
    return std::string{text};
}

// Returns the address of the DHCP answer's server, without any part of a root-path.
std::expected<std::string, BootError> root_server(const BootWord& word,
                                                  const std::vector<NetworkAnswer>& answers) {
    const NetworkAnswer* answer = answer_with(answers, &NetworkAnswer::root_server);
    if (!answer)
        return wrong_word(
            word.text,
            fmt::format("DHCP on {} supplied no server (next-server); name it: nbdroot=SERVER,PORT",
                        interfaces_of(answers)));
    const auto address = parse_server_address(answer->root_server);
    if (!address)
        return wrong_word(word.text, fmt::format("the server from DHCP on {}: {}",
                                                 printable(answer->interface), address.error()));
    return address->host;
}

// Parses the root-path with the same grammar.
std::expected<BootWord, BootError> read_root_path(const BootWord& word,
                                                  const std::vector<NetworkAnswer>& answers) {
    const NetworkAnswer* answer = answer_with(answers, &NetworkAnswer::root_path);
    const std::string path = answer ? without_blanks(answer->root_path) : std::string{};
    if (path.empty() || path == "dhcp")
        return wrong_word(
            word.text, fmt::format("DHCP on {} supplied no root-path (option 17) with an export; set it to "
                                   "\"SERVER,PORT\" on the DHCP server, or write nbdroot=SERVER,PORT here",
                                   interfaces_of(answers)));
    auto named = parse_named_export(path);
    const std::string where = fmt::format("the root-path from DHCP on {}", printable(answer->interface));
    if (!named)
        return wrong_word(word.text, fmt::format("{}, '{}': {}", where, printable(path), named.error()));
    if (const auto options = read_boot_options(named->options); !options)
        return wrong_word(word.text, fmt::format("{}, '{}': {}", where, printable(path), options.error()));
    return BootWord{.text = word.text, .named = *std::move(named), .says_nothing = false};
}

// Returns the server for `dhcp,root` and similar words: the root-path's server if present, else the server of
// the DHCP answer. An unparsable root-path belongs to another protocol (NFS, iSCSI) and is ignored.
std::expected<std::string, BootError> server_from_dhcp(const BootWord& word,
                                                       const std::vector<NetworkAnswer>& answers) {
    if (const NetworkAnswer* answer = answer_with(answers, &NetworkAnswer::root_path)) {
        const auto named = parse_named_export(without_blanks(answer->root_path));
        if (named && named->address.kind == ServerAddress::Kind::tcp && !named->address.host.empty())
            return named->address.host;
    }
    return root_server(word, answers);
}

}  // namespace

std::expected<NamedExport, BootError> completed_by_dhcp(const BootWord& word,
                                                        const std::vector<NetworkAnswer>& answers) {
    if (!word.named.all_from_dhcp && !word.named.server_from_dhcp) return word.named;
    if (answers.empty()) return no_network(word.text);
    BootWord completed = word;
    if (word.named.all_from_dhcp) {
        auto from_path = read_root_path(word, answers);
        if (!from_path) return std::unexpected{from_path.error()};
        completed = *std::move(from_path);
    }
    if (completed.named.server_from_dhcp) {
        auto host = word.named.all_from_dhcp ? root_server(word, answers) : server_from_dhcp(word, answers);
        if (!host) return std::unexpected{host.error()};
        completed.named.address.host = *std::move(host);
    }
    return completed.named;
}

}  // namespace holdfast::client
