// Shows a boot plan to a person. Pure; use only before the daemon's seal.
#pragma once

#include <string>

#include "client/boot/boot_plan.hh"

namespace holdfast::client {

// Returns everything that the plan decides, as lines without warnings: servers, device and root; how the disk
// is attached and mounted; how it is kept.
[[nodiscard]] std::string plan_text(const BootPlan& plan);

}  // namespace holdfast::client
