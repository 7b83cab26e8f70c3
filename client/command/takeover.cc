// takeover: replaces the running daemon by a daemon of the installed program, for one device or all.

#include <fmt/core.h>

#include "client/attach/takeover.hh"
#include "client/command/commands.hh"
#include "client/kernel/sysfs.hh"
#include "client/process/hardening.hh"

namespace holdfast::client {
namespace {

void notes(std::string_view line, bool) { complain(line); }

ExitCode take_over_all(ProcessTitle& title) {
    ExitCode code = ExitCode::not_attached;
    for (const std::uint32_t index : nbd_devices()) {
        if (!is_ours(index)) continue;
        const ExitCode one = take_over(index, {}, title, notes);
        if (code == ExitCode::not_attached || code == ExitCode::ok) code = one;
    }
    if (code == ExitCode::not_attached) complain("takeover: no device attached by holdfast-client");
    return code;
}

}  // namespace

ExitCode run_takeover(const TakeoverOptions& options, ProcessTitle& title) {
    close_inherited();
    if (!options.index) return take_over_all(title);
    return take_over(*options.index, {options.servers, options.choices, options.only_check}, title, notes);
}

}  // namespace holdfast::client
