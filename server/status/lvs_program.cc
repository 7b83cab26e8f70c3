// Started by its path, without a shell and with no variable of the caller's but the language C.

#include "server/status/lvs_program.hh"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "common/linux/fd.hh"
#include "common/linux/text_file.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"
#include "server/status/volume_list.hh"

namespace holdfast::server {
namespace {

// Starts lvs with this standard output and standard error, by no shell: the AppArmor profile permits lvs
// only. ENOENT: no LVM.
Result<pid_t> start_lvs(int output, int errors) {
    std::string columns(lvs_columns);
    std::array<const char*, 10> words{"lvs", "--noheadings", "--nosuffix",    "--units", "b", "--separator",
                                      ",",   "-o",           columns.c_str(), nullptr};
    std::array<const char*, 2> environment{"LC_ALL=C", nullptr};
    posix_spawn_file_actions_t actions;
    if (::posix_spawn_file_actions_init(&actions) != 0) return std::unexpected(SysError{ENOMEM, "start"});
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
    pid_t child = -1;
    int error = ENOENT;
    for (const char* path : {"/usr/sbin/lvs", "/sbin/lvs"}) {
        if (error != ENOENT) break;
        error = ::posix_spawn(&child, path, &actions, nullptr, const_cast<char**>(words.data()),
                              const_cast<char**>(environment.data()));
    }
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return std::unexpected(SysError{error, "start"});
    return child;
}

std::string last_line_of(const Fd& errors) {
    std::array<char, 4096> text;
    const ssize_t count = ::read(errors.get(), text.data(), text.size());
    std::string_view rest(text.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    std::string_view last;
    while (!rest.empty())
        if (const std::string_view line = trimmed(take_line(rest)); !line.empty()) last = line;
    return last.empty() ? "ended without a word" : printable_ascii(last, 500);
}

}  // namespace

std::expected<std::string, LvsFault> output_of_lvs() {
    constexpr std::size_t longest = std::size_t{64} << 20;
    std::array<int, 2> ends{};
    if (::geteuid() != 0) return std::unexpected(LvsFault{true, "only root may list volumes"});
    std::array<int, 2> error_ends{};
    // Words that find no room in this pipe are lost: nobody reads until lvs has ended.
    if (::pipe2(error_ends.data(), O_CLOEXEC | O_NONBLOCK) != 0)
        return std::unexpected(LvsFault{false, "no descriptor is left"});
    const Fd errors(error_ends[0]);
    Fd error_writing(error_ends[1]);
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return std::unexpected(LvsFault{false, "no descriptor is left"});
    Fd reading(ends[0]);
    Fd writing(ends[1]);
    const Result<pid_t> child = start_lvs(writing.get(), error_writing.get());
    if (!child && child.error().code == ENOENT)
        return std::unexpected(LvsFault{true, "not found; install lvm2"});
    if (!child) return std::unexpected(LvsFault{false, child.error().message()});
    writing.reset();
    error_writing.reset();
    Result<std::string> text = read_to_end(reading.get(), longest);
    reading.reset();
    int status = 0;
    while (::waitpid(*child, &status, 0) < 0 && errno == EINTR) continue;
    if (!text) return std::unexpected(LvsFault{false, text.error().message()});
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::move(*text);
    return std::unexpected(LvsFault{false, last_line_of(errors)});
}

}  // namespace holdfast::server
