// How the daemon comes to live for as long as the system does: apart from any terminal, in memory that is
// never paged out, spared by what kills processes at shutdown.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client/process/capabilities.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

// What ps shows, and where systemd looks for its mark: the memory of argv and, after it, of the environment.
class ProcessTitle {
public:
    ProcessTitle(int argc, char** argv) noexcept;
    // Overwrites both, and empties the environment of this process. Cut to what there is room for.
    void set(std::string_view title) noexcept;

private:
    char* start_ = nullptr;
    std::size_t room_ = 0;
};

// Closes what the command inherited besides the standard streams, before it opens anything: a shell's pipe or
// a file on a disk would be held open for as long as the daemon lives.
void close_inherited() noexcept;

// The signals that a daemon does not obey: those that end or stop a process, from a terminal or from whoever
// ends a session, a service, or all processes.
[[nodiscard]] sigset_t signals_of_others() noexcept;

// Keeps these waiting, from here until the daemon takes them in. For a process that connects a device: ended
// in the middle, it would leave the device without a daemon.
void hold_signals() noexcept;
// One of them came since, and was to end this process.
[[nodiscard]] bool was_to_end() noexcept;

// A session of its own, /dev as its folder (no disk's, and where the log's socket is), standard streams to
// /dev/null. Signals are the daemon's: Daemon::prepare().
void leave_terminal() noexcept;

// Where the daemon of a device lives.
enum class Home : std::uint8_t {
    system,   // where no service's end is its own
    service,  // with holdfast@.service, whose main process it is
};

// Out of the control group of the service or the login that started this process, whose end would be its own,
// into that of pid 1, where the initramfs's daemon is. Does nothing without systemd.
void leave_control_group() noexcept;

// Into that of another process, where that is an instance of holdfast@.service. False where it is not.
[[nodiscard]] bool join_service_of(pid_t other);

// Locks all memory, now and later; keeps the kernel from reclaiming memory through the disk on this process's
// behalf, and from choosing it when memory runs out; gives up capabilities. Gives a line for each that could
// not be done: the daemon goes on without.
[[nodiscard]] std::vector<std::string> settle_down(const FurtherNeeds& needs);

// The entry in /run/sendsigs.omit.d by which sysvinit's shutdown spares the daemon.
class OmitFile {
public:
    [[nodiscard]] static Result<OmitFile> open(std::uint32_t index);
    // Enters this process, in the place of another. May be called after the seal, like remove().
    [[nodiscard]] Result<void> enter() noexcept;
    // Leaves it where it is another process's by now.
    void remove() noexcept;
    // Descriptor of the folder; the file keeps it.
    [[nodiscard]] int directory() const noexcept { return directory_.get(); }

private:
    Fd directory_;
    std::string name_;
};

// How much memory this process holds, in KiB. May be read after the seal.
class MemoryUse {
public:
    [[nodiscard]] static MemoryUse open();
    struct Amounts {
        std::uint64_t locked = 0;    // VmLck
        std::uint64_t resident = 0;  // VmRSS
    };
    [[nodiscard]] Amounts read() const noexcept;

private:
    Fd status_;
};

}  // namespace holdfast::client
