// fork, setsid, and a pipe on which the parent waits for the child's success.

#include "server/process/daemonize.hh"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "server/process/helper_process.hh"

namespace holdfast::server {
namespace {

// Body of the parent after the fork.
[[noreturn]] void wait_for_child(pid_t child, const Fd& from_child) {
    // Closes also the log's descriptors: the log ends with the child (log::finish()).
    const auto kept = static_cast<unsigned>(from_child.get());
    if (kept > 3) (void)::close_range(3, kept - 1, 0);
    (void)::close_range(kept + 1, ~0U, 0);
    char byte = 0;
    for (;;) {
        const ssize_t count = ::read(from_child.get(), &byte, 1);
        if (count == 1) ::_exit(0);
        if (count == 0 || errno != EINTR) break;
    }
    int status = 0;
    if (::waitpid(child, &status, 0) == child && WIFEXITED(status)) ::_exit(WEXITSTATUS(status));
    ::_exit(1);
}

Result<void> write_pid(const std::string& path, pid_t pid) {
    const std::string draft = path + ".new";
    (void)::unlink(draft.c_str());
    const Fd file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!file) return sys_error("open");
    const std::string text = std::to_string(pid) + "\n";
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return sys_error("write");
    if (::rename(draft.c_str(), path.c_str()) != 0) return sys_error("rename");
    return {};
}

}  // namespace

Result<void> Daemonizer::detach() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return sys_error("pipe2");
    const Fd from_child(ends[0]);
    Fd to_parent(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) return sys_error("fork");
    if (child > 0) {
        to_parent.reset();
        wait_for_child(child, from_child);
    }
    if (::setsid() < 0) return sys_error("setsid");
    if (::chdir("/") != 0) return sys_error("chdir");
    to_parent_ = std::move(to_parent);
    return {};
}

Result<void> Daemonizer::ready() {
    if (!to_parent_) return {};
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null) return sys_error("open");
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::dup2(null.get(), standard) < 0) return sys_error("dup2");
    }
    const char byte = 1;
    if (::write(to_parent_.get(), &byte, 1) != 1) return sys_error("write");
    to_parent_.reset();
    return {};
}

std::expected<void, std::string> write_pid_file(const std::string& path) {
    constexpr std::chrono::seconds patience{5};
    const auto answer = ask_helper(
        [&, pid = ::getpid()] {
            const Result<void> written = write_pid(path, pid);
            return written ? OpenerAnswer() : refusal(OpenerStatus::refused, written.error().message());
        },
        patience);
    if (!answer) return std::unexpected(answer.error());
    return {};
}

}  // namespace holdfast::server
