// Reads an nbd device's attributes in /sys/block. Uses directory descriptors, so that the daemon can continue
// to read after switch_root has emptied its "/".
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

class SysfsDevice {
public:
    // ENOENT: there is no such device. `block` is /sys/block, or a copy for tests.
    [[nodiscard]] static Result<SysfsDevice> open(std::uint32_t index, const char* block = "/sys/block");

    // Descriptor of the device's folder; owned by the SysfsDevice.
    [[nodiscard]] int directory() const noexcept { return directory_.get(); }

    // Reads an attribute without its newline into the caller's memory. May be called after the seal, like all
    // functions that return numbers and truth values.
    using Room = std::array<char, 256>;
    [[nodiscard]] Result<std::string_view> read(const char* name, Room& room) const noexcept;
    // Returns an attribute as a string; empty if it does not exist. Allocates.
    [[nodiscard]] std::string attribute(const char* name) const;
    [[nodiscard]] std::optional<std::uint64_t> number(const char* name) const noexcept;
    // Changes an attribute. The kernel may first wait for the requests in flight (queue attributes, since
    // Linux 6.11): never write in the process that must restore the link.
    [[nodiscard]] Result<void> write(const char* name, std::string_view text) const noexcept;

    // Largest read or write that the kernel sends to the device, in bytes (queue/max_sectors_kb); 0: unknown.
    [[nodiscard]] std::uint64_t largest_request() const noexcept;
    // Lowers largest_request() to `bytes` if it is larger. `bytes` is a multiple of 1024 and at least a page.
    // Waits like write().
    [[nodiscard]] Result<void> limit_requests(std::uint64_t bytes) const noexcept;

    // True if the kernel has the device connected: its `pid` attribute exists.
    [[nodiscard]] bool connected() const noexcept { return number("pid").has_value(); }
    [[nodiscard]] std::uint64_t size() const noexcept { return number("size").value_or(0) * 512; }
    // Returns false only if the device is certainly disconnected, or connected under another identifier. An
    // unreadable attribute (no memory, no permission) proves nothing, and must not make a daemon exit.
    [[nodiscard]] bool possibly_connected_as(std::string_view identifier) const noexcept;
    // Requests sent, or begun to be sent, and not answered. Requests that find every socket dead sleep before
    // that point and are not counted.
    [[nodiscard]] std::uint64_t in_flight() const noexcept;
    // False with queue/iostats = 0: in_flight() and totals() say nothing then.
    [[nodiscard]] bool counts_requests() const noexcept { return number("queue/iostats").value_or(0) != 0; }
    // True only if certainly no request is in flight.
    [[nodiscard]] bool is_idle() const noexcept;
    // Writes completed since the device was created.
    [[nodiscard]] std::uint64_t writes() const noexcept;
    // Number of all requests completed since the device was created, and their total duration.
    struct Totals {
        std::uint64_t requests = 0;
        std::chrono::milliseconds time{0};
    };
    [[nodiscard]] Totals totals() const noexcept;
    // Returns "nbd0p1", ... in numeric order.
    [[nodiscard]] std::vector<std::string> partitions() const;
    // Names below holders/ of the disk or of a partition: devices stacked on top.
    [[nodiscard]] std::vector<std::string> holders(const std::string& partition) const;

private:
    SysfsDevice(Fd directory, std::string name) : directory_(std::move(directory)), name_(std::move(name)) {}
    Fd directory_;
    std::string name_;  // "nbd0"
};

// Returns the indices of all nbd devices in the kernel, connected or not, in order.
[[nodiscard]] std::vector<std::uint32_t> nbd_devices(const char* block = "/sys/block");

}  // namespace holdfast::client
