// Decides when to set a device's new size in the kernel. Since about Linux 6.10 this waits for every request
// in flight, holding the lock that a new link would need: a link that dies meanwhile could never be replaced.
// So the size is set only on a link that the kernel is known to use, that has answered just now, and on which
// no request is stuck. The remaining risk is a request that arrives during the call itself, on a link that
// dies in the same moment. Pure.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/text/fixed_text.hh"

namespace holdfast::client {

struct GrowthFacts {
    bool proved = false;                    // the kernel uses this link, and no older link
    bool older_links = false;               // the kernel may use a link of a previous daemon
    bool answered = false;                  // data arrived on the link within the last moments; if requests
                                            // are not counted: a read was answered
    bool counted = true;                    // the kernel counts requests: queue/iostats
    std::uint64_t in_flight = 0;            // requests; valid only if counted
    std::chrono::milliseconds link_age{0};  // old links' requests are resent within longest_request_timer
    std::chrono::milliseconds stalled{0};   // time without an answered request while requests are in flight;
                                            // valid only if counted
};

enum class GrowthStep : std::uint8_t {
    wait,
    prove,  // a read must prove that the link answers
    grow,
};
[[nodiscard]] GrowthStep growth_step(const GrowthFacts& facts) noexcept;

// Maximum age of a usable answer.
inline constexpr std::chrono::milliseconds fresh_answer{2000};

// Reason why a growth waits, for the caller of resize.
[[nodiscard]] LineText reason_to_wait(const GrowthFacts& facts);

}  // namespace holdfast::client
