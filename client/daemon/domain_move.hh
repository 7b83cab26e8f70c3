// Move of a running daemon into its SELinux domain.
#pragma once

#include <utility>

#include "client/daemon/kept_device.hh"
#include "client/daemon/queue_limits.hh"
#include "client/process/selinux_domain.hh"

namespace holdfast::client {

class DomainMove {
public:
    // The arguments must outlive the object.
    DomainMove(const KeptDevice& device, RecordStore& store, QueueLimits& limits) noexcept
        : device_(device), store_(store), limits_(limits) {}

    // Sets the domain of this process, with the files that the daemon continues to use; without this call
    // nothing is moved. Before the seal.
    void open(SelinuxDomain domain) { domain_ = std::move(domain); }
    // Call regularly: moves once the policy is loaded and the files have their labels. May be called after
    // the seal. Returns true at the move.
    bool advance(SelinuxDomain::Clock::time_point now);
    [[nodiscard]] const SecurityContext& context() const noexcept { return domain_.context(); }

private:
    const KeptDevice& device_;
    RecordStore& store_;
    QueueLimits& limits_;
    SelinuxDomain domain_;
};

}  // namespace holdfast::client
