// Reads and writes /proc/PID/attr/apparmor/current: "unconfined" or "NAME (MODE)"; not readable if AppArmor
// is not enabled.

#include "client/process/apparmor_profile.hh"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>

#include "common/linux/text_file.hh"
#include "common/text/text.hh"

namespace holdfast::client {
namespace {

constexpr std::size_t longest_list = 1 << 20;  // bytes
constexpr std::string_view order = "changeprofile holdfast-client";
static_assert(order.ends_with(apparmor_profile));

bool is_of_profile(std::string_view line) {
    return line.starts_with(apparmor_profile) && line.substr(apparmor_profile.size()).starts_with(" (");
}

}  // namespace

bool lists_profile(std::string_view profiles) noexcept {
    while (!profiles.empty())
        if (is_of_profile(take_line(profiles))) return true;
    return false;
}

Result<bool> is_profile_loaded(const char* securityfs) {
    const auto profiles = read_text_file(std::string(securityfs) + "/apparmor/profiles", longest_list);
    if (!profiles) return std::unexpected(SysError{EOPNOTSUPP, "read the AppArmor profiles"});
    return lists_profile(*profiles);
}

AppArmorProfile AppArmorProfile::open(const char* proc) {
    AppArmorProfile profile;
    const std::string path = std::string(proc) + "/thread-self/attr/apparmor/current";
    profile.current_.reset(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    return profile;
}

Result<void> AppArmorProfile::enter() noexcept {
    std::array<char, 256> room{};
    const ssize_t count = current_ ? ::pread(current_.get(), room.data(), room.size(), 0) : -1;
    if (count <= 0) return std::unexpected(SysError{EOPNOTSUPP, "read the AppArmor profile"});
    if (is_of_profile({room.data(), static_cast<std::size_t>(count)})) {
        entered_ = true;
        return {};
    }
    // The kernel takes nothing, without an error, from a process that is not the file's.
    if (const ssize_t taken = ::pwrite(current_.get(), order.data(), order.size(), 0);
        taken != static_cast<ssize_t>(order.size())) {
        if (taken >= 0) errno = EPERM;
        return sys_error("enter the AppArmor profile");
    }
    entered_ = true;
    return {};
}

}  // namespace holdfast::client
