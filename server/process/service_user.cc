// Changes the groups before the user, and verifies that root is gone.

#include "server/process/service_user.hh"

#include <fmt/core.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <chrono>

#include "server/process/helper_process.hh"

namespace holdfast::server {

namespace {

using Found = std::expected<std::optional<ServiceUser>, ServiceUserFault>;

std::vector<gid_t> groups_of(const ServiceUser& identity) {
    int count = 64;
    std::vector<gid_t> groups(static_cast<std::size_t>(count));
    while (::getgrouplist(identity.user.c_str(), identity.gid, groups.data(), &count) < 0) {
        if (count <= static_cast<int>(groups.size())) return {identity.gid};
        groups.resize(static_cast<std::size_t>(count));
    }
    groups.resize(static_cast<std::size_t>(count));
    return groups;
}

// Waits for the name service.
Found look_up(const std::string& user, const std::string& group) {
    if (user.empty() && group.empty()) {
        if (::geteuid() != 0 || ::getpwnam(default_user) == nullptr) return std::nullopt;
        return look_up(default_user, group);
    }
    ServiceUser identity{::getuid(), ::getgid(), user, {}};
    if (!user.empty()) {
        const passwd* entry = ::getpwnam(user.c_str());
        if (entry == nullptr)
            return std::unexpected(ServiceUserFault{false, fmt::format("user = {}: no such user", user)});
        identity.uid = entry->pw_uid;
        identity.gid = entry->pw_gid;
    }
    if (!group.empty()) {
        const ::group* entry = ::getgrnam(group.c_str());
        if (entry == nullptr)
            return std::unexpected(ServiceUserFault{true, fmt::format("group = {}: no such group", group)});
        identity.gid = entry->gr_gid;
    }
    if (!user.empty()) identity.groups = groups_of(identity);
    return identity;
}

}  // namespace

Found find_identity(const std::string& user, const std::string& group) {
    constexpr std::chrono::seconds patience{10};
    const auto answer = ask_helper(
        [&] {
            const Found found = look_up(user, group);
            OpenerAnswer made;
            made.packed.number(std::uint8_t{found.has_value()});
            if (!found) {
                made.packed.number(std::uint8_t{found.error().of_group});
                made.packed.text(found.error().text);
                return made;
            }
            if (!*found) return made;
            made.packed.text((*found)->user);
            made.packed.number((*found)->uid);
            made.packed.number((*found)->gid);
            for (const gid_t one : (*found)->groups) made.packed.number(one);
            return made;
        },
        patience);
    if (!answer) {
        const std::string names = fmt::format("user = {}, group = {}: ", user, group);
        return std::unexpected(
            ServiceUserFault{false, (user.empty() && group.empty() ? "" : names) + answer.error()});
    }
    Unpacker from(answer->bytes);
    if (!from.flag()) {
        const bool of_group = from.flag();
        return std::unexpected(ServiceUserFault{of_group, from.text()});
    }
    if (from.complete()) return std::nullopt;
    ServiceUser identity;
    identity.user = from.text();
    identity.uid = from.number<uid_t>();
    identity.gid = from.number<gid_t>();
    while (from.sound() && !from.complete()) identity.groups.push_back(from.number<gid_t>());
    return identity;
}

Result<void> become(const ServiceUser& identity) {
    // Groups first: they cannot be changed after root is given up.
    if (!identity.user.empty() && ::geteuid() == 0 &&
        ::setgroups(identity.groups.size(), identity.groups.data()) != 0) {
        return sys_error("setgroups");
    }
    if (::setresgid(identity.gid, identity.gid, identity.gid) != 0) return sys_error("setresgid");
    if (::setresuid(identity.uid, identity.uid, identity.uid) != 0) return sys_error("setresuid");
    if (identity.uid != 0 && (::setuid(0) == 0 || ::seteuid(0) == 0)) {
        return std::unexpected(SysError{EPERM, "root could be regained after setresuid"});
    }
    return {};
}

}  // namespace holdfast::server
