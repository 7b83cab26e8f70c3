// attach: the options become a request; what attach.hh reports is printed.

#include <fmt/format.h>

#include "client/attach.hh"
#include "client/boot_environment.hh"
#include "client/commands.hh"
#include "client/config_file.hh"
#include "client/takeover.hh"

namespace holdfast::client {
namespace {

// What the command line says over what the file says. The error is that no server is named in either.
std::expected<AttachRequest, std::string> request_for(const AttachOptions& options, const Config& config) {
    const Choices choices = over(options.choices, config.choices_for(options.index));
    AttachRequest request;
    request.index = options.index;
    request.search.servers = options.servers;
    if (request.search.servers.empty() && options.index)
        request.search.servers = config.servers_of(*options.index);
    // A device whose daemon died remembers its servers itself.
    if (request.search.servers.empty() && !(options.index && is_orphan(*options.index)))
        return std::unexpected{fmt::format(
            "attach: name the export, for example nbd://server/name, or a server for [nbd{}] in {}",
            options.index.value_or(0), options.config_file.value_or(default_config_file))};
    request.search.block_size = choices.block_size;
    request.search.patience = choices.wait.value_or(request.search.patience);
    request.policy = policy_of(choices);
    // A further disk is reached by an address that somebody looks after already, so this is for who asks for
    // it here.
    if (options.choices.lease == LeaseCare::renew) {
        const BootFiles files;
        request.leases = leases_in(read_network_answers(files), ip_word(files));
    }
    request.read_only = choices.read_only.value_or(false);
    return request;
}

}  // namespace

ExitCode run_attach(const AttachOptions& options, ProcessTitle& title) {
    close_inherited();
    const auto config = load_config(options.config_file);
    if (!config) {
        for (const std::string& error : config.error()) complain(error);
        return ExitCode::usage;
    }
    const auto request = request_for(options, *config);
    if (!request) {
        complain(request.error());
        return ExitCode::usage;
    }
    const AttachOutcome outcome = attach(*request, title, [&](std::string_view line, bool is_error) {
        if (is_error || !options.quiet) complain(line);
    });
    // The device's name is what a script wants to catch.
    if (outcome.code == ExitCode::ok && !options.quiet) say(fmt::format("/dev/nbd{}\n", outcome.index));
    return outcome.code;
}

}  // namespace holdfast::client
