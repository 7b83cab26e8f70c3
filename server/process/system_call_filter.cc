// Uses libcap-ng for the capabilities, libseccomp for the system calls. All lists are here, to be reviewed
// together.

#include "server/process/system_call_filter.hh"

#include <cap-ng.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(HOLDFAST_COVERAGE)
#define HOLDFAST_SANITIZED 1
#else
#define HOLDFAST_SANITIZED 0
#endif

namespace holdfast::server {
namespace {

// Calls needed for serving, allowed with any arguments. None of them names a file.
constexpr const char* allowed[] = {
    // clients and exports
    "accept",
    "accept4",
    "getpeername",
    "getsockname",
    "getsockopt",
    "shutdown",
    "recvfrom",
    "recvmsg",
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "splice",
    "lseek",
    "fallocate",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "fadvise64",
    "readahead",
    "fstat",
    // descriptors and waiting
    "close",
    "dup",
    "dup2",
    "dup3",
    "pipe2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd2",
    "signalfd4",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "wait4",
    "restart_syscall",
    // memory and threads
    "brk",
    "munmap",
    "mremap",
    "madvise",
    "mlock",
    "munlock",
    "futex",
    "futex_waitv",
    "membarrier",
    "rseq",
    "set_robust_list",
    "set_tid_address",
    "sched_yield",
    "exit",
    "exit_group",
    // signals, clocks and process identity
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "rt_sigpending",
    "sigaltstack",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "getrandom",
    "getpid",
    "gettid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrusage",
    "getrlimit",
    "times",
    "sysinfo",
    "uname",
    "getcpu",
};

// The only permitted ioctl requests: size and discard of an open device, fill level of a socket.
constexpr unsigned long allowed_ioctls[] = {BLKGETSIZE64, BLKGETSIZE, BLKSSZGET, BLKPBSZGET, BLKROGET,
                                            BLKDISCARD,   BLKZEROOUT, FIONREAD,  SIOCOUTQ,   FIONBIO};

// The only permitted fcntl commands. Others make the kernel send signals to any process of the same user,
// such as the opener (F_SETOWN, and O_ASYNC by F_SETFL), or block files for others (F_SETLEASE).
constexpr int allowed_fcntls[] = {F_GETFD, F_GETFL, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ};

// The only socket options that may be set. Others reconnect an ended connection (TCP_FASTOPEN_CONNECT,
// TCP_REPAIR), join groups, or load a program into the kernel (SO_ATTACH_FILTER).
struct SocketOption {
    int level;
    int name;
};
constexpr SocketOption allowed_options[] = {
    {SOL_SOCKET, SO_KEEPALIVE},      {SOL_SOCKET, SO_RCVTIMEO},    {SOL_SOCKET, SO_SNDTIMEO},
    {SOL_SOCKET, SO_RCVLOWAT},       {SOL_SOCKET, SO_LINGER},      {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_KEEPIDLE},     {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_USER_TIMEOUT},
};

// Refused without a log line: calls that libraries try and can do without. (malloc counts the processors.
// io_uring would bypass the filter.)
constexpr const char* refused[] = {"open",       "openat",   "openat2",    "access",        "faccessat",
                                   "faccessat2", "readlink", "readlinkat", "stat",          "lstat",
                                   "getdents64", "getcwd",   "prlimit64",  "io_uring_setup"};

// No code in the server or its libraries makes these calls, and each is a step out of the confinement: there
// is no harmless reason to go on. Debuggers and sanitizers make some of them, in other builds.
constexpr const char* deadly[] = {
    "execve",
    "execveat",
    "fork",
    "vfork",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_getfd",
    "kcmp",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "mount",
    "umount2",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "fsconfig",
    "fspick",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "open_by_handle_at",
    "name_to_handle_at",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "iopl",
    "ioperm",
    "modify_ldt",
    "personality",
    "add_key",
    "request_key",
    "keyctl",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setfsuid",
    "setfsgid",
    "capset",
    "mknod",
    "mknodat",
    "quotactl",
    "acct",
    "settimeofday",
    "clock_settime",
};

using Filter = std::unique_ptr<void, decltype(&::seccomp_release)>;

// Keeps the first failure, so that a list of rules reads without checks between them.
class Rules {
public:
    explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}

