// What becomes of system calls in the process that speaks to clients: the real filter, in a child for every
// call.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "server/process/system_call_filter.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

// The sanitizers make calls of their own, and under them the server has no filter.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool without_filter = true;
#else
constexpr bool without_filter = false;
#endif

struct Call {
    std::string name;
    long number;
    // Where none is given they are -1: without a filter, too, the call does nothing then but fail.
    std::array<long, 6> arguments{-1, -1, -1, -1, -1, -1};
};

// How the child fared.
struct Fate {
    bool killed = false;   // by the filter
    int error = -1;        // of the call; 0: it was carried out
    int told_number = -1;  // what could be read of refused calls; -1: nothing

    bool operator==(const Fate&) const = default;
};

doctest::String toString(const Fate& fate) {
    return (std::string(fate.killed ? "killed" : "alive") + ", errno " + std::to_string(fate.error) +
            ", told of " + std::to_string(fate.told_number))
        .c_str();
}

// No filter at all, or a child that ends otherwise, is an error that no call has.
constexpr int not_confined = 250;

[[noreturn]] void be_confined_and_call(const Call& call, int report_to) {
    const rlimit no_core{0, 0};
    (void)::setrlimit(RLIMIT_CORE, &no_core);
    Fate fate{.error = not_confined};
    const bool closed = close_way_to_privileges().has_value();
    const auto told_of = confine_system_calls();
    if (closed && told_of && *told_of) {
        const std::array<long, 6>& a = call.arguments;
        errno = 0;
        const long result = ::syscall(call.number, a[0], a[1], a[2], a[3], a[4], a[5]);
        fate.error = result == -1 ? errno : 0;
        if (::read(told_of->get(), &fate.told_number, sizeof fate.told_number) < 0) fate.told_number = -1;
    }
    (void)!::write(report_to, &fate, sizeof fate);
    ::_exit(0);
}

Fate fate_of(const Call& call) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const Fd ours(ends[0]);
    Fd theirs(ends[1]);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) be_confined_and_call(call, theirs.get());
    theirs.reset();
    Fate fate;
    const bool reported = ::read(ours.get(), &fate, sizeof fate) == sizeof fate;
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) return {.killed = true};
    return reported ? fate : Fate{.error = not_confined};
}

constexpr Fate killed{.killed = true};
constexpr Fate carried_out{.error = 0};
Fate failed(int error) { return {.error = error}; }
Fate told(long number) { return {.error = EPERM, .told_number = static_cast<int>(number)}; }

}  // namespace

TEST_SUITE_BEGIN("confinement" * doctest::skip(without_filter));

TEST_CASE("calls that lead out of the confinement end the process that speaks to clients") {
    for (const Call& call : {
             Call{"execve", SYS_execve},
             {"execveat", SYS_execveat},
             {"ptrace", SYS_ptrace},
             {"process_vm_readv", SYS_process_vm_readv},
             {"process_vm_writev", SYS_process_vm_writev},
             {"pidfd_getfd", SYS_pidfd_getfd},
             {"bpf", SYS_bpf},
             {"perf_event_open", SYS_perf_event_open},
             {"userfaultfd", SYS_userfaultfd},
             {"mount", SYS_mount},
             {"umount2", SYS_umount2},
             {"move_mount", SYS_move_mount},
             {"pivot_root", SYS_pivot_root},
             {"chroot", SYS_chroot},
             {"unshare", SYS_unshare},
             {"setns", SYS_setns},
             {"open_by_handle_at", SYS_open_by_handle_at},
             {"init_module", SYS_init_module},
             {"finit_module", SYS_finit_module},
             {"reboot", SYS_reboot},
             {"personality", SYS_personality},
             {"keyctl", SYS_keyctl},
             {"setuid", SYS_setuid},
             {"setgid", SYS_setgid},
             {"setresuid", SYS_setresuid},
             {"setgroups", SYS_setgroups},
             {"capset", SYS_capset},
             {"mknodat", SYS_mknodat},
             {"clock_settime", SYS_clock_settime},
         }) {
        INFO(call.name);
        CHECK(fate_of(call) == killed);
    }
}

