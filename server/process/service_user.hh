// User and group of the process that serves clients.
#pragma once

#include <sys/types.h>

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "common/linux/result.hh"

namespace holdfast::server {

struct ServiceUser {
    uid_t uid = 0;
    gid_t gid = 0;
    std::string user;           // empty: user and supplementary groups stay unchanged
    std::vector<gid_t> groups;  // the user's groups; valid only if there is a user
};

// User to switch to from root if none is configured.
inline constexpr const char* default_user = "holdfast-server";

struct ServiceUserFault {
    bool of_group = false;  // true: fault of the group; false: of the user
    std::string text;
};

// Looks up the names. A user without a group brings the user's own group. Empty if both names are empty and
// the process is not root or there is no default_user. Waits at most 10 seconds for the name service. Call
// before there are threads.
[[nodiscard]] std::expected<std::optional<ServiceUser>, ServiceUserFault> find_identity(
    const std::string& user, const std::string& group);

// Switches to the identity for good, and verifies that there is no way back. Call before there are threads.
[[nodiscard]] Result<void> become(const ServiceUser& identity);

}  // namespace holdfast::server
