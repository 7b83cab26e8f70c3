// posix_spawn(3), and a pipe for each stream, so that a long error cannot be taken for output.

#include "provision/lvm.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"

namespace holdfast::provision {
namespace {

constexpr std::chrono::seconds patience{120};
constexpr std::size_t longest_output = std::size_t{16} << 20;

struct Pipe {
    Fd reading;
    Fd writing;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return sys_error("pipe2");
    return Pipe{Fd(ends[0]), Fd(ends[1])};
}

Result<pid_t> spawn(const std::string& program, const std::vector<std::string>& words, int output,
                    int errors) {
    std::vector<char*> arguments{const_cast<char*>(program.c_str())};
    for (const std::string& one : words) arguments.push_back(const_cast<char*>(one.c_str()));
    arguments.push_back(nullptr);
    std::array<const char*, 4> environment{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                           "LVM_SUPPRESS_FD_WARNINGS=1", nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (::posix_spawn_file_actions_init(&actions) != 0) return sys_error("posix_spawn");
    if (::posix_spawnattr_init(&attributes) != 0) return sys_error("posix_spawn");
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
    pid_t pid = -1;
    int code = ENOENT;
    for (const char* folder : {"/usr/sbin/", "/sbin/"}) {
        if (code != ENOENT) break;
        code = ::posix_spawn(&pid, (folder + program).c_str(), &actions, &attributes, arguments.data(),
                             const_cast<char**>(environment.data()));
    }
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (code != 0) return std::unexpected(SysError{code, "posix_spawn"});
    return pid;
}

// Reads what is present; returns false at the end.
bool read_some(const Fd& from, std::string& text) {
    std::array<char, 16384> buffer;
    const ssize_t count = ::read(from.get(), buffer.data(), buffer.size());
    if (count < 0) return errno == EINTR || errno == EAGAIN;
    if (text.size() < longest_output) text.append(buffer.data(), static_cast<std::size_t>(count));
    return count > 0;
}

// Reads both streams to their ends; returns false at the deadline, or if there is too much (longest_output).
bool read_all(Fd& output, Fd& errors, std::string& text, std::string& error_text) {
    const Deadline deadline = Clock::now() + patience;
    while (output || errors) {
        std::array<pollfd, 2> wait{pollfd{output.get(), POLLIN, 0}, pollfd{errors.get(), POLLIN, 0}};
        (void)::poll(wait.data(), wait.size(), poll_timeout(deadline, Clock::now()));
        if (Clock::now() >= deadline || text.size() >= longest_output) return false;
        if (wait[0].revents != 0 && !read_some(output, text)) output.reset();
        if (wait[1].revents != 0 && !read_some(errors, error_text)) errors.reset();
    }
    return true;
}

std::string last_line(std::string_view text) {
    std::string_view last;
    while (!text.empty()) {
        const std::string_view line = trimmed(take_line(text));
        if (!line.empty() && !line.starts_with("Run `")) last = line;  // "Run `lvcreate --help' ..."
    }
    constexpr std::size_t longest = 500;
    return printable_ascii(last, longest);
}

}  // namespace

Outcome<std::string> Lvm::run(const std::string& program, const std::vector<std::string>& words) const {
    Result<Pipe> output = make_pipe();
    Result<Pipe> errors = make_pipe();
    if (!output || !errors) return std::unexpected(program + ": no descriptor is left");
    const Result<pid_t> child = spawn(program, words, output->writing.get(), errors->writing.get());
    if (!child) return std::unexpected(fmt::format("{}: {}; install lvm2", program, child.error().message()));
    output->writing.reset();
    errors->writing.reset();
    std::string text;
    std::string error_text;
    // A command that was killed could leave a suspended volume, and with it hosts that wait for ever.
    if (!read_all(output->reading, errors->reading, text, error_text))
        return std::unexpected(
            text.size() >= longest_output
                ? fmt::format("{}: more than {} MiB of output", program, longest_output >> 20)
                : fmt::format("{}: no answer for {} s; the command goes on, see the log of LVM", program,
                              patience.count()));
    int status = 0;
    while (::waitpid(*child, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
    return std::unexpected(fmt::format("{}: {}", program, last_line(error_text)));
}

Outcome<std::vector<LvmVolume>> Lvm::volumes(const std::string& group) const {
    const Outcome<std::string> text =
        run("lvs", {"--noheadings", "--nosuffix", "--units", "b", "--separator", std::string(lvs_separator),
                    "-o", std::string(lvs_columns), group});
    if (!text) return std::unexpected(text.error());
    auto volumes = parse_volumes(*text);
    if (!volumes) return std::unexpected("lvs: unexpected line: " + volumes.error());
    return std::move(*volumes);
}

}  // namespace holdfast::provision
