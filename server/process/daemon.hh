// The classic daemon, for systems whose init does not supervise: detached from the terminal, its process id
// in a file, and the command that started it returns only when clients can connect (or with the failure).
#pragma once

#include <expected>
#include <string>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::server {

class Daemon {
public:
    // Forks. The parent waits for ready() and exits with 0, or with the child's exit code; it does not return
    // from here. Returns in the child. Before there are threads.
    [[nodiscard]] Result<void> detach();
    // Lets the parent go, and gives up the terminal. Does nothing when not detached.
    [[nodiscard]] Result<void> ready();
    [[nodiscard]] bool detached() const { return static_cast<bool>(to_parent_); }

private:
    Fd to_parent_;
};

// A file with our process id, for the opener to remove. Replaces what an earlier server left. Appears whole
// or not at all. Its file system is waited for 5 seconds at most. Before there are threads.
[[nodiscard]] std::expected<void, std::string> write_pid_file(const std::string& path);

}  // namespace holdfast::server
