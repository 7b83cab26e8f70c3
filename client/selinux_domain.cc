// What the kernel has in /proc/PID/attr/current: "kernel" before a policy is loaded, then a context, and
// another security module's text where that has the say.

#include "client/selinux_domain.hh"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

namespace holdfast::client {
namespace {

constexpr std::string_view kernel_domain = ":kernel_t:";
constexpr std::string_view own_domain = ":holdfast_client_t:";

// A context is USER:ROLE:TYPE:LEVEL, and what AppArmor says has no colon.
bool is_context(std::string_view text) { return std::ranges::count(text, ':') >= 2; }

}  // namespace

SecurityContext context_after(std::string_view context) noexcept {
    SecurityContext next;
    const std::size_t at = context.find(kernel_domain);
    if (at == std::string_view::npos) return next;
    next.append(context.substr(0, at));
    next.append(own_domain);
    next.append(context.substr(at + kernel_domain.size()));
    if (next.full()) next.clear();
    return next;
}

SelinuxDomain SelinuxDomain::open(const char* proc) {
    SelinuxDomain domain;
    const std::string path = std::string(proc) + "/thread-self/attr/current";
    domain.current_.reset(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    return domain;
}

SelinuxDomain::Step SelinuxDomain::look() noexcept {
    if (!current_) return Step::none;
    std::array<char, 256> room{};
    const ssize_t count = ::pread(current_.get(), room.data(), room.size(), 0);
    std::string_view text(room.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    while (!text.empty() && (text.back() == '\0' || text.back() == '\n')) text.remove_suffix(1);
    if (text == "kernel") return Step::none;
    context_ = is_context(text) ? SecurityContext(text) : SecurityContext();
    const SecurityContext next = context_after(context_);
    if (next.empty()) {
        current_.reset();
        return Step::none;
    }
    if (::pwrite(current_.get(), next.view().data(), next.view().size(), 0) >= 0) {
        context_ = next;
        current_.reset();
        return Step::moved;
    }
    // The policy has no such domain, and may get it later.
    if (errno == EINVAL) return Step::none;
    current_.reset();
    return Step::forbidden;
}

}  // namespace holdfast::client