#if defined(__x86_64__)
TEST_CASE("calls by another architecture's numbers end it, too") {
    constexpr long x32 = 0x40000000;
    CHECK(fate_of({"getpid of x32", x32 | SYS_getpid}) == killed);
    CHECK(fate_of({"execve of x32", x32 | 520}) == killed);
}
#endif

TEST_CASE("what libraries try by themselves is refused without a word") {
    const long path = reinterpret_cast<long>("/dev/null");
    CHECK(fate_of({"openat", SYS_openat, {AT_FDCWD, path, O_RDONLY}}) == failed(EACCES));
    CHECK(fate_of({"openat2", SYS_openat2, {AT_FDCWD, path}}) == failed(EACCES));
    CHECK(fate_of({"faccessat2", SYS_faccessat2, {AT_FDCWD, path}}) == failed(EACCES));
    CHECK(fate_of({"readlinkat", SYS_readlinkat, {AT_FDCWD, path}}) == failed(EACCES));
    CHECK(fate_of({"newfstatat", SYS_newfstatat, {AT_FDCWD, path, 0, 0}}) == failed(EACCES));
    CHECK(fate_of({"statx", SYS_statx, {AT_FDCWD, path, 0}}) == failed(EACCES));
    CHECK(fate_of({"io_uring_setup", SYS_io_uring_setup}) == failed(EACCES));
    // The C library takes clone() then, whose flags can be seen.
    CHECK(fate_of({"clone3", SYS_clone3}) == failed(ENOSYS));
}

