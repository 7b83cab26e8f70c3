// Several walls, because none of them is everywhere: the user (only for root), the filter of system calls
// (only for the two processors below), no_new_privs, limits, and no descriptor but the file.

#include "netboot/inspect/sandbox.hh"

#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <vector>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"

namespace holdfast::netboot {
namespace {

constexpr int answer_fd = 3;
constexpr int file_fd = 4;
constexpr unsigned nobody = 65534;
constexpr int no_sandbox = 125;  // exit status

#if defined(__x86_64__)
constexpr unsigned our_processor = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned our_processor = AUDIT_ARCH_AARCH64;
#else
constexpr unsigned our_processor = 0;  // no filter
#endif

#if defined(__x86_64__) || defined(__aarch64__)

// Calls of the programs here and of the C library, each harmless with any arguments. A list of what is
// allowed is small, and newer calls of the kernel are not in it; what is missing does not exist, so that a
// newer library uses an older call instead. The calls of signals, sockets, files other than by reading,
// namespaces, devices and keys are missing.
constexpr unsigned allowed_calls[] = {
    // Input and output.
    __NR_read,
    __NR_write,
    __NR_readv,
    __NR_writev,
    __NR_pread64,
    __NR_lseek,
    __NR_close,
    __NR_dup,
    __NR_dup3,
    __NR_pipe2,
    __NR_ppoll,
    __NR_fadvise64,
    __NR_fstat,
    __NR_newfstatat,
    __NR_statx,
    __NR_faccessat,
    __NR_faccessat2,
    __NR_readlinkat,
    __NR_getcwd,
    // Memory.
    __NR_brk,
    __NR_mmap,
    __NR_munmap,
    __NR_mremap,
    __NR_mprotect,
    __NR_madvise,
    // Processes and threads.
    __NR_execve,
    __NR_exit,
    __NR_exit_group,
    __NR_wait4,
    __NR_futex,
    __NR_set_robust_list,
    __NR_set_tid_address,
    __NR_rseq,
    __NR_sched_yield,
    __NR_sched_getaffinity,
    __NR_getpid,
    __NR_getppid,
    __NR_gettid,
    __NR_getuid,
    __NR_geteuid,
    __NR_getgid,
    __NR_getegid,
    __NR_getrlimit,
    __NR_getrusage,
    // Own signals, and time.
    __NR_rt_sigaction,
    __NR_rt_sigprocmask,
    __NR_rt_sigreturn,
    __NR_sigaltstack,
    __NR_restart_syscall,
    __NR_clock_gettime,
    __NR_clock_getres,
    __NR_clock_nanosleep,
    __NR_nanosleep,
    __NR_gettimeofday,
    __NR_getrandom,
    __NR_sysinfo,
    __NR_uname,
#if defined(__x86_64__)
    __NR_access,
    __NR_arch_prctl,
    __NR_dup2,
    __NR_poll,
    __NR_readlink,
#endif
};

// Calls whose argument, the lower half of it, must be one of these values.
struct AllowedValues {
    unsigned call;
    unsigned argument;
    std::vector<unsigned> values;
};
const AllowedValues calls_with_values[] = {
    {__NR_fcntl, 1, {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL}},
    {__NR_prctl, 0, {PR_SET_NAME, PR_SET_NO_NEW_PRIVS}},
    {__NR_prlimit64, 0, {0}},  // the process itself
};

// Calls whose argument must not have any of these bits.
struct ForbiddenBits {
    unsigned call;
    unsigned argument;
    unsigned bits;
};
constexpr ForbiddenBits calls_with_bits[] = {
    {__NR_clone, 0,
     CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
         CLONE_NEWNET},
    {__NR_openat, 2, O_ACCMODE | O_CREAT | O_TRUNC},
};

using Program = std::vector<sock_filter>;

unsigned short jump_over(const Program& part) { return static_cast<unsigned short>(part.size()); }

sock_filter load_argument(unsigned argument) {
    constexpr bool is_little = std::endian::native == std::endian::little;
    return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offsetof(seccomp_data, args)) +
                                                  argument * 8U + (is_little ? 0 : 4));
}

// Appends the part for one call, which ends with an answer.
void append(Program& program, unsigned call, const Program& part) {
    program.push_back(
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, static_cast<unsigned char>(jump_over(part))));
    program.insert(program.end(), part.begin(), part.end());
}

Program program_of_filter() {
    constexpr sock_filter kill = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    constexpr sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    constexpr sock_filter deny = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    Program program{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, our_processor, 1, 0),
        kill,
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        // The x32 calls of x86-64.
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000U, 0, 1),
        kill,
    };
    for (const unsigned call : allowed_calls) append(program, call, {allow});
    for (const auto& [call, argument, bits] : calls_with_bits)
        append(program, call,
               {load_argument(argument), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1), deny, allow});
    for (const auto& [call, argument, values] : calls_with_values) {
        Program part{load_argument(argument)};
        for (const unsigned value : values) append(part, value, {allow});
        part.push_back(deny);
        append(program, call, part);
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    return program;
}

