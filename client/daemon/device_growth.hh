// Growth of the device to a larger size of its export: needs a new link, since a connection keeps its initial
// size, and then the right moment (growth.hh).
#pragma once

#include <cstdint>

#include "client/daemon/disk_proof.hh"
#include "client/daemon/growth.hh"
#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"
#include "client/daemon/link_view.hh"
#include "client/daemon/waiting_caller.hh"

namespace holdfast::client {

// May be used after the seal.
class DeviceGrowth {
public:
    // The arguments must outlive the object.
    DeviceGrowth(Kernel& kernel, KeptDevice& device, RecordStore& store, DiskProof& proof,
                 Answers& answers) noexcept
        : kernel_(kernel), device_(device), store_(store), proof_(proof), caller_(answers) {}

    // True if a new link should be made for this size of the export: once for each size, because a server
    // that names another size on the new link would cause endless reconnects; again if a caller asks.
    [[nodiscard]] bool needs_link(std::uint64_t size, bool asked) const noexcept {
        return size > device_.live.size && wanted_ == 0 && (size != tried_ || asked);
    }
    // A new link is made for this size.
    void begin(std::uint64_t size) noexcept { tried_ = size; }
    // The device is about to grow.
    [[nodiscard]] bool is_due() const noexcept { return wanted_ > device_.live.size; }

    // The link to an export of this size is established, or lost.
    void link_established(std::uint64_t size) noexcept;
    void link_lost() noexcept { wanted_ = 0; }

    // Lets the caller wait for the new size.
    void answer_later(WaitingCaller& caller, Clock::time_point now) noexcept;
    [[nodiscard]] const WaitingCaller& caller() const noexcept { return caller_; }
    void forget(std::size_t slot) noexcept { caller_.forget(slot); }

    // Call regularly, also without a link: a caller may wait for the answer.
    void advance(const LinkView& link, Clock::time_point now);

private:
    [[nodiscard]] GrowthFacts facts(const LinkView& link, Clock::time_point now) noexcept;
    // True if requests were completed since the last call, a moment ago.
    [[nodiscard]] bool completes_requests(Clock::time_point now) noexcept;
    [[nodiscard]] bool may_grow(GrowthFacts& facts, Clock::time_point now) noexcept;
    [[nodiscard]] Result<void> grow_to(std::uint64_t size);

    Kernel& kernel_;
    KeptDevice& device_;
    RecordStore& store_;
    DiskProof& proof_;
    std::uint64_t wanted_ = 0;     // new size of the export, to which the device should grow; 0: none
    std::uint64_t tried_ = 0;      // size for which the last new link was made
    std::uint64_t completed_ = 0;  // requests, at the time counted_
    Clock::time_point counted_{};
    WaitingCaller caller_;          // waits for a new link with the new size
    Clock::time_point caller_due_;  // valid only if caller_ exists: latest answer
};

}  // namespace holdfast::client
