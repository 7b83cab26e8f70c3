// The commands of holdfast-netboot.
#pragma once

#include <string_view>

#include "netboot/command/options.hh"

namespace holdfast::netboot {

// Exit statuses for scripts. holdfast-netboot(8) has the same table.
enum class ExitCode : int {
    ok = 0,
    failure = 1,  // a file, a permission, a missing package
    usage = 2,    // invalid command line, or a host that does not exist
    edited = 3,   // nothing was changed: files that were edited by hand are in the way
    faults = 4,   // check: something is wrong; take: boot files of a host were refused
};

[[nodiscard]] ExitCode run_init(const Options& options);
[[nodiscard]] ExitCode run_add(const Options& options);
[[nodiscard]] ExitCode run_remove(const Options& options);
[[nodiscard]] ExitCode run_default(const Options& options);
[[nodiscard]] ExitCode run_take(const Options& options);
[[nodiscard]] ExitCode run_list(const Options& options);
[[nodiscard]] ExitCode run_check(const Options& options);

// Prints text to standard output.
void say(std::string_view text);
// Prints a line with the program's name to standard error.
void complain(std::string_view line);
// Complains, and returns the status.
[[nodiscard]] ExitCode fail(std::string_view line, ExitCode code = ExitCode::failure);

}  // namespace holdfast::netboot
