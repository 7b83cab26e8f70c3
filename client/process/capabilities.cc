// Drops capabilities after everything that needs more of them (locked memory's limit, the OOM score,
// IO_FLUSHER) is done.

#include "client/process/capabilities.hh"

#include <cap-ng.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <string>

namespace holdfast::client {

std::string keep_needed_capabilities(const FurtherNeeds& needs) {
    ::capng_clear(CAPNG_SELECT_BOTH);
    const auto kept = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET);
    if (::capng_update(CAPNG_ADD, kept, CAP_SYS_ADMIN) != 0) return "capng_update failed";
    if (needs.any_file && ::capng_update(CAPNG_ADD, kept, CAP_DAC_OVERRIDE) != 0)
        return "capng_update failed";
    if (needs.reboot && ::capng_update(CAPNG_ADD, kept, CAP_SYS_BOOT) != 0) return "capng_update failed";
    // Kept until the daemon drops CAP_NET_ADMIN; never inherited by programs that the daemon starts.
    constexpr auto until_given_up = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED);
    if (needs.sockets && ::capng_update(CAPNG_ADD, until_given_up, CAP_NET_ADMIN) != 0)
        return "capng_update failed";
    const int code = ::capng_apply(CAPNG_SELECT_BOTH);
    return code == 0 ? "" : "capng_apply failed with code " + std::to_string(code);
}

std::string keep_network_capability() {
    ::capng_clear(CAPNG_SELECT_BOTH);
    constexpr auto kept = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED);
    if (::capng_update(CAPNG_ADD, kept, CAP_NET_ADMIN) != 0) return "capng_update failed";
    const int code = ::capng_apply(CAPNG_SELECT_BOTH);
    return code == 0 ? "" : "capng_apply failed with code " + std::to_string(code);
}

// Uses the system calls: libcap-ng may open a file of /proc.
void give_up_socket_rights() noexcept {
    __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &head, sets.data()) != 0) return;
    constexpr __u32 others = ~(1U << CAP_NET_ADMIN);
    static_assert(CAP_NET_ADMIN < 32, "in the first of the sets' words");
    if ((sets[0].permitted & ~others) == 0) return;
    sets[0].effective &= others;
    sets[0].permitted &= others;
    sets[0].inheritable &= others;
    (void)::syscall(SYS_capset, &head, sets.data());
}

void give_up_capabilities() noexcept {
    ::capng_clear(CAPNG_SELECT_BOTH);
    // Changing the bounding set needs CAP_SETPCAP. The other sets can always be emptied.
    if (::capng_apply(CAPNG_SELECT_BOTH) != 0) (void)::capng_apply(CAPNG_SELECT_CAPS);
}

}  // namespace holdfast::client
