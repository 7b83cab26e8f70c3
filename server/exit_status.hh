// Exit statuses of holdfast-server, documented in holdfast-server(8). sysvinit/holdfast-server relies on the
// difference of 4 and 5, after which the other exports are served, from 1, and of 5, with which a reload
// would change nothing, from 4.
#pragma once

#include <string>
#include <vector>

#include "server/config/config.hh"
#include "server/process/service_user.hh"

namespace holdfast::server {

enum Exit : int {
    good = 0,
    not_started = 1,
    bad_usage = 2,
    left_stuck = 3,
    exports_refused = 4,
    files_skipped = 5
};

// Status for mistakes that keep the server from starting.
[[nodiscard]] int exit_of(const std::vector<Remark>& errors);
// Mistake in the configured user or group: at the position of its key, or of the file as a whole if
// the default user or the name service is at fault.
[[nodiscard]] Remark remark_of(const ServiceUserFault& fault, const Config& config,
                               const std::string& config_path);

}  // namespace holdfast::server
