// takeover: replaces the daemon of a device by this program.

#include "client/commands.hh"

namespace holdfast::client {

ExitCode run_takeover(const TakeoverOptions&, ProcessTitle&) {
    complain("takeover: not in this build");
    return ExitCode::failure;
}

}  // namespace holdfast::client
