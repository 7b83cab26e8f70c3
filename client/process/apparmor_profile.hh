// Moves the daemon into its AppArmor profile. The daemon of the root disk is older than the profiles, which
// are loaded from the disk; and a profile that is attached to the program would confine every command of the
// administrator, too. So the profile has no attachment, and the daemon enters it by itself
// (aa_change_profile(2)): at its start if the profile is loaded by then, else on the command `holdfast-client
// confine`.
//
// An attempt to enter a profile that is not loaded is a denial in the kernel's log: check is_loaded() first.
// The check may wait for another process that loads profiles, so the daemon checks only before its seal.
#pragma once

#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

inline constexpr std::string_view apparmor_profile = "holdfast-client";

// Whether the kernel's list of profiles, lines of "NAME (MODE)", has the daemon's profile. Pure.
[[nodiscard]] bool lists_profile(std::string_view profiles) noexcept;
// Whether the profile is loaded. EOPNOTSUPP: AppArmor is not enabled, or its list cannot be read.
[[nodiscard]] Result<bool> is_profile_loaded(const char* securityfs = "/sys/kernel/security");

class AppArmorProfile {
public:
    AppArmorProfile() = default;
    // For the calling thread; a child process must open its own object. (Tests use a folder instead of
    // /proc.)
    [[nodiscard]] static AppArmorProfile open(const char* proc = "/proc");

    // Enters the profile, unless this process is in the profile already. EOPNOTSUPP: no AppArmor. ENOENT: the
    // profile is not loaded. May be called after the seal.
    [[nodiscard]] Result<void> enter() noexcept;
    [[nodiscard]] bool entered() const noexcept { return entered_; }

private:
    Fd current_;  // empty: no AppArmor
    bool entered_ = false;
};

}  // namespace holdfast::client
