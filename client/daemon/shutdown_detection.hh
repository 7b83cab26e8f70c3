// Detects that the machine shuts down without being notified: a notifier program may lie on the unreachable
// disk, and a signal may come from any process.
//
//   systemd   From the start of the shutdown: sockets of holdfast-until@.socket, one for each target in which
//             a shutdown ends, and one for shutdown.target. When systemd starts such a target, systemd itself
//             removes the FIFO in /run/holdfast/until, without running a program.
//             At the end: pid 1 has become systemd-shutdown.
//   sysvinit  The runlevel in /run/utmp: init writes it before it runs the first script.
//
// All sources are in memory: the kernel's, or a page of /run/utmp that is locked, since pages of a tmpfs may
// be swapped to the unreachable disk. look() never waits for a disk: the page of an existing file is locked
// by open(), that of a later file once resident. May be used after the seal.
#pragma once

#include <cstdint>
#include <utility>

#include "common/linux/fd.hh"

namespace holdfast::client {

// Final state of the machine.
enum class Ending : std::uint8_t { none, unknown, power_off, reboot, halt, kexec };

[[nodiscard]] const char* word_of(Ending ending) noexcept;

// First page of a file in a tmpfs, locked in memory.
class HeldPage {
public:
    HeldPage() = default;
    HeldPage(HeldPage&& other) noexcept { *this = std::move(other); }
    HeldPage& operator=(HeldPage&& other) noexcept;
    ~HeldPage() { let_go(); }

    // Locks the page of this file, and releases any other page. Returns false if the page is not resident:
    // reading the page would wait for a disk. Never reads the page in, and never accesses its content: the
    // file may have shrunk.
    [[nodiscard]] bool hold(const Fd& file) noexcept;

private:
    void let_go() noexcept;
    void* page_ = nullptr;
    std::uint64_t device_ = 0;  // device of the page's file, like inode_
    std::uint64_t inode_ = 0;
};

class ShutdownDetection {
public:
    // Opens /run and /proc; without them no shutdown is detected. (Tests use other folders.) Before the seal.
    [[nodiscard]] static ShutdownDetection open(const char* run = "/run", const char* proc = "/proc");
    // Returns `none` while the machine is not shutting down, `unknown` if its final state is not known. Call
    // regularly also in normal operation: a FIFO counts as removed only if an earlier call saw it.
    [[nodiscard]] Ending look() noexcept;
    // Like look(), but also reads pid 1's memory, which may wait for its disk: only after that disk was given
    // up.
    [[nodiscard]] Ending look_closely() noexcept;

private:
    [[nodiscard]] bool has_systemd() const noexcept;
    [[nodiscard]] Ending missing_fifo() noexcept;
    [[nodiscard]] Ending runlevel() noexcept;
    [[nodiscard]] bool in_systemd_shutdown() const noexcept;

    Fd run_;
    Fd proc_;
    std::uint32_t seen_ = 0;  // bit mask of FIFOs
    HeldPage utmp_;
};

}  // namespace holdfast::client
