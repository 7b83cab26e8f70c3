// The process in which untrusted files are read.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "netboot/inspect/sandbox.hh"

using namespace holdfast;
using namespace holdfast::netboot;

namespace {

Fd some_file() { return Fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)); }

Result<std::string> run(const std::function<std::string(int)>& body, const SandboxLimits& limits = {}) {
    const Fd file = some_file();
    return run_in_sandbox(file.get(), body, limits);
}

}  // namespace

TEST_CASE("a sandbox hands over the file from its start, and the answer") {
    const Fd file = some_file();
    CHECK(::lseek(file.get(), 100, SEEK_SET) == 100);
    const auto answer = run_in_sandbox(file.get(), [](int inside) {
        char magic[4];
        return ::read(inside, magic, sizeof magic) == 4 ? std::string(magic + 1, 3) : std::string("none");
    });
    CHECK(answer == "ELF");
    CHECK(run([](int) { return std::string(9000, 'x'); }, {.seconds = 20, .answer = 5000})->size() == 5000);
}

TEST_CASE("a sandbox has no network, no signals, no privileges and no other files") {
    const Fd other = some_file();
    const auto answer = run([&](int) {
        std::string faults;
        if (::socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != ENOSYS) faults += "socket ";
        if (::kill(::getppid(), 0) == 0 || errno != ENOSYS) faults += "kill ";
        if (::setsid() >= 0 || errno != ENOSYS) faults += "setsid ";
        if (::geteuid() == 0) faults += "root ";
        if (::fcntl(other.get(), F_GETFD) >= 0 && other.get() > 4) faults += "descriptor ";
        if (::fcntl(5, F_GETFD) >= 0) faults += "descriptors ";
        const char* const path = "/tmp/holdfast-sandbox-test";
        if (::open(path, O_WRONLY | O_CREAT, 0600) >= 0 || errno != EPERM) faults += "file ";
        if (::open("/dev/null", O_RDWR) >= 0 || errno != EPERM) faults += "writing ";
        if (::open("/dev/null", O_RDONLY) < 0) faults += "reading ";
        return faults.empty() ? std::string("good") : faults;
    });
    CHECK(answer == "good");
}

