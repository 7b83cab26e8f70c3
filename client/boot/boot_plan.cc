// Implements boot_plan.hh: combines several words. The forms of a single word are in export_address.cc.

#include "client/boot/boot_plan.hh"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/core.h>

#include "client/address/export_address.hh"
#include "client/address/uri.hh"
#include "common/text/printable.hh"

namespace holdfast::client {

namespace {

using std::chrono::seconds;

constexpr std::size_t most_servers = 16;  // a longer list is an error
constexpr seconds least_patience{30};     // the initramfs's own wait for a root device
constexpr seconds most_patience{365 * 86400};
constexpr std::uint32_t most_connections = 8;

std::unexpected<BootError> wrong_word(std::string_view word, std::string_view what) {
    return std::unexpected{
        BootError{.word = std::string{word}, .message = fmt::format("{}: {}", printable(word), what)}};
}

// Reports a missing network, with no invalid word.
std::unexpected<BootError> no_network(std::string_view word) {
    return std::unexpected{
        BootError{.word = {},
                  .message = fmt::format(
                      "{}: no network: it leaves the server to DHCP, and no interface has an address; see to "
                      "the cable, the DHCP server and ip=, or name the server: nbdroot=SERVER,PORT",
                      printable(word))}};
}

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return {};
    return value;
}

// --- options
// ------------------------------------------------------------------------------------------------------

// Options of nbd-client and of dracut's module, and their treatment here.
enum class OptionMeaning { read_only, read_write, choice, connections, always_so, not_done, refused };

struct OptionRow {
    std::string_view name;
    OptionMeaning meaning;
    std::string_view
        note;  // choice, connections: the option's name in choices.hh. not_done, refused: the reason
};

constexpr std::array option_table{
    OptionRow{"ro", OptionMeaning::read_only, ""},
    OptionRow{"readonly", OptionMeaning::read_only, ""},
    OptionRow{"R", OptionMeaning::read_only, ""},
    OptionRow{"rw", OptionMeaning::read_write, ""},
    OptionRow{"timeout", OptionMeaning::choice, "timeout"},
    OptionRow{"t", OptionMeaning::choice, "timeout"},
    OptionRow{"block-size", OptionMeaning::choice, "block-size"},
    OptionRow{"bs", OptionMeaning::choice, "block-size"},
    OptionRow{"b", OptionMeaning::choice, "block-size"},
    OptionRow{"wait", OptionMeaning::choice, "wait"},
    OptionRow{"dead-after", OptionMeaning::choice, "dead-after"},
    OptionRow{"probe", OptionMeaning::choice, "probe"},
    OptionRow{"lost-cache", OptionMeaning::choice, "lost-cache"},
    OptionRow{"shutdown-timeout", OptionMeaning::choice, "shutdown-timeout"},
    OptionRow{"lease", OptionMeaning::choice, "lease"},
    OptionRow{"connections", OptionMeaning::connections, "connections"},
    OptionRow{"C", OptionMeaning::connections, "connections"},
    OptionRow{"swap", OptionMeaning::always_so, ""},
    OptionRow{"s", OptionMeaning::always_so, ""},
    OptionRow{"persist", OptionMeaning::always_so, ""},
    OptionRow{"p", OptionMeaning::always_so, ""},
    OptionRow{"systemd-mark", OptionMeaning::always_so, ""},
    OptionRow{"m", OptionMeaning::always_so, ""},
    OptionRow{"netlink", OptionMeaning::always_so, ""},
    OptionRow{"no-optgo", OptionMeaning::not_done, "NBD_OPT_GO is always tried first"},
    OptionRow{"g", OptionMeaning::not_done, "NBD_OPT_GO is always tried first"},
    OptionRow{"nofork", OptionMeaning::not_done, "the daemon has to stay"},
    OptionRow{"n", OptionMeaning::not_done, "the daemon has to stay"},
    OptionRow{"nonetlink", OptionMeaning::refused,
              "the device is attached by netlink only; leave the word out"},
    OptionRow{"L", OptionMeaning::refused, "the device is attached by netlink only; leave the word out"},
    OptionRow{"preinit", OptionMeaning::refused, "the server must negotiate; leave the word out"},
    OptionRow{"P", OptionMeaning::refused, "the server must negotiate; leave the word out"},
    OptionRow{"size", OptionMeaning::refused, "the size is the server's to say; leave the word out"},
    OptionRow{"B", OptionMeaning::refused, "the size is the server's to say; leave the word out"},
    OptionRow{"sdp", OptionMeaning::refused,
              "the Socket Direct Protocol is not supported; leave the word out"},
    OptionRow{"S", OptionMeaning::refused, "the Socket Direct Protocol is not supported; leave the word out"},
    OptionRow{"certfile", OptionMeaning::refused, "TLS is not supported yet"},
    OptionRow{"keyfile", OptionMeaning::refused, "TLS is not supported yet"},
    OptionRow{"cacertfile", OptionMeaning::refused, "TLS is not supported yet"},
    OptionRow{"tlshostname", OptionMeaning::refused, "TLS is not supported yet"},
};

struct ReadOptions {
    Choices options;
    std::vector<std::string> warnings;
};

// Reads an option. The error states the fault and the fix, without the word that contains the option.
std::expected<void, std::string> read_option(std::string_view option, ReadOptions& read) {
    std::string_view name = option;
    while (name.starts_with('-')) name.remove_prefix(1);
    const std::size_t equals = name.find('=');
    const std::string_view value = equals == std::string_view::npos ? "" : name.substr(equals + 1);
    name = name.substr(0, equals);
    const auto row = std::ranges::find(option_table, name, &OptionRow::name);
    if (row == option_table.end())
        return std::unexpected{fmt::format(
            "'{}' is neither a device (nbd0) nor an option (ro, rw, timeout=, wait=, "
            "dead-after=, probe=, connections=, lost-cache=, shutdown-timeout=, lease=, block-size=)",
            printable(option))};
    switch (row->meaning) {
        case OptionMeaning::read_only: read.options.read_only = true; break;
        case OptionMeaning::read_write: read.options.read_only = false; break;
        case OptionMeaning::connections:
            // Limits the connections instead of failing, so that a command line written for nbd-client still
            // boots.
            if (const auto count = number(value); count && *count > most_connections) {
                read.options.connections = 1;
                read.warnings.push_back(fmt::format(
                    "the option '{}': one connection is used; see CONNECTIONS in holdfast-client(8)",
                    printable(option)));
                break;
            }
            [[fallthrough]];
        case OptionMeaning::choice:
            if (const auto chosen = choose(read.options, row->note, value); !chosen)
                return std::unexpected{fmt::format("the option '{}': {}= {}", printable(option),
                                                   printable(name), chosen.error())};
            break;
        case OptionMeaning::always_so: break;
        case OptionMeaning::not_done:
            read.warnings.push_back(
                fmt::format("the option '{}' has no effect: {}", printable(option), row->note));
            break;
        case OptionMeaning::refused:
            return std::unexpected{fmt::format("the option '{}': {}", printable(option), row->note)};
    }
    return {};
}

std::expected<ReadOptions, std::string> read_options(const std::vector<std::string>& words) {
    ReadOptions read;
    for (const std::string& word : words)
        if (auto done = read_option(word, read); !done) return std::unexpected{std::move(done.error())};
    return read;
}

// --- the command line
// ---------------------------------------------------------------------------------------------

// Last occurrence of each word, as in the kernel and the initramfs; all occurrences of nbdroot=.
struct BootWords {
    std::vector<std::string> nbdroot;
    std::optional<std::string> netroot, nbddev, root, rootdelay, ip;
};

BootWords collect_words(std::string_view command_line) {
    BootWords words;
    for (KernelWord& word : split_command_line(command_line)) {
        if (word.key == "nbdroot")
            words.nbdroot.push_back(std::move(word.value));
        else if (word.key == "nbddev")
            words.nbddev = std::move(word.value);
        else if (word.key == "root")
            words.root = std::move(word.value);
        else if (word.key == "rootdelay")
            words.rootdelay = std::move(word.value);
        else if (word.key == "ip")
            words.ip = std::move(word.value);
        else if (word.key == "netroot" && word.value.starts_with("nbd:"))
            words.netroot = std::move(word.value);
    }
    return words;
}

bool asks_for_nbd(const BootWords& words, const BootVariables& variables) {
    return !words.nbdroot.empty() || words.netroot || words.nbddev || !variables.nbdroot.empty() ||
           (words.root && (words.root->starts_with("/dev/nbd") || words.root->starts_with("nbd:")));
}

// Returns the words that name servers, with their keys. No word counts as an empty word.
std::vector<std::pair<std::string, std::string>> server_words(const BootWords& words,
                                                              const BootVariables& variables) {
    std::vector<std::pair<std::string, std::string>> found;
    if (!variables.nbdroot.empty()) {
        found.emplace_back("NBDROOT", variables.nbdroot);
        return found;
    }
    for (const std::string& value : words.nbdroot) found.emplace_back("nbdroot", value);
    if (words.netroot) found.emplace_back("netroot", *words.netroot);
    if (words.root && words.root->starts_with("nbd:")) found.emplace_back("root", *words.root);
    if (found.empty()) found.emplace_back("nbdroot", "");
    return found;
}

std::expected<BootWord, BootError> read_server_word(std::string_view key, std::string_view value) {
    const std::string text = fmt::format("{}={}", key, value);
    auto named = parse_named_export(value);
    if (!named) return wrong_word(text, named.error());
    if (const auto options = read_options(named->options); !options) return wrong_word(text, options.error());
    return BootWord{.text = text, .named = *std::move(named), .says_nothing = value.empty()};
}

// Ignores an invalid rootdelay=, as the initramfs does: a bad value must not stop the boot.
std::optional<seconds> read_patience(const std::optional<std::string>& rootdelay,
                                     std::vector<std::string>& warnings) {
    if (!rootdelay || rootdelay->empty()) return {};
    const bool digits_and_dots = rootdelay->find_first_not_of("0123456789.") == std::string::npos;
    const std::string_view whole = std::string_view{*rootdelay}.substr(0, rootdelay->find('.'));
    if (!digits_and_dots || whole.empty()) {
        warnings.push_back(
            fmt::format("rootdelay={}: not a number of seconds; it has no effect", printable(*rootdelay)));
        return {};
    }
    const auto value = number(whole);
    return std::clamp(value ? seconds{*value} : most_patience, least_patience, most_patience);
}

// Checks that root=/dev/nbd... is a device; root=nbd0 lacks its /dev/, and the initramfs would not find it.
std::expected<void, BootError> check_root(const std::string& root) {
    if (root.starts_with("/dev/nbd") && !parse_nbd_device(root))
        return wrong_word("root=" + root,
                          "this is not an NBD device; write root=/dev/nbd0 or, for its first "
                          "partition, root=/dev/nbd0p1");
    return {};
}

// --- DHCP
// ---------------------------------------------------------------------------------------------------------

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
            word.text, fmt::format("DHCP on {} named no server (next-server); name it: nbdroot=SERVER,PORT",
                                   interfaces_of(answers)));
    const auto address = parse_server_address(answer->root_server);
    if (!address)
        return wrong_word(word.text, fmt::format("the server that DHCP names on {}: {}",
                                                 printable(answer->interface), address.error()));
    return address->host;
}

