// boot: runs in the initramfs. boot_plan.hh parses the kernel command line; this file carries the plan out
// and logs every message to the console and to the kernel's log, where it is available after the boot.

#include <fmt/core.h>
#include <netdb.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "client/attach/attach.hh"
#include "client/attach/takeover.hh"
#include "client/boot/boot_files.hh"
#include "client/boot/boot_plan.hh"
#include "client/boot/memory_disk.hh"
#include "client/boot/memory_root.hh"
#include "client/boot/plan_text.hh"
#include "client/boot/router_solicitation.hh"
#include "client/command/commands.hh"
#include "client/config/config_files.hh"
#include "client/control/record_file.hh"
#include "client/kernel/sysfs.hh"
#include "client/process/hardening.hh"
#include "common/linux/log.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

// Prints on the console, and logs at debug level: the kernel shows its log on the console, too, except debug
// lines. So each line appears once, and dmesg has all.
void tell(std::string_view line, [[maybe_unused]] bool is_error) {
    complain(line);
    log::debug(line);
}

void tell_warnings(const std::vector<std::string>& warnings) {
    for (const std::string& warning : warnings) tell("warning: " + warning, true);
}

std::expected<std::optional<BootRequest>, std::string> read_request(
    const BootFiles& files, std::optional<std::chrono::seconds> limit) {
    auto command_line = read_command_line(files);
    if (!command_line) return std::unexpected(command_line.error());
    auto request = read_boot_request(*command_line, read_boot_variables(files));
    if (!request) return std::unexpected(request.error().message);
    if (*request) (*request)->limit = limit;
    return std::move(*request);
}

// Ignores an invalid configuration file, with warnings: a mistake in a tuning file must not cost the machine
// its root disk. With --config, the mistake is an error.
Config config_or_none(std::expected<Config, std::vector<std::string>> config) {
    if (config) return *std::move(config);
    tell_warnings(config.error());
    tell_warnings({fmt::format("{}: ignored because of its errors", default_config_file)});
    return {};
}

ExitCode print_plan(const BootPlan& plan) {
    say(plan_text(plan));
    for (const std::string& line : describe(plan.memory)) say(line + "\n");
    for (const std::string& warning : plan.warnings) say("warning: " + warning + "\n");
    return ExitCode::ok;
}

void take_choices(const Choices& choices, std::chrono::seconds patience, std::vector<GrantedLease> leases,
                  AttachRequest& request) {
    request.search.block_size = choices.block_size;
    request.policy = policy_of(choices);
    if (request.policy.lease == LeaseCare::renew) request.leases = std::move(leases);
    // 0 would be a single round, which has no end.
    request.search.patience = std::max(patience, std::chrono::seconds{1});
    request.read_only = choices.read_only.value_or(false);
    request.notes_on_console = true;
}

// `end`: of the plan's patience, of which the search for name servers may have used some.
AttachRequest request_for(const BootPlan& plan, Deadline end, std::vector<GrantedLease> leases) {
    AttachRequest request;
    request.search.servers = plan.servers;
    request.index = plan.device_index;
    request.carries_root = !plan.memory.to_ram;
    take_choices(plan.options, std::chrono::ceil<std::chrono::seconds>(end - Clock::now()), std::move(leases),
                 request);
    return request;
}

// Shows the progress of a copy on a single line of the console.
class Progress {
public:
    void operator()(std::uint64_t done, std::uint64_t size) {
        std::string bar = progress_bar(done, size);
        if (bar == shown_) return;
        shown_ = std::move(bar);
        fmt::print(stderr, "\rholdfast-client: {}{}", shown_, done == size ? "\n" : "");
        ::fflush(stderr);
    }

private:
    std::string shown_;
};

// Copies the attached disk to memory, detaches the disk, and makes the copy the root device.
ExitCode move_to_memory(BootPlan& plan, std::uint32_t index) {
    const std::string disk = fmt::format("nbd{}", index);
    tell(fmt::format("{}: copying the disk to memory (holdfast.toram)", disk), false);
    const auto copy = copy_to_memory("/dev/" + disk, Progress());
    if (!copy) tell(copy.error(), true);
    const ExitCode detached = run_detach({.index = index});
    if (!copy || detached != ExitCode::ok) return copy ? detached : ExitCode::failure;
    const std::string root = root_on_copy(plan.root, disk, *copy);
    plan.root_changed = plan.root_changed || root != plan.root;
    plan.root = root;
    tell(fmt::format("{}: detached; the copy is /dev/{}, root {}", disk, *copy, printable(plan.root)), false);
    return ExitCode::ok;
}

