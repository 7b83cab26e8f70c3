// Commands: each takes its options, talks to the user, and returns the exit status.
#pragma once

#include <cstdint>
#include <string_view>

#include "client/command/options.hh"
#include "client/process/exit_code.hh"
#include "client/process/process_title.hh"

namespace holdfast::client {

[[nodiscard]] ExitCode run_attach(const AttachOptions& options, ProcessTitle& title);
[[nodiscard]] ExitCode run_detach(const DetachOptions& options);
[[nodiscard]] ExitCode run_status(const StatusOptions& options);
[[nodiscard]] ExitCode run_takeover(const TakeoverOptions& options, ProcessTitle& title);
[[nodiscard]] ExitCode run_resize(const ResizeOptions& options);
[[nodiscard]] ExitCode run_confine(const ConfineOptions& options);
[[nodiscard]] ExitCode run_devices(const DevicesOptions& options);
[[nodiscard]] ExitCode run_import_config(const ImportConfigOptions& options);
[[nodiscard]] ExitCode run_list(const ListOptions& options);
[[nodiscard]] ExitCode run_boot_files(const BootFilesOptions& options);
[[nodiscard]] ExitCode run_boot(const BootCommandOptions& options, ProcessTitle& title);
[[nodiscard]] ExitCode run_boot_network(const BootCommandOptions& options);
[[nodiscard]] ExitCode run_prepare_root(const PrepareRootOptions& options);
[[nodiscard]] ExitCode run_keep_network(const KeepNetworkOptions& options);

// complain() prints "holdfast-client: TEXT" and a newline on standard error; say() prints the unchanged text
// on standard output.
void complain(std::string_view text);
void say(std::string_view text);
// For ask(): reports that the command still waits for the daemon.
void say_waiting(std::uint32_t index);

}  // namespace holdfast::client
