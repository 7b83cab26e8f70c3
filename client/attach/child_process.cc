// Runs work in a child. Death of the child without "ready" or "failed" is a failure, too.

#include "client/attach/child_process.hh"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "common/linux/result.hh"

namespace holdfast::client {
namespace {

[[noreturn]] void be_the_child(const BackgroundWork& work, Fd pipe) {
    ::signal(SIGPIPE, SIG_IGN);
    Report report(std::move(pipe));
    auto done = work(report);
    if (!done) {
        report.error(done.error().text);
        report.failed(done.error().code);
    }
    ::_exit(0);
}

class Reader {
public:
    explicit Reader(int descriptor) : stream_(::fdopen(descriptor, "r")) {}
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() {
        ::free(line_);
        if (stream_ != nullptr) ::fclose(stream_);
    }
    // Returns a line without its newline. An unterminated last line means that the child died while writing,
    // and is dropped.
    bool next(std::string& line) {
        const ssize_t length = stream_ == nullptr ? -1 : ::getline(&line_, &room_, stream_);
        if (length <= 0 || line_[length - 1] != '\n') return false;
        line.assign(line_, static_cast<std::size_t>(length - 1));
        return true;
    }

private:
    FILE* stream_;
    char* line_ = nullptr;
    std::size_t room_ = 0;
};

std::expected<Ready, ExitCode> hear_child(int pipe, const Notes& notes) {
    Reader reader(pipe);
    for (std::string line; reader.next(line);) {
        unsigned index = 0;
        unsigned long long size = 0;
        unsigned long long limit = 0;
        int daemon = 0;
        int code = 0;
        if (line.starts_with("note ")) notes(std::string_view(line).substr(5), false);
        if (line.starts_with("error ")) notes(std::string_view(line).substr(6), true);
        if (std::sscanf(line.c_str(), "failed %d", &code) == 1)
            return std::unexpected(static_cast<ExitCode>(code));
        if (std::sscanf(line.c_str(), "ready %u %llu %llu %d", &index, &size, &limit, &daemon) == 4)
            return Ready{index, size, limit, daemon};
    }
    notes("the new daemon process has died", true);
    return std::unexpected(ExitCode::failure);
}

}  // namespace

std::expected<Ready, ExitCode> run_in_background(const BackgroundWork& work, const Notes& notes) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        notes(SysError{errno, "pipe"}.text(), true);
        return std::unexpected(ExitCode::failure);
    }
    Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) {
        notes(SysError{errno, "fork"}.text(), true);
        return std::unexpected(ExitCode::failure);
    }
    if (child == 0) {
        reading.reset();
        // A second fork makes process 1 the daemon's parent from the start: systemd warns about a main
        // process that is not its own child.
        const pid_t daemon = ::fork();
        if (daemon == 0) be_the_child(work, std::move(writing));
        if (daemon < 0) Report(std::move(writing)).error(SysError{errno, "fork"}.text());
        ::_exit(0);
    }
    writing.reset();
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
    return hear_child(reading.release(), notes);
}

}  // namespace holdfast::client
