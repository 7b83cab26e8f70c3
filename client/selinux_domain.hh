// The daemon's SELinux domain. A daemon that began in the initramfs is older than the policy, and is the
// kernel's (kernel_t) when that has been loaded. It cannot be run anew from a file of the system, which would
// be on its own disk; so it moves by itself, as a policy with holdfast_client allows (setcon(3);
// dyntransition).
//
// Without SELinux nothing of this does anything. May be used after the seal, by a process of one thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/fixed_text.hh"

namespace holdfast::client {

using SecurityContext = FixedText<256>;

// The context to move to from this one: the same with the daemon's type. Empty when it is not the kernel's.
// Pure.
[[nodiscard]] SecurityContext context_after(std::string_view context) noexcept;

class SelinuxDomain {
public:
    // Of the calling process; a child makes one of its own. (Tests have a folder of their own.)
    [[nodiscard]] static SelinuxDomain open(const char* proc = "/proc");

    enum class Step : std::uint8_t {
        none,
        moved,
        forbidden,  // told once; it stays where it is
    };
    // To be called now and then, since nobody says when a policy is loaded, or a module with the domain into
    // it. Costs two system calls at most, and none once the domain is settled.
    [[nodiscard]] Step look() noexcept;
    // Empty without SELinux, and before its policy is loaded.
    [[nodiscard]] const SecurityContext& context() const noexcept { return context_; }

private:
    Fd current_;  // empty: settled
    SecurityContext context_;
};

}  // namespace holdfast::client
