// Timer of the block layer for the device's requests (queue/io_timeout). Two needs conflict: a request in
// flight on a dead link is resent only when its timer next fires (nbd_xmit_timeout), so the timer should be
// short; but for a merely slow request each firing is a line in the kernel's log, so with a slow server the
// timer should be long.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

#include "client/kernel/sysfs.hh"
#include "client/process/process_title.hh"
#include "common/linux/fd.hh"

namespace holdfast::client {

inline constexpr std::chrono::milliseconds shortest_request_timer{2500};
inline constexpr std::chrono::milliseconds longest_request_timer{30'000};

// Timer for requests with this average latency. Pure.
[[nodiscard]] std::chrono::milliseconds request_timer_for(std::chrono::milliseconds latency) noexcept;

// Separate small process that writes the attribute, and the other queue attribute that the daemon maintains,
// the largest request (queue/max_sectors_kb). Since Linux 6.11 the kernel lets such a write wait for the
// requests in flight, and these requests may wait for the writer.
class RequestTimer {
public:
    // Returns an empty timer (set() has no effect) if the process cannot be started. The process ends with
    // its owner. `own_timer`: set() has an effect; otherwise the administrator has chosen the timer. `title`:
    // for a root disk, the title to mark as systemd demands of a process that survives the switch to the root
    // file system; null: no mark, and the process ends with the others at a shutdown.
    [[nodiscard]] static RequestTimer start(std::uint32_t index, bool own_timer, ProcessTitle* title);
    // May be called after the seal.
    void set(std::chrono::milliseconds timer) noexcept;
    // Sets the largest request, in KiB. May be called after the seal.
    void set_largest_request(std::uint64_t kib) noexcept;
    // Tells the process to follow the daemon into its SELinux domain or AppArmor profile. May be called after
    // the seal.
    void look() noexcept;
    [[nodiscard]] std::chrono::milliseconds current() const noexcept { return current_; }
    // Descriptor of the pipe to the process, owned by the timer; -1 without a process.
    [[nodiscard]] int descriptor() const noexcept { return orders_.get(); }

private:
    // Attribute to set; none: only follow the daemon.
    enum class Attribute : std::uint32_t { none, io_timeout, max_sectors_kb };
    struct Setting {
        Attribute attribute = Attribute::none;
        std::uint32_t value = 0;
    };
    void order(Setting setting) noexcept;
    [[noreturn]] static void keep(const SysfsDevice& sysfs, int orders);

    Fd orders_;
    bool own_timer_ = true;
    std::chrono::milliseconds current_{0};  // 0: unknown, before the first set()
};

}  // namespace holdfast::client
