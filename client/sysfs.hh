// What /sys/block tells of an nbd device. Reads by directory descriptor, so that the daemon can go on reading
// after switch_root has emptied its "/".
#pragma once

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

    // The text of an attribute without its newline; empty when it is not there. May be called after the seal
    // as far as memory goes up to a short string.
    [[nodiscard]] std::string attribute(const char* name) const;
    // The same, where it matters why there is no text.
    [[nodiscard]] Result<std::string> read(const char* name) const;
    [[nodiscard]] std::optional<std::uint64_t> number(const char* name) const;

    // The kernel has the device connected: its `pid` attribute is there.
    [[nodiscard]] bool connected() const { return number("pid").has_value(); }
    [[nodiscard]] std::uint64_t size() const { return number("size").value_or(0) * 512; }
    // False when the device is disconnected for certain, or connected under another identifier. What cannot
    // be read at this moment (no memory, no right) proves nothing: a daemon that left for it would be missed.
    [[nodiscard]] bool may_be(std::string_view identifier) const;
    // Requests that the block layer waits for.
    [[nodiscard]] std::uint64_t in_flight() const;
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