    // Skips a call that this architecture does not have.
    template <class... Comparisons>
    void add(std::uint32_t action, const char* call, Comparisons... comparisons) {
        const int number = ::seccomp_syscall_resolve_name(call);
        if (number < 0 || error_ != 0) return;
        const scmp_arg_cmp list[] = {comparisons..., scmp_arg_cmp{}};
        error_ = ::seccomp_rule_add_array(filter_, action, number, sizeof...(comparisons), list);
    }
    void add(std::uint32_t action, int number) {
        if (error_ == 0) error_ = ::seccomp_rule_add_array(filter_, action, number, 0, nullptr);
    }
    [[nodiscard]] int error() const { return error_; }

private:
    scmp_filter_ctx filter_;
    int error_ = 0;
};

scmp_arg_cmp is(unsigned argument, std::uint64_t value) { return {argument, SCMP_CMP_EQ, value, 0}; }
scmp_arg_cmp has(unsigned argument, std::uint64_t mask, std::uint64_t value) {
    return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

// Adds the calls that are allowed only with certain arguments.
void add_conditional(Rules& rules) {
    for (const unsigned long request : allowed_ioctls) rules.add(SCMP_ACT_ALLOW, "ioctl", is(1, request));
    for (const int command : allowed_fcntls)
        rules.add(SCMP_ACT_ALLOW, "fcntl", is(1, static_cast<std::uint64_t>(command)));
    for (const SocketOption& one : allowed_options)
        rules.add(SCMP_ACT_ALLOW, "setsockopt", is(1, static_cast<std::uint64_t>(one.level)),
                  is(2, static_cast<std::uint64_t>(one.name)));
    // cachestat(2): which pages of a file are in the page cache. Not every libseccomp has the name; the
    // number is the same on every architecture.
    rules.add(SCMP_ACT_ALLOW, 451);
    // No connection may be opened. MSG_FASTOPEN, with the address AF_UNSPEC and then with another, would turn
    // an accepted connection into a connection to any host. (The filter cannot see the address of a sendmsg;
    // without that flag TCP ignores the address.)
    rules.add(SCMP_ACT_ALLOW, "sendto", has(3, MSG_FASTOPEN, 0), is(4, 0));
    rules.add(SCMP_ACT_ALLOW, "sendmsg", has(2, MSG_FASTOPEN, 0));
    // No memory becomes executable.
    rules.add(SCMP_ACT_ALLOW, "mmap", has(2, PROT_EXEC, 0));
    rules.add(SCMP_ACT_ALLOW, "mprotect", has(2, PROT_EXEC, 0));
    // Threads, no processes. A filter cannot see the flags of clone3; on ENOSYS the C library uses clone.
    rules.add(SCMP_ACT_ALLOW, "clone", has(0, CLONE_THREAD, CLONE_THREAD));
    rules.add(SCMP_ACT_ERRNO(ENOSYS), "clone3");
    // abort(3) of this process.
    rules.add(SCMP_ACT_ALLOW, "tgkill", is(0, static_cast<std::uint64_t>(::getpid())));
    // For the opener's answers.
    rules.add(SCMP_ACT_ALLOW, "socketpair", is(0, AF_UNIX));
    // fstat(3) and statx(2) of a descriptor. (The filter cannot see the path beside the flag; this reveals
    // only that a file exists.)
    rules.add(SCMP_ACT_ALLOW, "newfstatat", has(3, AT_EMPTY_PATH, AT_EMPTY_PATH));
    rules.add(SCMP_ACT_ALLOW, "statx", has(2, AT_EMPTY_PATH, AT_EMPTY_PATH));
    rules.add(SCMP_ACT_ERRNO(EACCES), "newfstatat", has(3, AT_EMPTY_PATH, 0));
    rules.add(SCMP_ACT_ERRNO(EACCES), "statx", has(2, AT_EMPTY_PATH, 0));
    rules.add(SCMP_ACT_ALLOW, "prctl", is(0, PR_SET_NAME));
    rules.add(SCMP_ACT_ALLOW, "prctl", is(0, PR_GET_NAME));
    constexpr std::uint64_t set_vma = 0x53564d41;  // PR_SET_VMA, malloc's name for its memory
    rules.add(SCMP_ACT_ERRNO(EINVAL), "prctl", is(0, set_vma));
}

// Globals for the signal handler: calls already reported, and the descriptor for reports.
std::array<std::atomic<bool>, 1024> told;
int tell_to = -1;

// SIGSYS handler for unlisted calls: reports each call number once and makes the call fail. May interrupt any
// code, also malloc or the log, so the handler only writes to a pipe.
void on_refused_call(int, siginfo_t* info, void* context) {
    const int error = errno;
    const int number = info->si_syscall;
    // A tracer that suppresses a call (strace --inject) sets its number to -1, and has already set a result.
    if (number == -1) return;
    if (!told[static_cast<std::size_t>(number) % told.size()].exchange(true)) [[maybe_unused]]
        const ssize_t written = ::write(tell_to, &number, sizeof number);
    errno = error;
    auto* const machine = static_cast<ucontext_t*>(context);
#if defined(__x86_64__)
    machine->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
    machine->uc_mcontext.regs[0] = static_cast<unsigned long>(-EPERM);
#else
    (void)machine;
    ::_exit(1);  // setting a result is unsupported on this architecture
#endif
}

}  // namespace

Result<void> close_way_to_privileges() {
    // no_new_privs also permits an unprivileged process to set a filter.
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return sys_error("prctl(PR_SET_NO_NEW_PRIVS)");
    for (int capability = 0; ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) continue;
    // EINVAL: past the last capability. EPERM: the process lacks the right, and its bounding set stays as
    // inherited, which is harmless.
    if (errno != EINVAL && errno != EPERM) return sys_error("prctl(PR_CAPBSET_DROP)");
    return {};
}

Result<void> drop_capabilities() {
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return sys_error("prctl(PR_CAP_AMBIENT)");
    if (::capng_get_caps_process() != 0) return std::unexpected(SysError{EPERM, "capng_get_caps_process"});
    ::capng_clear(CAPNG_SELECT_CAPS);
    if (::capng_apply(CAPNG_SELECT_CAPS) != 0) return std::unexpected(SysError{EPERM, "capng_apply"});
    return {};
}

std::expected<Fd, std::string> confine_system_calls() {
    if (HOLDFAST_SANITIZED != 0) return Fd();
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return std::unexpected(SysError{errno, "pipe2"}.message());
    Fd told_of(ends[0]);
    tell_to = ends[1];  // for the lifetime of the process
    struct sigaction action {};
    action.sa_sigaction = on_refused_call;
    action.sa_flags = SA_SIGINFO;
    if (::sigaction(SIGSYS, &action, nullptr) != 0)
        return std::unexpected(SysError{errno, "sigaction"}.message());
    const Filter filter(::seccomp_init(SCMP_ACT_TRAP), ::seccomp_release);
    if (!filter) return std::unexpected(std::string("seccomp_init failed"));
    Rules rules(filter.get());
    for (const char* const call : allowed) rules.add(SCMP_ACT_ALLOW, call);
    add_conditional(rules);
    for (const char* const call : refused) rules.add(SCMP_ACT_ERRNO(EACCES), call);
    for (const char* const call : deadly) rules.add(SCMP_ACT_KILL_PROCESS, call);
    // Calls of another architecture are an attack: libseccomp's default would end only their thread.
    int error = rules.error();
    if (error == 0) error = ::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (error == 0) error = ::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (error == 0) error = ::seccomp_load(filter.get());
    if (error != 0) return std::unexpected(SysError{-error, "seccomp"}.message());
    return told_of;
}

std::string name_of_call(int number) {
    const std::unique_ptr<char, decltype(&::free)> name(
        ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), ::free);
    return name ? name.get() : std::to_string(number);
}

}  // namespace holdfast::server
