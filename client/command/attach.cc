// attach: turns the options into a request, and prints the reports of attach.hh.

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "client/attach/attach.hh"
#include "client/attach/takeover.hh"
#include "client/boot/boot_files.hh"
#include "client/command/attach_request.hh"
#include "client/command/commands.hh"
#include "client/config/config_files.hh"
#include "client/control/record_file.hh"
#include "client/kernel/udev_settling.hh"
#include "client/process/hardening.hh"
#include "common/linux/service_notice.hh"

namespace holdfast::client {
namespace {

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
    const auto request = request_for(options, *line, *config, BootFiles{});
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
