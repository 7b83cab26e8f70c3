// Shows a boot plan to a person. Pure; use only before the daemon's seal.
#pragma once

#include <string>
#include <string_view>

#include "client/boot/boot_plan.hh"

namespace holdfast::client {

// Returns everything that the plan decides, as lines without warnings: servers, device and root; how the disk
// is attached and mounted; how it is kept.
[[nodiscard]] std::string plan_text(const BootPlan& plan);

// Returns the line for a root disk that was not attached within the plan's patience, with the places where a
// longer time has an effect. `file` is the configuration file.
[[nodiscard]] std::string gave_up_text(const BootPlan& plan, std::string_view file);

}  // namespace holdfast::client
