// A request queued to or running in the volume's threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/linux/result.hh"
#include "common/protocol/transmission.hh"
#include "server/connection/nbd_commands.hh"
#include "server/export/full_disks.hh"
#include "server/volume/job_pool.hh"

namespace holdfast::server {

class DiskJob final : public Job {
public:
    // `requests` and `order` must outlive this object; `memory`, the request's buffer, stays with the caller.
    DiskJob(const NbdCommands& requests, const std::atomic<Order>& order, const nbd::Request& to_do,
            std::span<std::uint8_t> memory)
        : request(to_do), area(memory), requests_(requests), order_(order) {}

    void work() noexcept override {
        // After a fence, the client may have sent the request again on another connection.
        if (order_ == Order::fence) return;
        if (request.command == static_cast<std::uint16_t>(nbd::Command::block_status)) {
            status = requests_.block_status(request);
        } else {
            outcome = requests_.carry_out(request, area);
        }
    }

    const nbd::Request request;
    const std::span<std::uint8_t> area;
    Result<void> outcome;
    Result<std::vector<nbd::StatusExtent>> status;  // valid only for a block status
    // Set from the first attempt that found no room on the disk.
    std::unique_ptr<FullDisk::Wait> wait;

private:
    const NbdCommands& requests_;
    const std::atomic<Order>& order_;
};

}  // namespace holdfast::server
