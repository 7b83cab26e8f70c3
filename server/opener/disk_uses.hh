// Warnings for exported block devices that this machine itself uses.
#pragma once

#include "server/config/config_file.hh"

namespace holdfast::server {

// Adds to the findings of look_around() a warning for each block device that is mounted here, part of another
// device, or used by this machine's LVM. Skips the paths in `left_out` and those that hang.
void add_uses(const Config& config, const HangingPaths& left_out, Surroundings& around);

}  // namespace holdfast::server
