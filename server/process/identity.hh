// The user and group that the process that speaks to clients runs as.
#pragma once

#include <sys/types.h>

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "common/linux/result.hh"

namespace holdfast::server {

struct Identity {
    uid_t uid = 0;
    gid_t gid = 0;
    std::string user;           // empty: the user stays, and so do the supplementary groups
    std::vector<gid_t> groups;  // of the user; valid only if there is one
};

// Whom root becomes where the configuration names nobody.
inline constexpr const char* default_user = "holdfast-server";

struct IdentityFault {
    bool of_group = false;  // otherwise of the user
    std::string text;
};

// Looks the names up. A user without a group brings its own. None where both are empty, and root finds no
// default_user. The name service is waited for 10 seconds at most. Before there are threads.
[[nodiscard]] std::expected<std::optional<Identity>, IdentityFault> find_identity(const std::string& user,
                                                                                  const std::string& group);

// Becomes it for good, and makes sure that there is no way back. Before there are threads.
[[nodiscard]] Result<void> become(const Identity& identity);

}  // namespace holdfast::server
