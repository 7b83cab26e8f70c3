// attach: turns the options into a request, and prints the reports of attach.hh.

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "client/attach/attach.hh"
#include "client/attach/takeover.hh"
#include "client/boot/boot_files.hh"
#include "client/command/commands.hh"
#include "client/config/config_files.hh"
#include "client/control/record_file.hh"
#include "client/kernel/udev_settling.hh"
#include "client/process/hardening.hh"
#include "common/linux/service_notice.hh"

namespace holdfast::client {
namespace {

// Client and server may power up at the same switch; the server may take longer.
constexpr std::chrono::seconds table_patience{30};
constexpr std::chrono::seconds udev_patience{30};

// Returns the device's line in the table, if the command line names no servers.
std::expected<std::optional<DeviceLine>, std::string> line_for(const AttachOptions& options) {
    if (!options.servers.empty() || !options.index) return std::nullopt;
    const auto table = load_device_table();
    if (!table) return std::unexpected(table.error());
    const DeviceLine* const line = table->find(*options.index);
    if (line == nullptr) return std::nullopt;
    const auto is_its = [line](const Remark& remark) { return remark.position.line == line->line; };
    for (const Remark& warning : table->warnings)
        if (is_its(warning)) complain("warning: " + to_string(warning));
    if (!line->refused) return *line;
    const auto error = std::ranges::find_if(table->errors, is_its);
    return std::unexpected(error == table->errors.end() ? "" : to_string(*error));
}

// Returns the servers of the command line or of the files. Fails if neither names a server.
std::expected<std::vector<ServerAddress>, std::string> servers_for(const AttachOptions& options,
                                                                   const std::optional<DeviceLine>& line,
                                                                   const Config& config) {
    std::vector<ServerAddress> servers = line ? line->servers : options.servers;
    if (servers.empty() && options.index) servers = config.servers_of(*options.index);
    // A device whose daemon died has its servers in its record.
    if (servers.empty() && !(options.index && is_orphan(*options.index)))
        return std::unexpected{
            fmt::format("attach: missing export; name one, for example nbd://server/name, or add a line for "
                        "nbd{} to {}, or its server to {}",
                        options.index.value_or(0), default_device_table,
                        options.config_file.value_or(default_config_file))};
    return servers;
}

// Decides whether the daemon renews DHCP leases: outside the initramfs another program maintains the
// addresses; lease= in the files applies only to boot.
void choose_lease_care(AttachRequest& request, const std::optional<LeaseCare>& chosen,
                       const BootFiles& files) {
    const LeaseCare usual = request.carries_root ? LeaseCare::renew : LeaseCare::leave;
    request.chosen.lease = chosen;
    request.policy.lease = chosen.value_or(usual);
    if (request.policy.lease == LeaseCare::renew)
        request.leases = leases_in(read_network_answers(files), ip_word(files));
}

// Merges the command line with the files; the command line has priority. Fails if neither names a server.
std::expected<AttachRequest, std::string> request_for(const AttachOptions& options,
                                                      const std::optional<DeviceLine>& line,
                                                      const Config& config) {
    const Choices chosen = line ? merged(options.choices, line->choices) : options.choices;
    const Choices choices = merged(chosen, config.choices_for(options.index));
    AttachRequest request;
    request.index = options.index;
    request.control_group = options.service ? ControlGroup::service : ControlGroup::system;
    if (options.service || line) request.search.patience = table_patience;
    auto servers = servers_for(options, line, config);
    if (!servers) return std::unexpected{std::move(servers.error())};
    request.search.servers = *std::move(servers);
    request.search.block_size = choices.block_size;
    request.search.patience = choices.wait.value_or(request.search.patience);
    request.policy = policy_of(choices);
    request.chosen = choices;
    const BootFiles files;
    // Called in the initramfs, from its shell or a script.
    request.carries_root = !options.service && in_initramfs(files);
    choose_lease_care(request, options.choices.lease, files);
    request.read_only = choices.read_only.value_or(false);
    return request;
}

ExitCode usage_error(std::string_view error) {
    complain(error);
    return ExitCode::usage;
}

// A script that mounts the device by its label, or detaches it, does not run ahead of udev.
void await_udev(std::uint32_t index) {
    if (settle_udev(index, udev_patience) == UdevSettling::late)
        complain(
            fmt::format("/dev/nbd{}: udev has not processed the device within {} s; links in /dev/disk may "
                        "be missing",
                        index, udev_patience.count()));
}

// Reports the end of attaching to the person, the script or the service manager that waits.
void report(const AttachOptions& options, const AttachOutcome& outcome) {
    if (outcome.code == ExitCode::unreachable && !options.index)
        if (const auto index = read_device(options.servers[0].host))
            complain(
                fmt::format("nbd{}: interpreted as a host; write /dev/nbd{} for the device", *index, *index));
    if (outcome.code != ExitCode::ok) return;
    if (options.service)
        notify_service_manager(fmt::format("MAINPID={}\nREADY=1", outcome.daemon));
    else if (!options.quiet)  // the device's name, for scripts
        say(fmt::format("/dev/nbd{}\n", outcome.index));
}

}  // namespace

ExitCode run_attach(const AttachOptions& options, ProcessTitle& title) {
    close_inherited();
    const auto config = load_config(options.config_file);
    if (!config) {
        for (const std::string& error : config.error()) complain(error);
        return ExitCode::usage;
    }
    const auto line = line_for(options);
    if (!line) return usage_error(line.error());
    // Its unit would be stopped in the order of the shutdown, and by the administrator.
    if (options.service && carries_root(*options.index)) {
        complain(fmt::format(
            "/dev/nbd{}: attached by the initramfs for the root file system; no service may stop it",
            *options.index));
        return ExitCode::busy;
    }
    const auto request = request_for(options, *line, *config);
    if (!request) return usage_error(request.error());
    const AttachOutcome outcome = attach(*request, title, [&](std::string_view note, bool is_error) {
        if (is_error || !options.quiet) complain(note);
    });
    // A unit of systemd waits for the device itself.
    if (outcome.code == ExitCode::ok && !options.service) await_udev(outcome.index);
    report(options, outcome);
    return outcome.code;
}

}  // namespace holdfast::client