bool filter_calls() {
    Program program = program_of_filter();
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

#else

bool filter_calls() { return true; }

#endif

// Lowers both limits; a process without privileges cannot raise them.
bool limit(__rlimit_resource_t resource, rlim_t soft, rlim_t hard) {
    rlimit value{};
    if (::getrlimit(resource, &value) != 0) return false;
    value.rlim_max = std::min(value.rlim_max, hard);
    value.rlim_cur = std::min(value.rlim_max, soft);
    return ::setrlimit(resource, &value) == 0;
}

bool limit(__rlimit_resource_t resource, rlim_t most) { return limit(resource, most, most); }

// The limit of processes counts those of nobody on the whole machine, also of other programs, and so leaves
// them room. Without root, the user's own processes would count.
bool become_nobody() {
    if (::geteuid() != 0) return true;
    constexpr rlim_t most_processes = 1024;
    return limit(RLIMIT_NPROC, most_processes) && ::setgroups(0, nullptr) == 0 &&
           ::setresgid(nobody, nobody, nobody) == 0 && ::setresuid(nobody, nobody, nobody) == 0;
}

// The standard streams become /dev/null, and only the two other descriptors stay.
bool keep_descriptors(int answer, int file) {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return false;
    // Above all numbers that are replaced.
    const int high_answer = ::fcntl(answer, F_DUPFD_CLOEXEC, 10);
    const int high_file = ::fcntl(file, F_DUPFD_CLOEXEC, 10);
    if (high_answer < 0 || high_file < 0) return false;
    for (const int stream : {0, 1, 2})
        if (::dup2(null, stream) < 0) return false;
    return ::dup3(high_answer, answer_fd, O_CLOEXEC) >= 0 && ::dup3(high_file, file_fd, O_CLOEXEC) >= 0 &&
           ::close_range(file_fd + 1, ~0U, 0) == 0;
}

// A handler of the program's is for the program: in the child, it would write to descriptors that mean
// something else here.
void forget_handlers() {
    struct sigaction usual {};
    usual.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) (void)::sigaction(number, &usual, nullptr);
    sigset_t none;
    ::sigemptyset(&none);
    (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Time for the others; and an end of the process by itself if this program cannot end it: without CAP_KILL, a
// process of another user.
bool be_modest() {
    if (::nice(5) == -1) errno = 0;  // no matter
    ::alarm(2 * longest_work);
    return true;
}

bool enter(int answer, int file, const SandboxLimits& limits) {
    constexpr rlim_t most_descriptors = 32;
    constexpr rlim_t until_kill = 5;  // s, after SIGXCPU, by which the cause is known
    // The group is for the end of all processes at once. The signal at the death of this program follows the
    // change of the user, which would clear it.
    return ::setpgid(0, 0) == 0 && keep_descriptors(answer, file) && limit(RLIMIT_CORE, 0) &&
           limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_NOFILE, most_descriptors) &&
           limit(RLIMIT_CPU, limits.work, limits.work + until_kill) && be_modest() &&
           ::lseek(file_fd, 0, SEEK_SET) == 0 && become_nobody() && ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
           ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && filter_calls();
}

[[noreturn]] void be_child(int answer, int file, const std::function<std::string(int)>& body,
                           const SandboxLimits& limits) {
    forget_handlers();
    if (!enter(answer, file, limits)) ::_exit(no_sandbox);
    const std::string text = body(file_fd);
    const bool written = ::write(answer_fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::_exit(written ? 0 : 1);
}

// Reads until the end; the error is ETIMEDOUT, or that of a call.
Result<std::string> read_answer(int pipe, const SandboxLimits& limits) {
    const auto deadline = Clock::now() + std::chrono::seconds(limits.seconds);
    std::string text;
    for (;;) {
        const int left = poll_timeout(deadline, Clock::now());
        if (left == 0) return std::unexpected(SysError{ETIMEDOUT, "sandbox"});
        pollfd waiting{pipe, POLLIN, 0};
        const int ready = ::poll(&waiting, 1, left);
        if (ready < 0 && errno != EINTR) return sys_error("poll");
        if (ready <= 0) continue;
        char chunk[4096];
        const ssize_t count = ::read(pipe, chunk, sizeof chunk);
        if (count < 0 && errno != EINTR) return sys_error("read");
        if (count == 0) return text;
        if (count > 0)
            text.append(chunk, std::min(static_cast<std::size_t>(count), limits.answer - text.size()));
    }
}

// The answer of a process that has ended with this status.
Result<std::string> answer_of(int status, std::string answer) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == no_sandbox)
        return std::unexpected(SysError{EPERM, "sandbox"});
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        return std::unexpected(SysError{ETIME, "sandbox"});
    // A process that was killed half-way has not answered, whatever it wrote.
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || answer.empty())
        return std::unexpected(SysError{ECHILD, "sandbox"});
    return answer;
}

}  // namespace

Result<std::string> run_in_sandbox(int file, const std::function<std::string(int)>& body,
                                   const SandboxLimits& limits) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return sys_error("pipe");
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) return sys_error("fork");
    if (child == 0) be_child(writing.get(), file, body, limits);
    writing.reset();
    (void)::setpgid(child, child);  // in case that the child has not done so yet
    auto answer = read_answer(reading.get(), limits);
    // The child first waits for the programs that it starts: this ends those of a child that could not.
    (void)::kill(-child, SIGKILL);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return answer ? answer_of(status, std::move(*answer)) : answer;
}

}  // namespace holdfast::netboot
