// Combines several words with DHCP and the configuration file. The forms of a single word are in
// client/address/.

#include "client/boot/boot_plan.hh"

#include <algorithm>

#include <fmt/core.h>

#include "client/address/uri.hh"
#include "client/boot/boot_options.hh"
#include "client/boot/dhcp_words.hh"
#include "client/boot/root_word.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

using std::chrono::seconds;

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
    if (auto checked = check_access(plan.memory, request.servers.front().text, plan.options); !checked)
        return checked;
    plan.options.read_only = true;
    return {};
}

// The longest of rootdelay= and wait=; only without both, wait of the configuration file counts.
seconds patience_of(const BootRequest& request, const Choices& words, const Choices& merged) {
    const seconds usual = std::max(merged.wait.value_or(least_patience), least_patience);
    return std::max(request.patience.value_or(usual), words.wait.value_or(least_patience));
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

// Adds the servers of all words, and what the words say of the device.
std::expected<void, BootError> take_servers(const BootRequest& request,
                                            const std::vector<NetworkAnswer>& answers, const Config& config,
                                            std::vector<DeviceClaim>& claims, BootPlan& plan) {
    const NbdDevice foreseen = foreseen_device(request, claims);
    for (const BootWord& word : request.servers) {
        if (word.says_nothing)
            if (const auto servers = config.servers_of(foreseen.index); !servers.empty()) {
                claims.push_back({.who = fmt::format("[nbd{}] of the configuration file", foreseen.index),
                                  .device = {.index = foreseen.index, .partition = 0}});
                add_servers(servers, plan);
                continue;
            }
        const auto named = completed_by_dhcp(word, answers);
        if (!named) return std::unexpected{named.error()};
        if (named->device) claims.push_back({.who = word.text, .device = *named->device});
        merge_options(*named, &word == &request.servers.front(), plan);
        add_servers({named->address}, plan);
    }
    if (plan.servers.size() <= most_servers) return {};
    return wrong_word(
        request.servers.front().text,
        fmt::format("more than {} servers, including those of the configuration file; remove some",
                    most_servers));
}

}  // namespace

std::expected<BootPlan, BootError> make_boot_plan(const BootRequest& request,
                                                  const std::vector<NetworkAnswer>& answers,
                                                  const Config& config, const DeviceTable& table) {
    BootPlan plan;
    plan.warnings = request.warnings;
    std::vector<DeviceClaim> claims = claims_of(request);
    if (auto taken = take_servers(request, answers, config, claims, plan); !taken)
        return std::unexpected{taken.error()};
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
    const Choices words = plan.options;
    plan.options = merged(words, config.choices_for(device.index));
    plan.patience = patience_of(request, words, plan.options);
    auto further = plan_further_disks(request, answers, config, table,
                                      {plan.device_index, plan.servers, plan.patience}, plan.warnings);
    if (!further) return std::unexpected{further.error()};
    plan.further = *std::move(further);
    if (request.limit) plan.patience = std::min(plan.patience, *request.limit);
    plan.file_decides_patience = !request.patience && !words.wait;
    return plan;
}

seconds foreseen_patience(const BootRequest& request, const Config& config) {
    const auto read = read_boot_options(request.servers.front().named.options);
    const Choices words = read ? read->choices : Choices{};
    const NbdDevice device = foreseen_device(request, claims_of(request));
    return patience_of(request, words, merged(words, config.choices_for(device.index)));
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
