// boot: runs in the initramfs. boot_plan.hh parses the kernel command line; this file carries the plan out
// and logs every message to the console and to the kernel's log, where it is available after the boot.

#include <fmt/core.h>

#include <utility>

#include "client/attach/attach.hh"
#include "client/boot/boot_files.hh"
#include "client/boot/boot_plan.hh"
#include "client/boot/memory_disk.hh"
#include "client/boot/memory_root.hh"
#include "client/boot/plan_text.hh"
#include "client/command/commands.hh"
#include "client/config/config_files.hh"
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

AttachRequest request_for(const BootPlan& plan, std::vector<GrantedLease> leases) {
    AttachRequest request;
    request.search.servers = plan.servers;
    request.index = plan.device_index;
    request.search.block_size = plan.options.block_size;
    request.policy = policy_of(plan.options);
    if (request.policy.lease == LeaseCare::renew) request.leases = std::move(leases);
    request.search.patience = plan.patience;
    request.read_only = plan.options.read_only.value_or(false);
    request.carries_root = !plan.memory.to_ram;
    request.notes_on_console = true;
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

ExitCode carry_out(BootPlan plan, const BootFiles& files, const std::string& network,
                   std::vector<GrantedLease> leases, ProcessTitle& title) {
    tell_warnings(plan.warnings);
    tell(describe(plan), false);
    for (const std::string& line : describe(plan.memory)) tell(line, false);
    const AttachOutcome outcome = attach(request_for(plan, std::move(leases)), title, tell);
    if (outcome.code == ExitCode::unreachable && !network.empty()) tell(network, true);
    if (outcome.code == ExitCode::unreachable || outcome.code == ExitCode::refused)
        tell(fmt::format("gave up after {} s; set a longer time with rootdelay= on the kernel command line",
                         plan.patience.count()),
             true);
    if (outcome.code != ExitCode::ok) return outcome.code;
    tell(fmt::format("/dev/nbd{} is attached", outcome.index), false);
    if (plan.memory.to_ram)
        if (const ExitCode moved = move_to_memory(plan, outcome.index); moved != ExitCode::ok) return moved;
    if (auto handed = hand_back(files, plan); !handed) {
        tell(handed.error(), true);
        return ExitCode::failure;
    }
    return ExitCode::ok;
}

using LoadedConfig = std::expected<Config, std::vector<std::string>>;

ExitCode plan_and_attach(const BootRequest& request, const BootFiles& files, LoadedConfig config,
                         bool print_only, ProcessTitle& title) {
    const auto answers = read_network_answers(files);
    auto plan = make_boot_plan(request, answers, config_or_none(std::move(config)));
    const std::string network = network_problem(answers, network_interfaces(files), request.ip);
    if (!plan) {
        tell(plan.error().message, true);
        if (!network.empty() && plan.error().word.empty()) tell(network, true);
        return plan.error().word.empty() ? ExitCode::failure : ExitCode::usage;
    }
    if (print_only) return print_plan(*plan);
    // A missing resolver affects only host names, whose errors report it.
    if (auto written = write_resolver_configuration(files, answers); !written) tell(written.error(), true);
    return carry_out(*std::move(plan), files, network, leases_in(answers, request.ip), title);
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
