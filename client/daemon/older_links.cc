// Ends older links: names from the previous daemon's record, socket diagnostics opened before the seal.

#include "client/daemon/older_links.hh"

#include <chrono>

namespace holdfast::client {
namespace {

// Limit for the kernel to load the module, whose disk may be the very disk that waits for this daemon.
constexpr std::chrono::seconds module_patience{3};

}  // namespace

void OlderLinks::prepare(const SocketNames& recorded) {
    if (recorded.empty() || recorded == no_socket) return;
    diagnostics_ = SocketDiagnostics::open(module_patience, recorded);
}

SocketNames OlderLinks::names_with(std::string_view own) const noexcept {
    const SocketNames all = with(names_, own);
    return all.empty() ? SocketNames(no_socket) : all;
}

std::optional<SysError> OlderLinks::problem() const noexcept {
    return diagnostics_ ? std::nullopt : std::optional(diagnostics_.error());
}

bool OlderLinks::have_vanished() const noexcept {
    if (!any() || !diagnostics_) return false;
    for (std::string_view rest = names_; !rest.empty();)
        if (!diagnostics_->has_vanished(take_name(rest))) return false;
    return true;
}

Result<void> OlderLinks::end() noexcept {
    if (!any()) return {};
    if (!diagnostics_) return std::unexpected(diagnostics_.error());
    const auto done = diagnostics_->destroy_all(names_);
    if (done) forget();
    return done;
}

}  // namespace holdfast::client
