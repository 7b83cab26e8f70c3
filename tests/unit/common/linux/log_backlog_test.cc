// The log of a program that never waits for its log: in a child process, because the log and stderr belong to
// the whole process.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <string>

#include "common/linux/fd.hh"
#include "common/linux/log.hh"
#include "common/linux/text_file.hh"

using namespace holdfast;

namespace {

struct Pipe {
    Pipe() {
        std::array<int, 2> ends{};
        REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
        reading.reset(ends[0]);
        writing.reset(ends[1]);
    }
    Fd reading;
    Fd writing;
};

// Runs `body` in a child whose stderr is `target`, and whose stdout is `news`.
template <typename Body>
pid_t run_with_log(int target, int news, const Body& body) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child != 0) return child;
    ::dup2(target, STDERR_FILENO);
    ::dup2(news, STDOUT_FILENO);
    ::close_range(3, ~0U, 0);
    log::open("program", log::Sink::terminal);
    log::never_wait();
    ::_exit(body() ? 0 : 1);
}

bool ends_well(pid_t child) {
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Waits until this process has a child of that name; returns its process ID, or 0 after a minute.
pid_t await_child_named(const std::string& name) {
    const std::string path = "/proc/self/task/" + std::to_string(::getpid()) + "/children";
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
    while (std::chrono::steady_clock::now() < end) {
        std::ifstream children(path);
        for (pid_t child = 0; children >> child;)
            if (read_text_file("/proc/" + std::to_string(child) + "/comm", 64).value_or("") == name + "\n")
                return child;
        ::poll(nullptr, 0, 1);
    }
    return 0;
}

}  // namespace

TEST_CASE("the number of lost lines is logged as soon as there is room, not only with the next line") {
    Pipe log;
    Pipe news;
    // A pipe has 16 pages by default, which may be of 64 KiB: more lines than pipe and backlog have room for.
    (void)::fcntl(log.writing.get(), F_SETPIPE_SZ, 1 << 16);
    const int capacity = ::fcntl(log.writing.get(), F_GETPIPE_SZ);
    REQUIRE(capacity > 0);
    const std::size_t lines = 300 + static_cast<std::size_t>(capacity) / 900;
    const pid_t child = run_with_log(log.writing.get(), news.writing.get(), [lines] {
        for (std::size_t i = 0; i < lines; ++i) log::warning(std::string(900, 'x'));
        const bool told = ::write(STDOUT_FILENO, "f", 1) == 1;
        while (log::catch_up()) ::poll(nullptr, 0, 1);
        return told;
    });
    log.writing.reset();
    char byte = 0;
    CHECK(::read(news.reading.get(), &byte, 1) == 1);
    const std::string text = read_to_end(log.reading.get(), std::string::npos).value_or("");
    CHECK(ends_well(child));
    const std::string said = "program: warning: the log was blocked for a while; lines lost: ";
    const std::size_t at = text.find(said);
    REQUIRE(at != std::string::npos);
    const auto written = static_cast<std::size_t>(std::ranges::count(text, '\n')) - 1;
    CHECK(text.substr(at) == said + std::to_string(lines - written) + "\n");
}

TEST_CASE("no signal but SIGKILL ends the process that writes the log file before the program has ended") {
    const Fd file(::memfd_create("log", MFD_CLOEXEC));
    Pipe news;
    const pid_t child = run_with_log(file.get(), news.writing.get(), [] {
        const pid_t copier = await_child_named("holdfast-log");
        if (copier == 0) return false;
        for (int signal = 1; signal <= SIGSYS; ++signal)
            if (signal != SIGKILL && signal != SIGSTOP) ::kill(copier, signal);
        log::warning("after the signals");
        log::finish();
        int status = 0;
        return ::waitpid(copier, &status, 0) == copier && WIFEXITED(status);
    });
    CHECK(ends_well(child));
    std::array<char, 256> text{};
    const ssize_t count = ::pread(file.get(), text.data(), text.size(), 0);
    CHECK(std::string(text.data(), count > 0 ? static_cast<std::size_t>(count) : 0) ==
          "program: warning: after the signals\n");
}
