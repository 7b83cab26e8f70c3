// When the kernel may be told a device's new size. Since about Linux 6.10 that waits for every request in
// flight, and with the lock that a new link would need: a link that dies then could never be replaced. So it
// is only done on a link that the kernel was seen to use, that has answered just now, and on which nothing is
// stuck. What remains is a request that arrives within the call itself, on a link that dies in the same
// moment. Pure.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/text/fixed_text.hh"

namespace holdfast::client {

struct GrowthFacts {
    bool proved = false;          // the kernel uses this link, and no older one
    bool answered = false;        // something came on it within the last moments
    std::uint64_t in_flight = 0;  // requests
    std::chrono::milliseconds link_age{
        0};  // requests of a link before are resent within longest_request_timer
    std::chrono::milliseconds stalled{0};  // no request was answered for so long, although some are in flight
};

enum class GrowthStep : std::uint8_t {
    wait,
    prove,  // a read would tell whether the link answers
    grow,
};
[[nodiscard]] GrowthStep growth_step(const GrowthFacts& facts) noexcept;

// How recent an answer must be.
inline constexpr std::chrono::milliseconds fresh_answer{2000};

// Reason why a growth waits, in words for the caller of resize.
[[nodiscard]] LineText reason_to_wait(const GrowthFacts& facts);

}  // namespace holdfast::client
