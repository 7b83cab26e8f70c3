// The program gets the file as its standard input, and an empty environment.

#include "netboot/inspect/unpacking.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netboot/inspect/sandbox.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

constexpr int cannot_start = 127;
constexpr char local_mark = '\1';  // no line contains it

std::unexpected<std::string> local_failure(const char* call) {
    return unexpected(local_fault(sys_error(call).error().message()));
}

// Has the kernel end the program at its limit of processor time: xz takes the warning before the limit,
// SIGXCPU, for a reason to end with success.
bool end_at_limit() {
    rlimit work{};
    if (::getrlimit(RLIMIT_CPU, &work) != 0) return false;
    work.rlim_max = work.rlim_cur;
    return ::setrlimit(RLIMIT_CPU, &work) == 0;
}

[[noreturn]] void be_unpacker(const Unpacker& unpacker, int file, int output) {
    const rlimit memory{largest_program, largest_program};
    const bool ready = ::dup2(file, 0) >= 0 && ::dup2(output, 1) >= 0 &&
                       ::setrlimit(RLIMIT_AS, &memory) == 0 && end_at_limit();
    char decompress[] = "-dc";
    char* const words[] = {const_cast<char*>(unpacker.program), decompress, nullptr};
    char* const environment[] = {nullptr};
    if (ready) ::execve(unpacker.program, words, environment);
    ::_exit(cannot_start);
}

// Whether the program has used the processor for as long as the sandbox permits; the kernel ends it then.
bool has_used_up(const rusage& used) {
    rlimit work{};
    if (::getrlimit(RLIMIT_CPU, &work) != 0 || work.rlim_cur == RLIM_INFINITY) return false;
    const time_t seconds = used.ru_utime.tv_sec + used.ru_stime.tv_sec + 2;  // each rounded down
    return seconds >= static_cast<time_t>(work.rlim_cur);
}

// Error if a signal has ended the program. The one that ends a program for want of memory, or at the limit of
// processor time, is SIGKILL; others are faults of the program, which the file has caused.
Read<void> check_end(const Unpacker& unpacker, int status, const rusage& used) {
    if (!WIFSIGNALED(status)) return {};
    const int signal = WTERMSIG(status);
    if (signal == SIGXCPU || (signal == SIGKILL && has_used_up(used)))
        return unexpected(fmt::format("{} needs more than {} s of processor time; make the file smaller",
                                      unpacker.program, longest_work));
    if (signal != SIGKILL && signal != SIGTERM)
        return unexpected(
            fmt::format("{} was ended by signal {} while it read the file; make the file again on the host",
                        unpacker.program, signal));
    return unexpected(local_fault(fmt::format(
        "{} was ended by signal {}, for want of memory for example; make room on the boot server, "
        "or run `holdfast-netboot take` again",
        unpacker.program, signal)));
}

Read<void> hand_over(int pipe, const std::function<Read<void>(std::string_view)>& take) {
    char chunk[65536];
    std::uint64_t all = 0;
    for (;;) {
        const ssize_t count = ::read(pipe, chunk, sizeof chunk);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return local_failure("read");
        if (count == 0) return {};
        all += static_cast<std::uint64_t>(count);
        if (all > most_unpacked)
            return unexpected(fmt::format("unpacks to more than {} GiB; remove what is not needed to boot",
                                          most_unpacked >> 30));
        if (auto taken = take({chunk, static_cast<std::size_t>(count)}); !taken) return taken;
    }
}

}  // namespace

std::string local_fault(std::string_view line) { return local_mark + std::string(line); }

bool take_local_mark(std::string_view& line) {
    if (!line.starts_with(local_mark)) return false;
    line.remove_prefix(1);
    return true;
}

Read<void> unpack(const Unpacker& unpacker, int file, bool expect_success,
                  const std::function<Read<void>(std::string_view)>& take) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return local_failure("pipe");
    Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) return local_failure("fork");
    if (child == 0) be_unpacker(unpacker, file, writing.get());
    writing.reset();
    const auto taken = hand_over(reading.get(), take);
    reading.reset();  // a program that writes on ends by SIGPIPE
    int status = 0;
    rusage used{};
    while (::wait4(child, &status, 0, &used) < 0 && errno == EINTR) {
    }
    if (!taken) return taken;
    if (WIFEXITED(status) && WEXITSTATUS(status) == cannot_start)
        return unexpected(
            local_fault(fmt::format("{}: cannot be started on the boot server; run `apt install {}` there",
                                    unpacker.program, unpacker.package)));
    if (auto ended = check_end(unpacker, status, used); !ended) return ended;
    if (expect_success && status != 0)
        return unexpected(fmt::format(
            "damaged, or too large to unpack, says {}; make the file again on the host", unpacker.program));
    return {};
}

}  // namespace holdfast::netboot
