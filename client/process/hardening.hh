// Prepares the daemon to live as long as the system: detached from any terminal, locked in memory, and spared
// by the killing of processes at shutdown.
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

// The title shown by ps, and checked by systemd for its mark: the memory of argv and of the environment
// behind it.
class ProcessTitle {
public:
    ProcessTitle(int argc, char** argv) noexcept;
    // Overwrites argv and environment, and empties the environment of this process. Cut to the available
    // room.
    void set(std::string_view title) noexcept;

private:
    char* start_ = nullptr;
    std::size_t room_ = 0;
};

// Closes inherited descriptors except the standard streams; call it before opening anything. Otherwise the
// daemon would hold a shell's pipe or a file on a disk open for its whole life.
void close_inherited() noexcept;

// Returns the signals that a daemon ignores: those that end or stop a process, from a terminal or sent at the
// end of a session, a service, or all processes.
[[nodiscard]] sigset_t signals_of_others() noexcept;

// Blocks signals_of_others() until the daemon reads them. For a process that connects a device: if killed in
// between, the process would leave the device without a daemon.
void hold_signals() noexcept;
// True if a signal that should end this process has arrived since.
[[nodiscard]] bool was_to_end() noexcept;

// Starts a new session, with /dev as working directory (on no disk, and the place of the log's socket) and
// /dev/null as standard streams. EventLoop::open() handles the signals.
void leave_terminal() noexcept;

// Control group in which a device's daemon lives.
enum class Home : std::uint8_t {
    system,   // outside every service that may end
    service,  // in holdfast@.service, as its main process
};

// Moves this process from the control group of the service or login that started it, whose end would kill
// this process, to that of pid 1, where the initramfs's daemon is. Does nothing without systemd.
void leave_control_group() noexcept;

// Moves to the control group of another process if that is an instance of holdfast@.service; otherwise
// returns false.
[[nodiscard]] bool join_service_of(pid_t other);

// Locks all current and future memory; prevents the kernel from reclaiming memory through the disk on behalf
// of this process, and from killing it when memory runs out; drops capabilities. Returns a line for each
// failure: the daemon continues anyway.
[[nodiscard]] std::vector<std::string> settle_down(const FurtherNeeds& needs);

// The entry in /run/sendsigs.omit.d that makes sysvinit's shutdown spare the daemon.
class OmitFile {
public:
    [[nodiscard]] static Result<OmitFile> open(std::uint32_t index);
    // Enters this process, replacing another. May be called after the seal, like remove().
    [[nodiscard]] Result<void> enter() noexcept;
    // Removes the entry unless it belongs to another process by now.
    void remove() noexcept;
    // Descriptor of the folder; owned by the OmitFile.
    [[nodiscard]] int directory() const noexcept { return directory_.get(); }

private:
    Fd directory_;
    std::string name_;
};

// Reads this process's memory use, in KiB. May be read after the seal.
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