// Parses the root-path with the same grammar.
std::expected<BootWord, BootError> read_root_path(const BootWord& word,
                                                  const std::vector<NetworkAnswer>& answers) {
    const NetworkAnswer* answer = answer_with(answers, &NetworkAnswer::root_path);
    const std::string path = answer ? without_blanks(answer->root_path) : std::string{};
    if (path.empty() || path == "dhcp")
        return wrong_word(word.text,
                          fmt::format("DHCP on {} gave no root-path (option 17) that names an export; set "
                                      "it to \"SERVER,PORT\" there, or write nbdroot=SERVER,PORT here",
                                      interfaces_of(answers)));
    auto named = parse_named_export(path);
    const std::string where = fmt::format("the root-path from DHCP on {}", printable(answer->interface));
    if (!named)
        return wrong_word(word.text, fmt::format("{}, '{}': {}", where, printable(path), named.error()));
    if (const auto options = read_options(named->options); !options)
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

// Returns the word completed with DHCP's data.
std::expected<NamedExport, BootError> complete(const BootWord& word,
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

// --- the plan
// -----------------------------------------------------------------------------------------------------

void merge_options(const NamedExport& named, bool first, BootPlan& plan) {
    const auto read = read_options(named.options);
    if (!read) return;  // checked when the word was parsed
    plan.warnings.insert(plan.warnings.end(), read->warnings.begin(), read->warnings.end());
    if (first) {
        plan.options = read->options;
        plan.root_fstype = named.fstype;
        plan.root_flags = named.rootflags;
    } else if (!named.options.empty() && read->options != plan.options) {
        plan.warnings.push_back("the options of the first nbdroot= are used for every server");
    }
}

struct DeviceClaim {
    std::string who;
    NbdDevice device;
};

// Selects the first claim; warns about claims of another disk.
NbdDevice choose_device(const std::vector<DeviceClaim>& claims, std::vector<std::string>& warnings) {
    if (claims.empty()) return {};
    for (const DeviceClaim& claim : claims)
        if (claim.device.index != claims.front().device.index)
            warnings.push_back(fmt::format(
                "{} names nbd{}, but {} comes first: the disk is attached as nbd{}", printable(claim.who),
                claim.device.index, printable(claims.front().who), claims.front().device.index));
    return claims.front().device;
}

// Returns the claims of words that name only a device.
std::vector<DeviceClaim> claims_of(const BootRequest& request) {
    std::vector<DeviceClaim> claims;
    if (const auto root = parse_nbd_device(request.root))
        claims.push_back({.who = "root=" + request.root, .device = *root});
    if (request.nbddev)
        claims.push_back({.who = "nbddev=" + device_path(*request.nbddev), .device = *request.nbddev});
    return claims;
}

// Returns the device named by the command line alone: DHCP, which may name another device, is used only when
// the configuration file has no server for this device.
NbdDevice foreseen_device(const BootRequest& request, const std::vector<DeviceClaim>& claims) {
    if (!claims.empty()) return claims.front().device;
    for (const BootWord& word : request.servers)
        if (word.named.device) return *word.named.device;
    return {};
}

void add_servers(const std::vector<ServerAddress>& servers, BootPlan& plan) {
    for (const ServerAddress& server : servers)
        if (std::ranges::find(plan.servers, server) == plan.servers.end()) plan.servers.push_back(server);
}

void choose_root(const BootRequest& request, const NbdDevice& device, BootPlan& plan) {
    const auto named = parse_nbd_device(request.root);
    if (request.root.empty() || request.root.starts_with("nbd:"))
        plan.root = device_path(device);
    else
        plan.root = named ? device_path(*named) : request.root;
    plan.root_changed = plan.root != request.root;
}

std::string shell_quoted(std::string_view text) {
    std::string quoted = "'";
    for (const char c : text)
        if (c == '\'')
            quoted += "'\\''";
        else
            quoted += c;
    return quoted + "'";
}

}  // namespace

std::vector<KernelWord> split_command_line(std::string_view line) {
    std::vector<KernelWord> words;
    std::size_t at = 0;
    while (true) {
        while (at < line.size() && is_blank(line[at])) ++at;
        if (at == line.size()) return words;
        // Follows next_arg() in the kernel's lib/cmdline.c: a quote anywhere keeps blanks, but is removed
        // only at the beginning and end of the word or its value.
        bool in_quotes = false;
        std::size_t end = at;
        for (; end < line.size() && (in_quotes || !is_blank(line[end])); ++end)
            if (line[end] == '"') in_quotes = !in_quotes;
        std::string_view word = line.substr(at, end - at);
        at = end;
        const bool quoted = word.starts_with('"');
        if (quoted) word.remove_prefix(1);
        const std::size_t equals = word.find('=', 1);
        const bool has_value = !word.empty() && equals != std::string_view::npos;
        std::string_view value = has_value ? word.substr(equals + 1) : std::string_view{};
        bool closing = quoted;
        if (value.starts_with('"')) {
            value.remove_prefix(1);
            closing = true;
        }
        std::string_view key = has_value ? word.substr(0, equals) : word;
        std::string_view& last = has_value ? value : key;
        if (closing && last.ends_with('"')) last.remove_suffix(1);
        if (key == "--" && !has_value) return words;
        words.push_back({.key = std::string{key}, .value = std::string{value}, .has_value = has_value});
    }
}

std::expected<std::optional<BootRequest>, BootError> read_boot_request(std::string_view command_line,
                                                                       const BootVariables& variables) {
    const BootWords words = collect_words(command_line);
    if (!asks_for_nbd(words, variables)) return std::optional<BootRequest>{};

    BootRequest request;
    for (const auto& [key, value] : server_words(words, variables)) {
        auto word = read_server_word(key, value);
        if (!word) return std::unexpected{word.error()};
        if (request.servers.size() == most_servers)
            return wrong_word(word->text, fmt::format("more than {} servers; leave some out", most_servers));
        request.servers.push_back(*std::move(word));
    }
    if (words.nbddev && !words.nbddev->empty()) {
        request.nbddev = parse_nbd_device(*words.nbddev);
        if (!request.nbddev)
            return wrong_word("nbddev=" + *words.nbddev, "this is not an NBD device; write nbddev=nbd0");
    }
    request.root = words.root ? *words.root : variables.root;
    if (const auto checked = check_root(request.root); !checked) return std::unexpected{checked.error()};
    request.ip = words.ip.value_or("");
    request.patience = read_patience(words.rootdelay, request.warnings);
    return request;
}

std::expected<BootPlan, BootError> make_boot_plan(const BootRequest& request,
                                                  const std::vector<NetworkAnswer>& answers,
                                                  const Config& config) {
    BootPlan plan;
    plan.warnings = request.warnings;
    std::vector<DeviceClaim> claims = claims_of(request);
    const NbdDevice foreseen = foreseen_device(request, claims);
    for (const BootWord& word : request.servers) {
        if (word.says_nothing)
            if (const auto servers = config.servers_of(foreseen.index); !servers.empty()) {
                claims.push_back({.who = fmt::format("[nbd{}] of the configuration file", foreseen.index),
                                  .device = {.index = foreseen.index, .partition = 0}});
                add_servers(servers, plan);
                continue;
            }
        const auto named = complete(word, answers);
        if (!named) return std::unexpected{named.error()};
        if (named->device) claims.push_back({.who = word.text, .device = *named->device});
        merge_options(*named, &word == &request.servers.front(), plan);
        add_servers({named->address}, plan);
    }
    if (plan.servers.size() > most_servers)
        return wrong_word(
            request.servers.front().text,
            fmt::format("with the configuration file's, more than {} servers; leave some out", most_servers));
    const NbdDevice device = choose_device(claims, plan.warnings);
    plan.device_index = device.index;
    choose_root(request, device, plan);
    const seconds said = plan.options.wait.value_or(least_patience);
    plan.options = over(plan.options, config.choices_for(device.index));
    const seconds usual = std::max(plan.options.wait.value_or(least_patience), least_patience);
    plan.patience = std::max(request.patience.value_or(usual), said);
    return plan;
}

std::string describe(const BootPlan& plan) {
    std::string servers;
    for (const ServerAddress& server : plan.servers)
        servers += (servers.empty() ? "" : ", then ") + printable(to_uri(server));
    return fmt::format("{} as /dev/nbd{}, root {}, for up to {} s", servers, plan.device_index,
                       printable(plan.root), plan.patience.count());
}

std::string param_conf(const BootPlan& plan) {
    std::string lines;
    if (plan.root_changed) lines += fmt::format("ROOT={}\n", shell_quoted(plan.root));
    if (!plan.root_fstype.empty()) lines += fmt::format("ROOTFSTYPE={}\n", shell_quoted(plan.root_fstype));
    if (!plan.root_flags.empty())
        lines += fmt::format("ROOTFLAGS={}\n", shell_quoted("-o " + plan.root_flags));
    return lines;
}

}  // namespace holdfast::client
