// resize: looks at the size of a device's export now, and grows the device.

#include "client/commands.hh"

namespace holdfast::client {

ExitCode run_resize(const ResizeOptions&) {
    complain("resize: not in this build");
    return ExitCode::failure;
}

}  // namespace holdfast::client
