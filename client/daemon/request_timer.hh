// The block layer's timer for the device's requests (queue/io_timeout), which has two faces: a request that
// was in flight when its link died is sent again when its timer fires next and not before (nbd_xmit_timeout),
// so the timer should be short; and for one that is merely slow each firing is a line in the kernel's log, so
// with a slow server it should be long.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

#include "client/kernel/sysfs.hh"
#include "common/linux/fd.hh"

namespace holdfast::client {

inline constexpr std::chrono::milliseconds shortest_request_timer{2500};
inline constexpr std::chrono::milliseconds longest_request_timer{30'000};

// The timer for requests that take so long on average. Pure.
[[nodiscard]] std::chrono::milliseconds request_timer_for(std::chrono::milliseconds latency) noexcept;

// A small process of its own that changes the attribute, and the other one of the queue that the daemon looks
// after, the largest request (queue/max_sectors_kb). Since Linux 6.11 the kernel lets such a change wait
// for the requests in flight, and these may wait for the one who makes the change.
class RequestTimer {
public:
    // Empty (set() does nothing) when there is no process to be had. Ends with its owner.
    // `own_timer`: set() does something; otherwise the administrator has chosen the timer.
    [[nodiscard]] static RequestTimer start(std::uint32_t index, bool own_timer);
    // May be called after the seal.
    void set(std::chrono::milliseconds timer) noexcept;
    // The largest request becomes so many KiB. May be called after the seal.
    void set_largest_request(std::uint64_t kib) noexcept;
    // The daemon has come into its SELinux domain: its process follows. May be called after the seal.
    void look() noexcept;
    [[nodiscard]] std::chrono::milliseconds current() const noexcept { return current_; }
    // Descriptor of the pipe to the process; -1 without one. Stays the timer's.
    [[nodiscard]] int descriptor() const noexcept { return orders_.get(); }

private:
    // The attribute is to have the value. none: no other value.
    enum class Attribute : std::uint32_t { none, io_timeout, max_sectors_kb };
    struct Setting {
        Attribute attribute = Attribute::none;
        std::uint32_t value = 0;
    };
    void order(Setting setting) noexcept;
    [[noreturn]] static void keep(const SysfsDevice& sysfs, int orders);

    Fd orders_;
    bool own_timer_ = true;
    std::chrono::milliseconds current_{0};  // not known, before the first set()
};

}  // namespace holdfast::client
