// The daemon's SELinux domain. A daemon that began in the initramfs is older than the policy, and is the
// kernel's (kernel_t) when that has been loaded. It cannot be run anew from a file of the system, which would
// be on its own disk; so it moves by itself, as a policy with holdfast_client allows (setcon(3);
// dyntransition).
//
// The kernel checks the kept descriptors again after the move, and between the load of the policy and the
// labelling of /run, /dev and /sys their files are unlabeled_t or tmpfs_t: some milliseconds with systemd,
// seconds with System V init. So the daemon moves only when each file that it goes on using has its label.
//
// Without SELinux nothing of this does anything. May be used after the seal, by a process of one thread.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

using SecurityContext = FixedText<256>;

// The context to move to from this one: the same with the daemon's type. Empty when it is not the kernel's.
// Pure.
[[nodiscard]] SecurityContext context_after(std::string_view context) noexcept;

class SelinuxDomain {
public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::minutes patience{5};
    static constexpr std::size_t most_kept = 4;

    // A file that this process goes on using. The descriptor is the caller's, stays open, and may be -1: then
    // there is no such file.
    struct Kept {
        int descriptor;
        const char* name;       // for the log
        std::string_view type;  // empty: any type but those of files that nothing has labelled yet
    };
    // As fgetxattr(2) of security.selinux: the length of the context, or -1.
    using ReadLabel = ssize_t (*)(int descriptor, char* room, std::size_t size);

    SelinuxDomain() = default;
    // Reads the calling process's domain; a child opens an object of its own. At most `most_kept` files.
    // (Tests have a folder in the place of /proc, and labels of their own.)
    [[nodiscard]] static SelinuxDomain open(std::initializer_list<Kept> kept, const char* proc = "/proc",
                                            ReadLabel read_label = nullptr);

    enum class Step : std::uint8_t {
        none,
        ready,       // move() is next
        moved,       // by move()
        forbidden,   // by move(), reported once; the process stays in its domain
        unlabelled,  // reported once, when a file has had no label for as long as `patience`
    };
    // To be called now and then, since the kernel reports no load of a policy, and nobody a labelling. Costs
    // a system call for each file at most, and none once the domain is settled.
    [[nodiscard]] Step look(Clock::time_point now) noexcept;
    // After `ready`. Gives `none` where the policy has no such domain: another look may be luckier.
    [[nodiscard]] Step move() noexcept;
    // Empty without SELinux, and before its policy is loaded.
    [[nodiscard]] const SecurityContext& context() const noexcept { return context_; }
    // After `unlabelled`: the file's name and its type.
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
    bool reported_ = false;            // that a file has no label
};

}  // namespace holdfast::client
