// systemd-shutdown(8) spares root's processes whose argv[0] begins with '@'; sysvinit's sendsigs spares those
// named in /run/sendsigs.omit.d. Both are needed, since neither knows the other's mark.

#include "client/process/hardening.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace holdfast::client {
namespace {

constexpr const char* omit_directory = "/run/sendsigs.omit.d";

std::string last_error(const char* call) { return SysError{errno, call}.message(); }

// Touches enough stack for every later call, so that its pages exist.
void touch_stack() noexcept {
    std::array<volatile char, 128 * 1024> room;
    for (std::size_t i = 0; i < room.size(); i += 1024) room[i] = 0;
}

std::string lock_memory() {
    // Raises the limit, which applies to later allocations once CAP_IPC_LOCK is dropped.
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    if (::setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0) return last_error("setrlimit(RLIMIT_MEMLOCK)");
    touch_stack();
    if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return last_error("mlockall");
    return {};
}

std::string spare_from_oom() {
    const Fd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), "-1000", 5) != 5) return last_error("/proc/self/oom_score_adj");
    return {};
}

std::string become_flusher() {
    if (::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0) return last_error("prctl(PR_SET_IO_FLUSHER)");
    return {};
}

}  // namespace

ProcessTitle::ProcessTitle(int argc, char** argv) noexcept {
    if (argc < 1) return;
    start_ = argv[0];
    char* end = argv[0];
    // The kernel places these strings consecutively; a string that is not adjacent was moved by the program.
    for (int i = 0; i < argc && argv[i] == end; ++i) end += std::strlen(argv[i]) + 1;
    for (char** entry = environ; entry != nullptr && *entry == end; ++entry) end += std::strlen(*entry) + 1;
    room_ = static_cast<std::size_t>(end - start_);
}

void ProcessTitle::set(std::string_view title) noexcept {
    ::clearenv();
    const std::size_t length = std::min(title.size(), room_ > 0 ? room_ - 1 : 0);
    if (start_ == nullptr) return;
    std::memset(start_, 0, room_);
    std::memcpy(start_, title.data(), length);
    // If the title is longer than the arguments' memory, the kernel finds that their last byte is not NUL,
    // and reads on into the former environment.
}

void close_inherited() noexcept { ::close_range(STDERR_FILENO + 1, ~0U, 0); }

sigset_t signals_of_others() noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE, SIGTSTP,
                             SIGTTIN, SIGTTOU, SIGCHLD})
        ::sigaddset(&set, number);
    return set;
}

void hold_signals() noexcept {
    const sigset_t held = signals_of_others();
    ::sigprocmask(SIG_BLOCK, &held, nullptr);
}

bool was_to_end() noexcept {
    sigset_t waiting;
    if (::sigpending(&waiting) != 0) return false;
    return std::ranges::any_of(std::array{SIGTERM, SIGINT, SIGHUP, SIGQUIT},
                               [&](int number) { return ::sigismember(&waiting, number) == 1; });
}

void leave_terminal() noexcept {
    ::setsid();
    if (::chdir("/dev") != 0 && ::chdir("/") != 0) return;
    ::umask(022);
    if (const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC)); null)
        for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), stream);
}

void leave_control_group() noexcept {
    for (const char* group :
         {"/sys/fs/cgroup/init.scope/cgroup.procs", "/sys/fs/cgroup/systemd/init.scope/cgroup.procs"})
        if (const Fd file(::open(group, O_WRONLY | O_CLOEXEC)); file && ::write(file.get(), "0", 1) == 1)
            return;
}

// A line of /proc/PID/cgroup is ID:CONTROLLERS:PATH; systemd's own tree is "0::" or "N:name=systemd:".
bool join_service_of(pid_t other) {
    std::array<char, 4096> room{};
    const std::string list = fmt::format("/proc/{}/cgroup", other);
    const Fd groups(::open(list.c_str(), O_RDONLY | O_CLOEXEC));
    const ssize_t count = groups ? ::read(groups.get(), room.data(), room.size()) : -1;
    std::string_view text(room.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const bool unified = line.starts_with("0::");
        const std::size_t at = unified ? 3 : line.find(":name=systemd:");
        if (at == std::string_view::npos) continue;
        const std::string_view group = unified ? line.substr(3) : line.substr(at + 14);
        const std::string_view unit = group.substr(group.rfind('/') + 1);
        if (!unit.starts_with("holdfast@") || !unit.ends_with(".service")) continue;
        const std::string file =
            fmt::format("/sys/fs/cgroup{}{}/cgroup.procs", unified ? "" : "/systemd", group);
        const Fd members(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
        return members && ::write(members.get(), "0", 1) == 1;
    }
    return false;
}

std::vector<std::string> settle_down(const FurtherNeeds& needs) {
    std::vector<std::string> failures;
    for (std::string failure :
         {lock_memory(), spare_from_oom(), become_flusher(), keep_needed_capabilities(needs)})
        if (!failure.empty()) failures.push_back(std::move(failure));
    return failures;
}

Result<OmitFile> OmitFile::open(std::uint32_t index) {
    if (::mkdir(omit_directory, 0755) != 0 && errno != EEXIST) return sys_error("mkdir /run/sendsigs.omit.d");
    OmitFile file;
    file.directory_.reset(::open(omit_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!file.directory_) return sys_error("open /run/sendsigs.omit.d");
    file.name_ = fmt::format("holdfast-nbd{}", index);
    return file;
}

Result<void> OmitFile::enter() noexcept {
    const Fd entry(::openat(directory_.get(), name_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!entry) return sys_error("open in /run/sendsigs.omit.d");
    const auto text = FixedText<16>::of("{}\n", ::getpid());
    if (::write(entry.get(), text.view().data(), text.view().size()) < 0)
        return sys_error("write in /run/sendsigs.omit.d");
    return {};
}

void OmitFile::remove() noexcept {
    const Fd entry(::openat(directory_.get(), name_.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 32> text{};
    if (!entry || ::read(entry.get(), text.data(), text.size() - 1) <= 0) return;
    if (::strtol(text.data(), nullptr, 10) == ::getpid()) ::unlinkat(directory_.get(), name_.c_str(), 0);
}

MemoryUse MemoryUse::open() {
    MemoryUse use;
    use.status_.reset(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    return use;
}

MemoryUse::Amounts MemoryUse::read() const noexcept {
    std::array<char, 4096> room;
    const ssize_t count = ::pread(status_.get(), room.data(), room.size() - 1, 0);
    if (count <= 0) return {};
    room[static_cast<std::size_t>(count)] = 0;
    const auto number_behind = [&room](const char* key) {
        const char* const at = std::strstr(room.data(), key);
        return at == nullptr ? 0 : std::strtoull(at + std::strlen(key), nullptr, 10);
    };
    return {number_behind("\nVmLck:"), number_behind("\nVmRSS:")};
}

}  // namespace holdfast::client
