// Started by its path, without a shell and with no variable of the caller's but the language C.

#include "server/status/lvs_program.hh"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "common/linux/fd.hh"
#include "common/linux/text_file.hh"
#include "server/status/volume_list.hh"

namespace holdfast::server {
namespace {

// Starts lvs with this standard output, by no shell: the AppArmor profile permits lvs only. Empty without
// LVM.
std::optional<pid_t> start_lvs(int output) {
    std::string columns(lvs_columns);
    std::array<const char*, 10> words{"lvs", "--noheadings", "--nosuffix",    "--units", "b", "--separator",
                                      ",",   "-o",           columns.c_str(), nullptr};
    std::array<const char*, 2> environment{"LC_ALL=C", nullptr};
    posix_spawn_file_actions_t actions;
    if (::posix_spawn_file_actions_init(&actions) != 0) return std::nullopt;
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    std::optional<pid_t> child;
    for (const char* path : {"/usr/sbin/lvs", "/sbin/lvs"}) {
        pid_t pid = -1;
        if (::posix_spawn(&pid, path, &actions, nullptr, const_cast<char**>(words.data()),
                          const_cast<char**>(environment.data())) != 0)
            continue;
        child = pid;
        break;
    }
    ::posix_spawn_file_actions_destroy(&actions);
    return child;
}

}  // namespace

std::string output_of_lvs() {
    constexpr std::size_t longest = std::size_t{64} << 20;
    std::array<int, 2> ends{};
    if (::geteuid() != 0 || ::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
    Fd reading(ends[0]);
    Fd writing(ends[1]);
    const std::optional<pid_t> child = start_lvs(writing.get());
    if (!child) return {};
    writing.reset();
    const Result<std::string> text = read_to_end(reading.get(), longest);
    reading.reset();
    while (::waitpid(*child, nullptr, 0) < 0 && errno == EINTR) continue;
    return text.value_or("");
}

}  // namespace holdfast::server