// True if an earlier attempt has attached the disk, whose other disks failed then.
bool is_attached_for_root(std::uint32_t index) {
    const auto sysfs = SysfsDevice::open(index);
    return sysfs && sysfs->connected() && carries_root(index) && !is_orphan(index);
}

// Remedy in the messages of attach_further().
constexpr const char* mend_further =
    "correct holdfast.disk= or the table of devices in the initramfs, or add nofail if the root file system "
    "works without the disk";

// Attaches a disk besides the root disk, through the network that reached the root disk's server.
bool attach_further(const FurtherDisk& disk, std::vector<GrantedLease> leases, ProcessTitle& title) {
    if (!disk.problem.empty()) {
        tell(describe(disk), true);
        return false;
    }
    if (is_attached_for_root(disk.index)) {
        tell(fmt::format("/dev/nbd{} is attached already", disk.index), false);
        return true;
    }
    tell(describe(disk), false);
    AttachRequest request;
    request.search.servers = disk.servers;
    request.index = disk.index;
    request.carries_root = true;
    request.may_be_lost = disk.may_fail;
    take_choices(disk.options, disk.patience, std::move(leases), request);
    if (const AttachOutcome outcome = attach(request, title, tell); outcome.code != ExitCode::ok) {
        const bool is_late = outcome.code == ExitCode::unreachable || outcome.code == ExitCode::refused;
        tell(is_late ? fmt::format("nbd{}: {}: not attached within {} s; set a longer time with wait=, or {}",
                                   disk.index, disk.source, disk.patience.count(), mend_further)
                     : fmt::format("nbd{}: {}: not attached, for the reason above; {}", disk.index,
                                   disk.source, mend_further),
             true);
        return false;
    }
    tell(fmt::format("/dev/nbd{} is attached", disk.index), false);
    return true;
}

// Attaches the other disks, all that are possible, so that an administrator sees all faults at once. Not
// `unreachable` or `refused`, which would make the caller try other network cards, and take the root disk's
// network away.
ExitCode attach_all_further(const BootPlan& plan, const std::vector<GrantedLease>& leases,
                            ProcessTitle& title) {
    ExitCode result = ExitCode::ok;
    for (const FurtherDisk& disk : plan.further) {
        if (attach_further(disk, leases, title)) continue;
        if (disk.may_fail)
            tell_warnings({fmt::format("nbd{}: nofail: continuing without this disk", disk.index)});
        else
            result = ExitCode::failure;
    }
    return result;
}

ExitCode attach_root(const BootPlan& plan, Deadline end, const std::string& network,
                     std::vector<GrantedLease> leases, ProcessTitle& title) {
    if (is_attached_for_root(plan.device_index)) {
        tell(fmt::format("/dev/nbd{} is attached already", plan.device_index), false);
        return ExitCode::ok;
    }
    const AttachOutcome outcome = attach(request_for(plan, end, std::move(leases)), title, tell);
    if (outcome.code == ExitCode::unreachable && !network.empty()) tell(network, true);
    if (outcome.code == ExitCode::unreachable || outcome.code == ExitCode::refused)
        tell(gave_up_text(plan, default_config_file), true);
    if (outcome.code == ExitCode::ok) tell(fmt::format("/dev/nbd{} is attached", outcome.index), false);
    return outcome.code;
}

ExitCode carry_out(BootPlan plan, Deadline end, const BootFiles& files, const std::string& network,
                   const std::vector<GrantedLease>& leases, ProcessTitle& title) {
    tell_warnings(plan.warnings);
    tell(describe(plan), false);
    for (const std::string& line : describe(plan.memory)) tell(line, false);
    if (const ExitCode attached = attach_root(plan, end, network, leases, title); attached != ExitCode::ok)
        return attached;
    if (plan.memory.to_ram)
        if (const ExitCode moved = move_to_memory(plan, plan.device_index); moved != ExitCode::ok)
            return moved;
    if (auto handed = hand_back(files, plan); !handed) {
        tell(handed.error(), true);
        return ExitCode::failure;
    }
    return attach_all_further(plan, leases, title);
}

// Returns an empty table if the file is unreadable, with a warning. The plan has the remarks on the lines of
// the initramfs.
DeviceTable table_or_none() {
    auto table = load_device_table();
    if (table) return *std::move(table);
    tell_warnings({table.error()});
    return {};
}

// True if the initramfs can look up the name: it is an address, or in /etc/hosts, or a name server knows it.
bool resolves(const std::string& host) {
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), nullptr, nullptr, &found) != 0) return false;
    ::freeaddrinfo(found);
    return true;
}

