// holdfast-netboot: reads the command line, runs the command, returns its exit status.

#include <cstdio>
#include <string>
#include <vector>

#include "common/linux/standard_streams.hh"
#include "netboot/command/commands.hh"

namespace holdfast::netboot {
namespace {

struct Command {
    std::string_view name;
    ExitCode (*run)(const Options& options);
};

ExitCode run_help(const Options& options) {
    say(help_text(options.host));
    return ExitCode::ok;
}

ExitCode run_version(const Options&) {
    say("holdfast-netboot " HOLDFAST_VERSION "\n");
    return ExitCode::ok;
}

constexpr Command commands[] = {
    {"init", run_init},       {"add", run_add},   {"remove", run_remove},
    {"default", run_default}, {"take", run_take}, {"list", run_list},
    {"check", run_check},     {"help", run_help}, {"version", run_version},
};

ExitCode run(const std::vector<std::string>& words) {
    const auto options = read_options(words);
    if (!options) return fail(options.error(), ExitCode::usage);
    for (const Command& command : commands) {
        if (command.name != options->command) continue;
        const ExitCode code = command.run(*options);
        // Fails if output was lost: a full disk or a closed pipe behind standard output.
        return std::fflush(stdout) == 0 || code != ExitCode::ok ? code : ExitCode::failure;
    }
    return ExitCode::usage;
}

}  // namespace
}  // namespace holdfast::netboot

int main(int argc, char** argv) {
    using namespace holdfast::netboot;
    if (!holdfast::open_standard_streams()) return static_cast<int>(ExitCode::failure);
    return static_cast<int>(run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc)));
}
