// Reads the signs of a shutdown. systemd closes its sockets, and with RemoveOnStop= unlinks them, in pid 1
// itself (socket_close_fds in systemd's socket.c). Two FIFOs must be missing: a single socket that a person
// has stopped by force is no shutdown. soft-reboot.target does not end the machine, and has no FIFO.

#include "client/daemon/shutdown_detection.hh"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utmp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace holdfast::client {
namespace {

struct Target {
    const char* fifo;
    const char* word;  // systemd-shutdown's first argument
    Ending ending;
};
constexpr std::array targets{
    Target{"holdfast/until/poweroff", "poweroff", Ending::power_off},
    Target{"holdfast/until/reboot", "reboot", Ending::reboot},
    Target{"holdfast/until/halt", "halt", Ending::halt},
    Target{"holdfast/until/kexec", "kexec", Ending::kexec},
};
constexpr const char* any_target = "holdfast/until/shutdown";

Fd open_to_read(const Fd& directory, const char* name) noexcept {
    return Fd(::openat(directory.get(), name, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

// Returns the beginning of a file as text; empty if unreadable.
template <std::size_t room>
std::string_view read_start(const Fd& file, std::array<char, room>& text) noexcept {
    const ssize_t count = file ? ::read(file.get(), text.data(), text.size()) : 0;
    return {text.data(), count > 0 ? static_cast<std::size_t>(count) : 0};
}

std::size_t page_size() noexcept { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

const char* word_of(Ending ending) noexcept {
    switch (ending) {
        case Ending::none: return "none";
        case Ending::unknown: return "shutdown";
        case Ending::power_off: return "poweroff";
        case Ending::reboot: return "reboot";
        case Ending::halt: return "halt";
        case Ending::kexec: return "kexec";
    }
    return "?";
}

HeldPage& HeldPage::operator=(HeldPage&& other) noexcept {
    std::swap(page_, other.page_);
    std::swap(device_, other.device_);
    std::swap(inode_, other.inode_);
    return *this;
}

void HeldPage::let_go() noexcept {
    if (page_ != nullptr) ::munmap(page_, page_size());
    page_ = nullptr;
}

bool HeldPage::hold(const Fd& file) noexcept {
    struct stat facts {};
    if (!file || ::fstat(file.get(), &facts) != 0) return false;
    if (page_ == nullptr || facts.st_dev != device_ || facts.st_ino != inode_) {
        let_go();
        // PROT_NONE prevents reading the page in, although all memory of the daemon is locked (mlockall).
        void* const page = ::mmap(nullptr, page_size(), PROT_NONE, MAP_SHARED, file.get(), 0);
        if (page == MAP_FAILED) return true;
        page_ = page;
        device_ = facts.st_dev;
        inode_ = facts.st_ino;
    }
    unsigned char resident = 1;
    if (::mincore(page_, page_size(), &resident) == 0 && (resident & 1U) == 0) return facts.st_size == 0;
    // Lock again on each call: a file that was truncated and rewritten has another page.
    (void)::mprotect(page_, page_size(), PROT_READ);
    (void)::mlock(page_, page_size());
    return true;
}

ShutdownDetection ShutdownDetection::open(const char* run, const char* proc) {
    ShutdownDetection signs;
    signs.run_.reset(::open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    signs.proc_.reset(::open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Before the seal: after it, a page that was swapped to the unreachable disk would not be available any
    // more.
    if (!signs.has_systemd()) (void)signs.utmp_.hold(open_to_read(signs.run_, "utmp"));
    return signs;
}

// Same test as sd_booted(3).
bool ShutdownDetection::has_systemd() const noexcept {
    return ::faccessat(run_.get(), "systemd/system", F_OK, 0) == 0;
}

Ending ShutdownDetection::missing_fifo() noexcept {
    // True if this FIFO is missing, but was seen earlier.
    const auto is_gone = [this](const char* fifo, unsigned bit) {
        struct stat node {};
        if (::fstatat(run_.get(), fifo, &node, AT_SYMLINK_NOFOLLOW) == 0) {
            seen_ |= 1U << bit;
            return false;
        }
        return (seen_ >> bit & 1U) != 0;
    };
    Ending ending = Ending::none;
    for (unsigned i = 0; i < targets.size(); ++i)
        if (is_gone(targets[i].fifo, i))
            ending = ending == Ending::none ? targets[i].ending : Ending::unknown;
    return is_gone(any_target, targets.size()) ? ending : Ending::none;
}

Ending ShutdownDetection::runlevel() noexcept {
    const Fd file = open_to_read(run_, "utmp");
    if (!utmp_.hold(file)) return Ending::none;
    std::array<char, sizeof(utmp) * 8> text;
    static_assert(sizeof text <= 4096, "within the page that is held");
    for (std::string_view left = read_start(file, text); left.size() >= sizeof(utmp);
         left.remove_prefix(sizeof(utmp))) {
        utmp entry{};
        std::memcpy(&entry, left.data(), sizeof entry);
        if (entry.ut_type != RUN_LVL) continue;
        const char level = static_cast<char>(entry.ut_pid % 256);
        return level == '0' ? Ending::power_off : level == '6' ? Ending::reboot : Ending::none;
    }
    return Ending::none;
}

bool ShutdownDetection::in_systemd_shutdown() const noexcept {
    // Truncated to 15 bytes by the kernel.
    constexpr std::string_view program = "systemd-shutdow";
    std::array<char, 32> text;
    return read_start(open_to_read(proc_, "1/comm"), text).starts_with(program);
}

Ending ShutdownDetection::look() noexcept {
    // Under systemd the runlevel is meaningless, and programs other than init may write it.
    if (!has_systemd()) return runlevel();
    if (const Ending ending = missing_fifo(); ending != Ending::none) return ending;
    return in_systemd_shutdown() ? Ending::unknown : Ending::none;
}

Ending ShutdownDetection::look_closely() noexcept {
    const Ending ending = look();
    if (ending != Ending::unknown || !in_systemd_shutdown()) return ending;
    std::array<char, 256> text;
    std::string_view words = read_start(open_to_read(proc_, "1/cmdline"), text);
    words.remove_prefix(std::min(words.find('\0') + 1, words.size()));
    for (const Target& target : targets)
        if (words.substr(0, words.find('\0')) == target.word) return target.ending;
    return ending;
}

}  // namespace holdfast::client
