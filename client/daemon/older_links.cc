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
    diagnostics_ = SocketDiagnostics::open_in_time(module_patience);
}

SocketNames OlderLinks::names_with(std::string_view own) const noexcept {
    const SocketNames all = with(names_, own);
    return all.empty() ? SocketNames(no_socket) : all;
}

std::optional<SysError> OlderLinks::problem() const noexcept {
    return diagnostics_ ? std::nullopt : std::optional(diagnostics_.error());
}

Result<void> OlderLinks::end() noexcept {
    if (!any()) return {};
    if (!diagnostics_) return std::unexpected(diagnostics_.error());
    const auto done = diagnostics_->destroy_all(names_);
    if (done) forget();
    return done;
}

}  // namespace holdfast::client
