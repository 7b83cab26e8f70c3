// Notices from the kernel that a block device has appeared, has changed, for example its size, or is gone
// (kobject uevents). The kernel sends them to every process, also without privileges, but not to all
// containers; the messages of udev are not used. A notice only says that a look is worthwhile.
#pragma once

#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::server {

// Whether a message of the kernel, "ACTION@DEVPATH" and "KEY=VALUE" fields with a NUL after each, is about a
// block device. Pure.
[[nodiscard]] bool is_block_event(std::string_view message) noexcept;

// Whether the kernel is known to send its notices to this network namespace: one that belongs to the initial
// user namespace. A socket in another one receives nothing, without an error. False also if the owner cannot
// be determined. Call before the system call filter.
[[nodiscard]] bool sends_notices_here() noexcept;

class BlockEvents {
public:
    // Call before the system call filter, which permits no such socket. Fails in a network namespace without
    // such messages, or if a policy forbids the socket.
    [[nodiscard]] Result<void> open();
    // Watch for reading; then call receive(). -1 before open().
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
    // Takes the messages that have arrived, without waiting. Returns whether a block device may have changed:
    // true also if the kernel had no room for all messages.
    [[nodiscard]] bool receive() const;

private:
    Fd socket_;
};

}  // namespace holdfast::server