bool is_unknown(const ServerAddress& server) {
    return server.kind == ServerAddress::Kind::tcp && !resolves(server.host);
}

// Returns how long to wait for the name servers of routers: the boot's whole patience if the root disk has no
// server without them and no network but that of IPv6, a moment if a name cannot be looked up otherwise, or
// 0.
std::chrono::seconds patience_with_routers(bool only_ipv6, const BootPlan& plan) {
    constexpr std::chrono::seconds moment{5};
    if (only_ipv6 && std::ranges::all_of(plan.servers, is_unknown))
        return std::max(plan.patience, std::chrono::seconds{1});
    const auto has_unknown = [](const FurtherDisk& disk) {
        return std::ranges::any_of(disk.servers, is_unknown);
    };
    const bool any =
        std::ranges::any_of(plan.servers, is_unknown) || std::ranges::any_of(plan.further, has_unknown);
    return any ? std::min(moment, std::max(plan.patience, std::chrono::seconds{1})) : std::chrono::seconds{0};
}

// A network of IPv6 only: name servers are in the advertisements of routers. Returns the answers, then with
// the name servers; a failure affects only host names, whose errors report it. `network` says why there is no
// address of IPv4, if ip= asks for one.
std::vector<NetworkAnswer> with_name_servers(std::vector<NetworkAnswer> answers, const BootPlan& plan,
                                             const std::string& network, bool asks_for_ipv4,
                                             const BootFiles& files) {
    if (!resolver_configuration(answers).empty() || names_resolver(files)) return answers;
    const auto patience = patience_with_routers(answers.empty() && !asks_for_ipv4, plan);
    if (patience.count() == 0) return answers;
    tell("asking IPv6 routers for name servers", false);
    const auto asked = ask_routers(network_interfaces(files), files.run, patience);
    if (!asked) tell(asked.error(), true);
    if (asked && *asked) return read_network_answers(files);
    tell(asks_for_ipv4 && !network.empty()
             ? network
             : "no name server is known, also not from an IPv6 router; name the server by its address in "
               "nbdroot=, or add its name to /etc/hosts in the initramfs",
         true);
    return answers;
}

using LoadedConfig = std::expected<Config, std::vector<std::string>>;

ExitCode plan_and_attach(const BootRequest& request, const BootFiles& files, LoadedConfig config,
                         bool print_only, ProcessTitle& title) {
    const auto began = Clock::now();
    auto answers = read_network_answers(files);
    auto plan = make_boot_plan(request, answers, config_or_none(std::move(config)), table_or_none());
    const std::string network = network_problem(answers, network_interfaces(files), request.ip);
    if (!plan) {
        tell(plan.error().message, true);
        if (!network.empty() && plan.error().word.empty()) tell(network, true);
        return plan.error().word.empty() ? ExitCode::failure : ExitCode::usage;
    }
    if (print_only) return print_plan(*plan);
    const Deadline end = began + plan->patience;
    answers = with_name_servers(std::move(answers), *plan, network, asks_for_ipv4(request.ip), files);
    // A missing resolver affects only host names, whose errors report it.
    if (auto written = write_resolver_configuration(files, answers); !written) tell(written.error(), true);
    return carry_out(*std::move(plan), end, files, network, leases_in(answers, request.ip), title);
}

ExitCode usage_error(const std::vector<std::string>& errors) {
    for (const std::string& error : errors) tell(error, true);
    return ExitCode::usage;
}

ExitCode no_request(bool only_asked) {
    if (!only_asked) tell("no disk for holdfast-client on the kernel command line (nbdroot=)", true);
    return ExitCode::not_attached;
}

}  // namespace

ExitCode run_boot(const BootCommandOptions& options, ProcessTitle& title) {
    BootFiles files;
    if (options.command_line_file) files.command_line = *options.command_line_file;
    const bool only_asked = options.check_only || options.print_only;
    if (!only_asked) {
        close_inherited();
        log::open("holdfast-client", log::Sink::kernel, log::Level::debug);
    }

    LoadedConfig config = load_config(options.config_file);
    if (!config && options.config_file) return usage_error(config.error());
    const auto request = read_request(files, options.limit);
    if (!request) return usage_error({request.error()});
    if (options.check_only && options.config_file) {
        say(*options.config_file + ": good\n");
        return ExitCode::ok;
    }
    if (!*request) return no_request(options.check_only);
    if (options.check_only) return ExitCode::ok;
    return plan_and_attach(**request, files, std::move(config), options.print_only, title);
}

}  // namespace holdfast::client
