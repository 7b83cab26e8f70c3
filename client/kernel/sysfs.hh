// What /sys/block tells of an nbd device. Reads by directory descriptor, so that the daemon can go on reading
// after switch_root has emptied its "/".
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
    // ENOENT: there is no such device. `block` is /sys/block, or a copy of it for tests.
    [[nodiscard]] static Result<SysfsDevice> open(std::uint32_t index, const char* block = "/sys/block");

    // Descriptor of the device's folder; the device keeps it.
    [[nodiscard]] int directory() const noexcept { return directory_.get(); }

    // The text of an attribute without its newline, in the caller's memory. May be called after the seal,
    // like all that gives numbers and truth values.
    using Room = std::array<char, 256>;
    [[nodiscard]] Result<std::string_view> read(const char* name, Room& room) const noexcept;
    // The same; empty when it is not there. Allocates.
    [[nodiscard]] std::string attribute(const char* name) const;
    [[nodiscard]] std::optional<std::uint64_t> number(const char* name) const noexcept;
    // Changes an attribute. The kernel may first wait for the requests that are in flight (queue attributes,
    // since Linux 6.11): never from the process that must bring the link back.
    [[nodiscard]] Result<void> write(const char* name, std::string_view text) const noexcept;

    // The largest read or write that the kernel makes for the device, in bytes (queue/max_sectors_kb); 0: not
    // known.
    [[nodiscard]] std::uint64_t largest_request() const noexcept;
    // Lowers it to `bytes`, which is a multiple of 1024 and not below a page, where it is larger. Waits like
    // write().
    [[nodiscard]] Result<void> limit_requests(std::uint64_t bytes) const noexcept;

    // The kernel has the device connected: its `pid` attribute is there.
    [[nodiscard]] bool connected() const noexcept { return number("pid").has_value(); }
    [[nodiscard]] std::uint64_t size() const noexcept { return number("size").value_or(0) * 512; }
    // False when the device is disconnected for certain, or connected under another identifier. What cannot
    // be read at this moment (no memory, no right) proves nothing: a daemon that left for it would be missed.
    [[nodiscard]] bool may_be(std::string_view identifier) const noexcept;
    // Requests that were sent, or begun to be, and are not answered. Those that find every socket dead sleep
    // before that point and are not among them.
    [[nodiscard]] std::uint64_t in_flight() const noexcept;
    // Writes that have been completed since the device was made.
    [[nodiscard]] std::uint64_t writes() const noexcept;
    // All requests that have been completed since then, and how long they took, added up.
    struct Totals {
        std::uint64_t requests = 0;
        std::chrono::milliseconds time{0};
    };
    [[nodiscard]] Totals totals() const noexcept;
    // "nbd0p1", ... in the order of their numbers.
    [[nodiscard]] std::vector<std::string> partitions() const;
    // Names below holders/ of the disk or of one partition: what is stacked on it.
    [[nodiscard]] std::vector<std::string> holders(const std::string& partition) const;

private:
    SysfsDevice(Fd directory, std::string name) : directory_(std::move(directory)), name_(std::move(name)) {}
    Fd directory_;
    std::string name_;  // "nbd0"
};

// The indices of every nbd device that the kernel has, connected or not, in order.
[[nodiscard]] std::vector<std::uint32_t> nbd_devices(const char* block = "/sys/block");

}  // namespace holdfast::client
