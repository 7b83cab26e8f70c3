// attach: the options become a request; what attach.hh reports is printed.

#include <fmt/format.h>

#include "client/attach.hh"
#include "client/commands.hh"

namespace holdfast::client {

ExitCode run_attach(const AttachOptions& options, ProcessTitle& title) {
    close_inherited();
    AttachRequest request;
    request.search.servers = options.servers;
    request.index = options.index;
    request.search.block_size = options.block_size;
    request.policy.request_timeout = options.request_timeout;
    request.search.patience = options.patience;
    request.read_only = options.read_only;
    const AttachOutcome outcome = attach(request, title, [&](std::string_view line, bool is_error) {
        if (is_error || !options.quiet) complain(line);
    });
    // The device's name is what a script wants to catch.
    if (outcome.code == ExitCode::ok && !options.quiet) say(fmt::format("/dev/nbd{}\n", outcome.index));
    return outcome.code;
}

}  // namespace holdfast::client
