// The process in which untrusted files are read.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

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
        if (::socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EPERM) faults += "socket ";
        if (::kill(::getppid(), 0) == 0 || errno != EPERM) faults += "kill ";
        if (::setsid() >= 0 || errno != EPERM) faults += "setsid ";
        if (::geteuid() == 0) faults += "root ";
        if (::fcntl(other.get(), F_GETFD) >= 0 && other.get() > 4) faults += "descriptor ";
        if (::fcntl(5, F_GETFD) >= 0) faults += "descriptors ";
        if (::open("/tmp/holdfast-sandbox-test", O_WRONLY | O_CREAT, 0600) >= 0) {
            signal(SIGXFSZ, SIG_IGN);
            std::ofstream out("/tmp/holdfast-sandbox-test");
            if (out << "x" << std::flush) faults += "file ";
            ::unlink("/tmp/holdfast-sandbox-test");
        }
        return faults.empty() ? std::string("good") : faults;
    });
    CHECK(answer == "good");
}

TEST_CASE("a sandbox ends after its time, with all of its processes, and reports a process that was killed") {
    const auto began = Clock::now();
    const auto late = run(
        [](int) {
            if (::fork() == 0) ::pause();
            ::pause();
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
            if (::fork() == 0) ::pause();
            return std::string("answer");
        },
        {.seconds = 2, .answer = 100});
    REQUIRE(!left);
    CHECK(left.error().code == ETIMEDOUT);
}
