// Everything that needs more (locked memory's limit, the OOM score, IO_FLUSHER) is done before this is
// called.

#include "client/capabilities.hh"

#include <cap-ng.h>

#include <string>

namespace holdfast::client {

std::string keep_needed_capabilities(const FurtherNeeds& needs) {
    ::capng_clear(CAPNG_SELECT_BOTH);
    const auto kept = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET);
    if (::capng_update(CAPNG_ADD, kept, CAP_SYS_ADMIN) != 0) return "capng_update failed";
    if (needs.any_file && ::capng_update(CAPNG_ADD, kept, CAP_DAC_OVERRIDE) != 0)
        return "capng_update failed";
    if (needs.reboot && ::capng_update(CAPNG_ADD, kept, CAP_SYS_BOOT) != 0) return "capng_update failed";
    const int code = ::capng_apply(CAPNG_SELECT_BOTH);
    return code == 0 ? "" : "capng_apply failed with code " + std::to_string(code);
}

void give_up_capabilities() noexcept {
    ::capng_clear(CAPNG_SELECT_BOTH);
    // The bounding set needs CAP_SETPCAP. The other sets can always be emptied.
    if (::capng_apply(CAPNG_SELECT_BOTH) != 0) (void)::capng_apply(CAPNG_SELECT_CAPS);
}

}  // namespace holdfast::client