TEST_CASE(
    "a sandbox has no call that leads to namespaces, mounts, other processes, or rarely used parts of the "
    "kernel") {
    struct Call {
        const char* name;
        long number;
        long arguments[4];
        int error = ENOSYS;
    };
    const long parent = ::getpid();
    const Call calls[] = {
        {"clone3", SYS_clone3, {}},
        {"unshare", SYS_unshare, {CLONE_NEWUSER}},
        {"setns", SYS_setns, {}},
        {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, {parent, 0, 0}},
        {"rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo, {parent, parent, 0, 0}},
        {"pidfd_open", SYS_pidfd_open, {parent}},
        {"pidfd_send_signal", SYS_pidfd_send_signal, {}},
        {"pidfd_getfd", SYS_pidfd_getfd, {}},
        {"tgkill", SYS_tgkill, {parent, parent, 0}},
        {"tkill", SYS_tkill, {parent, 0}},
        {"ptrace", SYS_ptrace, {16, parent}},
        {"process_vm_readv", SYS_process_vm_readv, {parent}},
        {"process_vm_writev", SYS_process_vm_writev, {parent}},
        {"process_madvise", SYS_process_madvise, {}},
        {"kcmp", SYS_kcmp, {parent, parent}},
        {"setpriority", SYS_setpriority, {0, parent, 19}},
        {"sched_setaffinity", SYS_sched_setaffinity, {parent}},
        {"mount", SYS_mount, {}},
        {"fsopen", SYS_fsopen, {}},
        {"fsconfig", SYS_fsconfig, {}},
        {"fsmount", SYS_fsmount, {}},
        {"fspick", SYS_fspick, {}},
        {"move_mount", SYS_move_mount, {}},
        {"open_tree", SYS_open_tree, {}},
        {"mount_setattr", SYS_mount_setattr, {}},
        {"open_by_handle_at", SYS_open_by_handle_at, {}},
        {"openat2", SYS_openat2, {}},
        {"io_uring_setup", SYS_io_uring_setup, {}},
        {"io_uring_enter", SYS_io_uring_enter, {-1}},
        {"io_uring_register", SYS_io_uring_register, {-1}},
        {"io_setup", SYS_io_setup, {}},
        {"bpf", SYS_bpf, {}},
        {"perf_event_open", SYS_perf_event_open, {}},
        {"userfaultfd", SYS_userfaultfd, {}},
        {"memfd_create", SYS_memfd_create, {}},
        {"add_key", SYS_add_key, {}},
        {"request_key", SYS_request_key, {}},
        {"keyctl", SYS_keyctl, {}},
        {"inotify_init1", SYS_inotify_init1, {}},
        {"fanotify_init", SYS_fanotify_init, {}},
        {"shmget", SYS_shmget, {}},
        {"msgget", SYS_msgget, {}},
        {"mq_open", SYS_mq_open, {}},
        {"ioctl", SYS_ioctl, {}},
        {"landlock_create_ruleset", SYS_landlock_create_ruleset, {}},
        {"execveat", SYS_execveat, {-1}},
        {"unlinkat", SYS_unlinkat, {-1}},
        {"clone into a user namespace", SYS_clone, {CLONE_NEWUSER | SIGCHLD}, EPERM},
        {"clone into a network namespace", SYS_clone, {CLONE_NEWNET | SIGCHLD}, EPERM},
        {"clone into a namespace of mounts", SYS_clone, {CLONE_NEWNS | SIGCHLD}, EPERM},
        {"limits of another process", SYS_prlimit64, {parent, RLIMIT_NOFILE, 0, 0}, EPERM},
        {"signals by a descriptor", SYS_fcntl, {4, F_SETOWN, parent}, EPERM},
        {"no signal at the death of the parent", SYS_prctl, {PR_SET_PDEATHSIG, 0}, EPERM},
    };
    const auto answer = run([&](int) {
        std::string faults;
        for (const auto& [name, number, arguments, error] : calls) {
            errno = 0;
            const long result =
                ::syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], 0L, 0L);
            if (result == 0 && number == SYS_clone) ::_exit(0);
            if (result >= 0 || errno != error)
                faults += std::string(name) + ": " + std::to_string(errno) + "; ";
        }
        return faults.empty() ? std::string("good") : faults;
    });
    CHECK(answer == "good");
}

TEST_CASE("a sandbox of root has a limit of processes") {
    if (::geteuid() != 0) return;
    const auto answer = run([](int) {
        rlimit most{};
        return ::getrlimit(RLIMIT_NPROC, &most) == 0 ? std::to_string(most.rlim_max) : std::string("none");
    });
    REQUIRE(answer);
    CHECK(std::stoul(*answer) <= 1024);
}

TEST_CASE("a sandbox tells a process that has used up its processor time from one that was killed") {
    const auto busy = run(
        [](int) -> std::string {
            const volatile bool is_busy = true;
            while (is_busy) {
            }
            return "never";
        },
        {.seconds = 60, .answer = 100, .work = 1});
    REQUIRE(!busy);
    CHECK(busy.error().code == ETIME);
}

TEST_CASE("a sandbox ends after its time, with all of its processes, and reports a process that was killed") {
    const auto began = Clock::now();
    const auto late = run(
        [](int) {
            if (::fork() == 0) (void)::poll(nullptr, 0, -1);
            (void)::poll(nullptr, 0, -1);
            return std::string("never");
        },
        {.seconds = 1, .answer = 10});
    REQUIRE(!late);
    CHECK(late.error().code == ETIMEDOUT);
    CHECK(Clock::now() - began < std::chrono::seconds(20));
    const auto killed = run([](int) -> std::string {
        // Without tgkill(2), abort(3) ends by an invalid instruction.
        __builtin_trap();
    });
    REQUIRE(!killed);
    CHECK(killed.error().code == ECHILD);
    const auto half = run([](int) -> std::string {
        // To the answer's descriptor, as the handler of a crash might.
        (void)!::write(3, "half", 4);
        __builtin_trap();
    });
    REQUIRE(!half);
    CHECK(half.error().code == ECHILD);
    // A process that is left behind keeps the pipe open.
    const auto left = run(
        [](int) {
            if (::fork() == 0) (void)::poll(nullptr, 0, -1);
            return std::string("answer");
        },
        {.seconds = 2, .answer = 100});
    REQUIRE(!left);
    CHECK(left.error().code == ETIMEDOUT);
}
