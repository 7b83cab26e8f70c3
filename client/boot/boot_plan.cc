// Combines several words with DHCP and the configuration file. The forms of a single word are in
// client/address/.

#include "client/boot/boot_plan.hh"

#include <algorithm>

#include <fmt/core.h>

#include "client/address/export_address.hh"
#include "client/address/uri.hh"
#include "client/boot/boot_options.hh"
#include "client/boot/root_word.hh"
#include "common/text/printable.hh"
#include "common/text/words.hh"

namespace holdfast::client {
namespace {

using std::chrono::seconds;

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

void merge_options(const NamedExport& named, bool first, BootPlan& plan) {
    const auto read = read_boot_options(named.options);
    if (!read) return;  // checked when the word was parsed
    plan.warnings.insert(plan.warnings.end(), read->warnings.begin(), read->warnings.end());
    if (first) {
        plan.options = read->choices;
        plan.root_fstype = named.fstype;
        plan.root_flags = named.rootflags;
    } else if (!named.options.empty() && read->choices != plan.options) {
        plan.warnings.push_back("the options of the first nbdroot= apply to all servers");
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
            warnings.push_back(
                fmt::format("{} names nbd{}, but {} takes precedence: the disk is attached as nbd{}",
                            printable(claim.who), claim.device.index, printable(claims.front().who),
                            claims.front().device.index));
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
    if (names_no_device(request.root))
        plan.root = device_path(device);
    else
        plan.root = named ? device_path(*named) : request.root;
    plan.root_changed = plan.root != request.root;
}

// Attaches a disk read-only whose changes stay in memory.
std::expected<void, BootError> keep_in_memory(const BootRequest& request, BootPlan& plan) {
    plan.memory = request.memory;
    plan.ignores_resume = request.ignores_resume;
    if (!plan.memory.needs_read_only()) return {};
    if (plan.options.read_only == false)
        return wrong_word(
            request.servers.front().text,
            fmt::format("the option rw contradicts {}, which attaches the disk read-only; remove one of them",
                        plan.memory.overlay ? "holdfast.overlay=" : "holdfast.toram"));
    plan.options.read_only = true;
    return {};
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
            fmt::format("more than {} servers, including those of the configuration file; remove some",
                        most_servers));
    const NbdDevice device = choose_device(claims, plan.warnings);
    plan.device_index = device.index;
    choose_root(request, device, plan);
    if (const auto root = parse_nbd_device(plan.root)) {
        if (const auto checked = check_partition(*root, request.no_partitions); !checked)
            return std::unexpected{checked.error()};
    } else if (request.no_partitions) {
        plan.warnings.push_back(fmt::format(
            "nbd.max_part=0: the kernel makes no partitions of NBD disks; {} is found only if it is "
            "on the whole disk",
            printable(plan.root)));
    }
    if (auto kept = keep_in_memory(request, plan); !kept) return std::unexpected{kept.error()};
    const seconds said = plan.options.wait.value_or(least_patience);
    plan.options = merged(plan.options, config.choices_for(device.index));
    const seconds usual = std::max(plan.options.wait.value_or(least_patience), least_patience);
    plan.patience = std::max(request.patience.value_or(usual), said);
    if (request.limit) plan.patience = std::min(plan.patience, *request.limit);
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
    // A read-only disk can neither be mounted read-write (`rw` on the command line) nor repaired.
    if (plan.options.read_only == true && !plan.memory.to_ram) lines += "readonly=y\nfastboot=y\n";
    if (plan.ignores_resume) lines += "resume=\nnoresume=y\n";
    return lines;
}

}  // namespace holdfast::client