TEST_CASE("every other call fails, and is told of") {
    const long path = reinterpret_cast<long>("/nowhere/at/all");
    for (const Call& call : {
             Call{"mkdirat", SYS_mkdirat, {AT_FDCWD, path}},
             {"unlinkat", SYS_unlinkat, {AT_FDCWD, path}},
             {"renameat2", SYS_renameat2, {AT_FDCWD, path, AT_FDCWD, path}},
             {"linkat", SYS_linkat, {AT_FDCWD, path, AT_FDCWD, path}},
             {"fchmodat", SYS_fchmodat, {AT_FDCWD, path}},
             {"ftruncate", SYS_ftruncate},
             {"memfd_create", SYS_memfd_create},
             {"bind", SYS_bind},
             {"listen", SYS_listen},
             {"kill, of the opener, for one", SYS_kill, {::getpid(), 0}},
             {"tgkill of another", SYS_tgkill, {::getpid(), ::getpid(), 0}},
             {"pidfd_open", SYS_pidfd_open},
             {"seccomp", SYS_seccomp},
             {"sched_getaffinity", SYS_sched_getaffinity, {0, 0, 0}},
             {"sched_setaffinity", SYS_sched_setaffinity, {0, 0, 0}},
             {"capget", SYS_capget, {0, 0}},
             {"fstatfs", SYS_fstatfs},
             {"setrlimit", SYS_setrlimit},
             {"a call of the future", 999},
             {"connect", SYS_connect},
             {"sendto an address", SYS_sendto, {-1, 0, 0, 0, path, 16}},
             {"sendto by fast open", SYS_sendto, {-1, 0, 0, MSG_FASTOPEN, 0, 0}},
             {"sendmsg by fast open", SYS_sendmsg, {-1, 0, MSG_FASTOPEN | MSG_NOSIGNAL}},
             {"sendmmsg", SYS_sendmmsg},
             {"setsockopt of a later connect", SYS_setsockopt, {-1, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0, 0}},
             {"setsockopt of the state", SYS_setsockopt, {-1, IPPROTO_TCP, TCP_REPAIR, 0, 0}},
             {"setsockopt of a filter", SYS_setsockopt, {-1, SOL_SOCKET, SO_ATTACH_FILTER, 0, 0}},
             {"setsockopt of a group", SYS_setsockopt, {-1, IPPROTO_IP, IP_ADD_MEMBERSHIP, 0, 0}},
             {"fcntl of an owner", SYS_fcntl, {-1, F_SETOWN, ::getppid()}},
             {"fcntl of an owner, the long way", SYS_fcntl, {-1, F_SETOWN_EX, 0}},
             {"fcntl of a signal", SYS_fcntl, {-1, F_SETSIG, SIGKILL}},
             {"fcntl of signals", SYS_fcntl, {-1, F_SETFL, O_ASYNC}},
             {"fcntl of a lease", SYS_fcntl, {-1, F_SETLEASE, F_WRLCK}},
             {"ioctl of signals", SYS_ioctl, {-1, FIOASYNC, 0}},
             {"ioctl of an owner", SYS_ioctl, {-1, FIOSETOWN, 0}},
             {"ioctl of a process group", SYS_ioctl, {-1, SIOCSPGRP, 0}},
             {"tkill", SYS_tkill, {::getppid(), 0}},
             {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, {::getppid(), 0, 0}},
             {"rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo, {::getppid(), ::getppid(), 0, 0}},
             {"pidfd_send_signal", SYS_pidfd_send_signal},
             {"timer_create", SYS_timer_create},
             {"get_robust_list", SYS_get_robust_list, {::getppid(), 0, 0}},
             {"io_uring_enter", SYS_io_uring_enter},
             {"io_uring_register", SYS_io_uring_register},
             {"socket to the log", SYS_socket, {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0}},
             {"socket of the network", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
             {"socket of the kernel's", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}},
             {"socket to a service", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
             {"socketpair of the network", SYS_socketpair, {AF_INET, SOCK_STREAM, 0, 0}},
             {"ioctl to type into a terminal", SYS_ioctl, {-1, TIOCSTI, 0}},
             {"ioctl to freeze a file system", SYS_ioctl, {-1, static_cast<long>(FIFREEZE), 0}},
             {"mmap of code", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
             {"mprotect to code", SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}},
             {"clone of a process", SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
             {"prctl", SYS_prctl, {PR_SET_DUMPABLE, 1}},
             {"prctl of a filter", SYS_prctl, {PR_SET_SECCOMP, SECCOMP_MODE_STRICT}},
         }) {
        INFO(call.name);
        CHECK(fate_of(call) == told(call.number));
    }
}

TEST_CASE("what serving needs is carried out") {
    const long page = 4096;
    char byte = 0;
    for (const Call& call : {
             Call{"getpid", SYS_getpid},
             {"mmap of memory",
              SYS_mmap,
              {0, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
             {"eventfd2", SYS_eventfd2, {0, 0}},
             {"getrandom", SYS_getrandom, {reinterpret_cast<long>(&byte), 1, 0}},
             {"prctl of a thread's name", SYS_prctl, {PR_SET_NAME, reinterpret_cast<long>("name")}},
         }) {
        INFO(call.name);
        CHECK(fate_of(call) == carried_out);
    }
    // These come as far as the kernel, which finds that there is no such descriptor.
    for (const Call& call : {Call{"read", SYS_read},
                             {"preadv2", SYS_preadv2},
                             {"pwritev2", SYS_pwritev2},
                             {"fallocate", SYS_fallocate},
                             {"fdatasync", SYS_fdatasync},
                             {"splice", SYS_splice, {-1, 0, -1, 0, 1, 0}},
                             {"recvmsg", SYS_recvmsg, {-1, 0, 0}},
                             {"sendmsg", SYS_sendmsg, {-1, 0, 0}},
                             {"sendto, as send", SYS_sendto, {-1, 0, 0, MSG_NOSIGNAL, 0, 0}},
                             {"an option of a socket", SYS_setsockopt, {-1, IPPROTO_TCP, TCP_NODELAY, 0, 0}},
                             {"a pipe's size", SYS_fcntl, {-1, F_SETPIPE_SZ, 4096}},
                             {"accept4", SYS_accept4, {-1, 0, 0, 0}},
                             {"a device's size", SYS_ioctl, {-1, static_cast<long>(BLKGETSIZE64), 0}},
                             {"a device's discard", SYS_ioctl, {-1, BLKDISCARD, 0}}}) {
        INFO(call.name);
        CHECK(fate_of(call) == failed(EBADF));
    }
    // cachestat, which kernels before 6.5 do not have.
    const Fate counted = fate_of({"cachestat", 451});
    CHECK((counted == failed(EBADF) || counted == failed(ENOSYS)));
}

TEST_SUITE_END();
