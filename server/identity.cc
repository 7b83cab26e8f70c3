// Groups before user, and a check that root is gone.

#include "server/identity.hh"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace holdfast::server {

std::expected<std::optional<Identity>, std::string> find_identity(const std::string& user,
                                                                  const std::string& group) {
    if (user.empty() && group.empty()) {
        if (::geteuid() != 0 || ::getpwnam(default_user) == nullptr) return std::nullopt;
        return find_identity(default_user, group);
    }
    Identity identity{::getuid(), ::getgid(), user};
    if (!user.empty()) {
        const passwd* entry = ::getpwnam(user.c_str());
        if (entry == nullptr) return std::unexpected(fmt::format("user = {}: there is no such user", user));
        identity.uid = entry->pw_uid;
        identity.gid = entry->pw_gid;
    }
    if (!group.empty()) {
        const ::group* entry = ::getgrnam(group.c_str());
        if (entry == nullptr)
            return std::unexpected(fmt::format("group = {}: there is no such group", group));
        identity.gid = entry->gr_gid;
    }
    return identity;
}

Result<void> become(const Identity& identity) {
    // Groups first: without root they cannot be changed any more.
    if (!identity.user.empty() && ::geteuid() == 0 &&
        ::initgroups(identity.user.c_str(), identity.gid) != 0) {
        return sys_error("initgroups");
    }
    if (::setresgid(identity.gid, identity.gid, identity.gid) != 0) return sys_error("setresgid");
    if (::setresuid(identity.uid, identity.uid, identity.uid) != 0) return sys_error("setresuid");
    if (identity.uid != 0 && (::setuid(0) == 0 || ::seteuid(0) == 0)) {
        return std::unexpected(SysError{EPERM, "root could be had back after setresuid"});
    }
    return {};
}

}  // namespace holdfast::server
