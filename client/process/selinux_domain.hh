// Moves the daemon into its SELinux domain. A daemon started in the initramfs is older than the policy, and
// runs as kernel_t once the policy is loaded. The daemon cannot execute a file of the system, which would be
// on its own disk; so the daemon changes its context itself, as a policy with holdfast_client allows
// (setcon(3); dyntransition).
//
// The kernel checks the kept descriptors again after the move. Between the load of the policy and the
// labelling of /run, /dev and /sys their files are unlabeled_t or tmpfs_t: for some milliseconds with
// systemd, for seconds with System V init. So the daemon moves only once each file that it continues to use
// has its label.
//
// Does nothing without SELinux. May be used after the seal, by a single-threaded process.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

using SecurityContext = FixedText<256>;

// Returns the context to move to: the given context with the daemon's type. Empty if the given type is not
// the kernel's. Pure.
[[nodiscard]] SecurityContext context_after(std::string_view context) noexcept;

class SelinuxDomain {
public:
    using Clock = holdfast::Clock;
    static constexpr std::chrono::minutes patience{5};
    static constexpr std::size_t most_kept = 4;

    // A file that this process continues to use. The caller owns the descriptor and keeps it open; -1 means
    // that there is no such file.
    struct Kept {
        int descriptor;
        const char* name;       // for the log
        std::string_view type;  // empty: any type except those of unlabelled files
    };
    // Like fgetxattr(2) of security.selinux: returns the length of the context, or -1.
    using ReadLabel = ssize_t (*)(int descriptor, char* room, std::size_t size);

    SelinuxDomain() = default;
    // Reads the calling process's domain; a child process must open its own object. At most `most_kept`
    // files. (Tests use a folder instead of /proc, and their own labels.)
    [[nodiscard]] static SelinuxDomain open(std::initializer_list<Kept> kept, const char* proc = "/proc",
                                            ReadLabel read_label = nullptr);

    enum class Step : std::uint8_t {
        none,
        ready,       // call move() next
        moved,       // returned by move()
        forbidden,   // returned by move(), reported once; the process stays in its domain
        unlabelled,  // reported once, if a file has had no label for `patience`
    };
    // Probes the state; call it from time to time, since the kernel does not announce the load of a policy,
    // and labelling is not announced either. Costs at most a system call per file, and none once the domain
    // is settled.
    [[nodiscard]] Step look(Clock::time_point now) noexcept;
    // Changes the domain; call it after `ready`. Returns `none` if the policy has no such domain: a later
    // attempt may succeed.
    [[nodiscard]] Step move() noexcept;
    // Empty without SELinux, and before its policy is loaded.
    [[nodiscard]] const SecurityContext& context() const noexcept { return context_; }
    // Valid after `unlabelled`: the file's name and its type.
    [[nodiscard]] LineText unlabelled() const;

private:
    [[nodiscard]] SecurityContext type_of(const Kept& kept) const noexcept;
    [[nodiscard]] bool is_labelled(const Kept& kept) const noexcept;
    [[nodiscard]] const Kept* first_unlabelled() const noexcept;

    Fd current_;  // empty: settled
    SecurityContext context_;
    ReadLabel read_label_ = nullptr;
    std::array<Kept, most_kept> kept_{};
    std::size_t count_ = 0;
    Clock::time_point policy_seen_{};  // epoch: no policy yet
    bool reported_ = false;            // a missing label was reported
};

}  // namespace holdfast::client
