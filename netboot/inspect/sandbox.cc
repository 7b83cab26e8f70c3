// Several walls, because none of them is everywhere: the user (only for root), the filter of system calls
// (only for the two processors below), no_new_privs, limits, and no descriptor but the file.

#include "netboot/inspect/sandbox.hh"

#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

// No unpacker needs these calls; each is a way out, to other processes, or to rarely used parts of the
// kernel.
constexpr unsigned forbidden_calls[] = {
    __NR_socket,
    __NR_socketpair,
    __NR_connect,
    __NR_bind,
    __NR_kill,
    __NR_tkill,
    __NR_tgkill,
    __NR_pidfd_open,
    __NR_ptrace,
    __NR_process_vm_readv,
    __NR_process_vm_writev,
    __NR_setsid,
    __NR_setpgid,
    __NR_unshare,
    __NR_setns,
    __NR_mount,
    __NR_umount2,
    __NR_pivot_root,
    __NR_chroot,
    __NR_bpf,
    __NR_perf_event_open,
    __NR_userfaultfd,
    __NR_io_uring_setup,
    __NR_add_key,
    __NR_request_key,
    __NR_keyctl,
    __NR_open_by_handle_at,
    __NR_init_module,
    __NR_finit_module,
    __NR_delete_module,
    __NR_kexec_load,
    __NR_shmget,
    __NR_msgget,
    __NR_semget,
    __NR_mq_open,
};

bool filter_calls() {
    if constexpr (our_processor == 0) return true;
    std::vector<sock_filter> program{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, our_processor, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        // The x32 calls of x86-64.
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000U, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    for (const unsigned call : forbidden_calls) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

bool limit(__rlimit_resource_t resource, rlim_t most) {
    const rlimit value{most, most};
    return ::setrlimit(resource, &value) == 0;
}

bool become_nobody() {
    if (::geteuid() != 0) return true;
    return ::setgroups(0, nullptr) == 0 && ::setresgid(nobody, nobody, nobody) == 0 &&
           ::setresuid(nobody, nobody, nobody) == 0;
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

bool enter(int answer, int file) {
    constexpr rlim_t most_descriptors = 32;
    // The group is for the end of all processes at once. The signal at the death of this program follows the
    // change of the user, which would clear it.
    return ::setpgid(0, 0) == 0 && keep_descriptors(answer, file) && limit(RLIMIT_CORE, 0) &&
           limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_NOFILE, most_descriptors) &&
           limit(RLIMIT_CPU, longest_work) && be_modest() && ::lseek(file_fd, 0, SEEK_SET) == 0 &&
           become_nobody() && ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
           ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && filter_calls();
}

[[noreturn]] void be_child(int answer, int file, const std::function<std::string(int)>& body) {
    forget_handlers();
    if (!enter(answer, file)) ::_exit(no_sandbox);
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

}  // namespace

Result<std::string> run_in_sandbox(int file, const std::function<std::string(int)>& body,
                                   const SandboxLimits& limits) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return sys_error("pipe");
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) return sys_error("fork");
    if (child == 0) be_child(writing.get(), file, body);
    writing.reset();
    (void)::setpgid(child, child);  // in case that the child has not done so yet
    auto answer = read_answer(reading.get(), limits);
    // The child first waits for the programs that it starts: this ends those of a child that could not.
    (void)::kill(-child, SIGKILL);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!answer) return answer;
    if (WIFEXITED(status) && WEXITSTATUS(status) == no_sandbox)
        return std::unexpected(SysError{EPERM, "sandbox"});
    // A process that was killed half-way has not answered, whatever it wrote.
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || answer->empty())
        return std::unexpected(SysError{ECHILD, "sandbox"});
    return answer;
}

}  // namespace holdfast::netboot
