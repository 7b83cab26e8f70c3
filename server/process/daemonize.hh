// Classic daemon for systems whose init does not supervise: detaches from the terminal, writes a pid file;
// the starting command returns only when clients can connect (or with the failure).
#pragma once

#include <expected>
#include <string>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::server {

class Daemonizer {
public:
    // Forks. Returns in the child only; the parent waits for ready() and exits with 0, or with the child's
    // exit code. Call before there are threads.
    [[nodiscard]] Result<void> detach();
    // Lets the parent exit, and releases the terminal. Does nothing when not detached.
    [[nodiscard]] Result<void> ready();
    [[nodiscard]] bool detached() const { return static_cast<bool>(to_parent_); }

private:
    Fd to_parent_;
};

// Writes the process ID to a file, which the opener removes. Replaces the file of an earlier server,
// atomically. Waits at most 5 seconds for the file system. Call before there are threads.
[[nodiscard]] std::expected<void, std::string> write_pid_file(const std::string& path);

}  // namespace holdfast::server
