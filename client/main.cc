// holdfast-client: reads the command line, runs the command, returns its exit status.

#include <stdio.h>

#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

#include "client/command/commands.hh"
#include "client/command/options.hh"
#include "common/linux/standard_streams.hh"

namespace holdfast::client {
namespace {

struct Run {
    ProcessTitle& title;

    ExitCode operator()(const AttachOptions& options) const { return run_attach(options, title); }
    ExitCode operator()(const DetachOptions& options) const { return run_detach(options); }
    ExitCode operator()(const StatusOptions& options) const { return run_status(options); }
    ExitCode operator()(const TakeoverOptions& options) const { return run_takeover(options, title); }
    ExitCode operator()(const ResizeOptions& options) const { return run_resize(options); }
    ExitCode operator()(const ConfineOptions& options) const { return run_confine(options); }
    ExitCode operator()(const DevicesOptions& options) const { return run_devices(options); }
    ExitCode operator()(const ImportConfigOptions& options) const { return run_import_config(options); }
    ExitCode operator()(const ListOptions& options) const { return run_list(options); }
    ExitCode operator()(const BootFilesOptions& options) const { return run_boot_files(options); }
    ExitCode operator()(const BootCommandOptions& options) const {
        return options.network_only ? run_boot_network(options) : run_boot(options, title);
    }
    ExitCode operator()(const PrepareRootOptions& options) const { return run_prepare_root(options); }
    ExitCode operator()(const KeepNetworkOptions& options) const { return run_keep_network(options); }
    ExitCode operator()(const HelpOptions& options) const {
        say(help_text(options.command));
        return ExitCode::ok;
    }
    ExitCode operator()(const VersionOptions&) const {
        say("holdfast-client " HOLDFAST_VERSION "\n");
        return ExitCode::ok;
    }
};

ExitCode run(int argc, char** argv) {
    ProcessTitle title(argc, argv);
    const auto command = read_command(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
    if (!command) {
        complain(command.error());
        return ExitCode::usage;
    }
    const ExitCode code = std::visit(Run{title}, *command);
    // Fails if output was lost: a full disk or a closed pipe behind standard output.
    return ::fflush(stdout) == 0 || code != ExitCode::ok ? code : ExitCode::failure;
}

}  // namespace
}  // namespace holdfast::client

int main(int argc, char** argv) {
    if (!holdfast::open_standard_streams()) return static_cast<int>(holdfast::client::ExitCode::failure);
    return static_cast<int>(holdfast::client::run(argc, argv));
}
