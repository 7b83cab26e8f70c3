// What the daemon may still do once it is settled. The only file pair that knows libcap-ng.
#pragma once

#include <string>

namespace holdfast::client {

// Leaves CAP_SYS_ADMIN, which the kernel asks of whoever reconfigures a device, and gives up every other one,
// also in the bounding set. `any_file` leaves CAP_DAC_OVERRIDE, too. Empty, or why it could not be done.
[[nodiscard]] std::string keep_needed_capabilities(bool any_file);

}  // namespace holdfast::client
