// How the daemon knows that the machine goes down, although nobody can tell it: what would have to be run for
// that may lie on the disk that is away, and a signal may be anybody's.
//
//   systemd   From the first moment on: sockets of holdfast-until@.socket, one for each target in which a
//             shutdown ends, and one for shutdown.target. systemd itself, with no program to run, takes
//             their FIFOs in /run/holdfast/until away when it begins such a target.
//             At the end: pid 1 has become systemd-shutdown.
//   sysvinit  The runlevel in /run/utmp: init writes it before it runs the first script.
//
// All of it is in memory: the kernel's, or a page of /run/utmp that is locked there, since what is in a tmpfs
// may be swapped to the disk that is away. A look never waits for a disk: the page is locked when this is
// opened, and that of a file that is made later when it is in memory. May be used after the seal.
#pragma once

#include <cstdint>
#include <utility>

#include "common/linux/fd.hh"

namespace holdfast::client {

// What becomes of the machine in the end.
enum class Ending : std::uint8_t { none, unknown, power_off, reboot, halt, kexec };

[[nodiscard]] const char* word_of(Ending ending) noexcept;

// The first page of a file in a tmpfs, kept out of the swap space.
class HeldPage {
public:
    HeldPage() = default;
    HeldPage(HeldPage&& other) noexcept { *this = std::move(other); }
    HeldPage& operator=(HeldPage&& other) noexcept;
    ~HeldPage() { let_go(); }

    // Holds the page of this file from now on, in the place of another. False where the page is not in
    // memory: reading it would wait for a disk. Never reads it in, and never touches its content: the file
    // may have shrunk.
    [[nodiscard]] bool hold(const Fd& file) noexcept;

private:
    void let_go() noexcept;
    void* page_ = nullptr;
    std::uint64_t device_ = 0;  // whose page it is, like inode_
    std::uint64_t inode_ = 0;
};

class ShutdownSigns {
public:
    // Without /run or /proc there are no signs. (Tests have folders of their own.) Before the seal.
    [[nodiscard]] static ShutdownSigns open(const char* run = "/run", const char* proc = "/proc");
    // `none` when the machine is not going down. `unknown`: it is, and how it ends is not known. To be
    // called now and then also when nothing is amiss: a FIFO counts as taken away only if it was seen.
    [[nodiscard]] Ending look() noexcept;
    // The same, with a look at pid 1's memory, which may wait for its disk: only when that is given up.
    [[nodiscard]] Ending look_closely() noexcept;

private:
    [[nodiscard]] bool has_systemd() const noexcept;
    [[nodiscard]] Ending missing_fifo() noexcept;
    [[nodiscard]] Ending runlevel() noexcept;
    [[nodiscard]] bool in_systemd_shutdown() const noexcept;

    Fd run_;
    Fd proc_;
    std::uint32_t seen_ = 0;  // a bit for each FIFO
    HeldPage utmp_;
};

}  // namespace holdfast::client
