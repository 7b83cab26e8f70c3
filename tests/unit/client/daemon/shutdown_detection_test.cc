// How it is seen that a machine goes down, with folders of the test's own in the place of /run and /proc.

#include "client/daemon/shutdown_detection.hh"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <utmp.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace holdfast::client;

namespace {

class Machine {
public:
    Machine() {
        std::string pattern = "/tmp/holdfast-signs-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder_ = pattern;
        std::filesystem::create_directories(folder_ / "run");
        std::filesystem::create_directories(folder_ / "proc/1");
        process_one("systemd");
    }
    ~Machine() { std::filesystem::remove_all(folder_); }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    ShutdownDetection signs() const {
        return ShutdownDetection::open((folder_ / "run").c_str(), (folder_ / "proc").c_str());
    }
    void boot_systemd() const { std::filesystem::create_directories(folder_ / "run/systemd/system"); }
    void process_one(const std::string& comm, const std::string& cmdline = "") const {
        std::ofstream(folder_ / "proc/1/comm") << comm << "\n";
        std::ofstream(folder_ / "proc/1/cmdline") << cmdline;
    }
    void open_fifos() const {
        std::filesystem::create_directories(folder_ / "run/holdfast/until");
        for (const char* name : {"poweroff", "reboot", "halt", "kexec", "shutdown"})
            REQUIRE(::mkfifo(fifo(name).c_str(), 0600) == 0);
    }
    void close_fifo(const char* name) const { std::filesystem::remove(fifo(name)); }
    void runlevel(char level) const {
        utmp boot{};
        boot.ut_type = BOOT_TIME;
        utmp entry{};
        entry.ut_type = RUN_LVL;
        entry.ut_pid = 'N' * 256 + level;
        std::ofstream file(folder_ / "run/utmp", std::ios::binary);
        file.write(reinterpret_cast<const char*>(&boot), sizeof boot);
        file.write(reinterpret_cast<const char*>(&entry), sizeof entry);
    }

    std::filesystem::path utmp_file() const { return folder_ / "run/utmp"; }

private:
    std::filesystem::path fifo(const char* name) const { return folder_ / "run/holdfast/until" / name; }
    std::filesystem::path folder_;
};

}  // namespace

TEST_CASE("shutdown signs: a machine that boots, or has no units of ours, shows none") {
    const Machine machine;
    ShutdownDetection signs = machine.signs();
    CHECK(signs.look() == Ending::none);
    machine.boot_systemd();
    CHECK(signs.look() == Ending::none);
    machine.open_fifos();
    CHECK(signs.look() == Ending::none);
    CHECK(ShutdownDetection::open("/nonexistent", "/nonexistent").look() == Ending::none);
}

TEST_CASE("shutdown signs: the FIFO of a target and that of every shutdown are gone") {
    const Machine machine;
    machine.boot_systemd();
    machine.open_fifos();
    ShutdownDetection signs = machine.signs();
    REQUIRE(signs.look() == Ending::none);
    SUBCASE("poweroff") {
        machine.close_fifo("poweroff");
        CHECK(signs.look() == Ending::none);
        machine.close_fifo("shutdown");
        CHECK(signs.look() == Ending::power_off);
    }
    SUBCASE("reboot") {
        machine.close_fifo("shutdown");
        CHECK(signs.look() == Ending::none);
        machine.close_fifo("reboot");
        CHECK(signs.look() == Ending::reboot);
    }
    SUBCASE("more than one: how it ends is not known") {
        for (const char* name : {"shutdown", "reboot", "kexec"}) machine.close_fifo(name);
        CHECK(signs.look() == Ending::unknown);
    }
    SUBCASE("who was not there before they were gone has seen nothing") {
        machine.close_fifo("shutdown");
        machine.close_fifo("reboot");
        CHECK(machine.signs().look() == Ending::none);
    }
}

TEST_CASE("shutdown signs: pid 1 has become systemd-shutdown") {
    const Machine machine;
    machine.boot_systemd();
    ShutdownDetection signs = machine.signs();
    using namespace std::string_literals;
    machine.process_one("systemd-shutdow", "/lib/systemd/systemd-shutdown\0kexec\0--log-level\0006\0"s);
    CHECK(signs.look() == Ending::unknown);
    CHECK(signs.look_closely() == Ending::kexec);
    machine.process_one("systemd-shutdow", "/lib/systemd/systemd-shutdown");
    CHECK(signs.look_closely() == Ending::unknown);
}

TEST_CASE("shutdown signs: under sysvinit it is the runlevel, and under systemd it is not") {
    const Machine machine;
    ShutdownDetection signs = machine.signs();
    machine.runlevel('2');
    CHECK(signs.look() == Ending::none);
    machine.runlevel('0');
    CHECK(signs.look() == Ending::power_off);
    machine.runlevel('6');
    CHECK(signs.look() == Ending::reboot);
    machine.boot_systemd();
    CHECK(signs.look() == Ending::none);
}

namespace {

// How many KiB of a file this process has locked in memory.
long locked_of(const std::filesystem::path& file) {
    std::ifstream maps("/proc/self/smaps");
    bool its = false;
    for (std::string line; std::getline(maps, line);) {
        if (line.find(" " + file.string()) != std::string::npos) its = true;
        if (its && line.starts_with("Locked:")) return std::stol(line.substr(7));
    }
    return 0;
}

}  // namespace

// The address sanitizer's mlock(2) does nothing. The plain build's does.
#ifdef __SANITIZE_ADDRESS__
constexpr bool without_locks = true;
#else
constexpr bool without_locks = false;
#endif

TEST_CASE(
    "the page of the runlevel is kept out of the swap space, also of a file that is new or written again") {
    const Machine machine;
    ShutdownDetection signs = machine.signs();
    CHECK(signs.look() == Ending::none);  // before the system has made it
    machine.runlevel('2');
    CHECK(signs.look() == Ending::none);
    CHECK((without_locks || locked_of(machine.utmp_file()) > 0));
    machine.runlevel('6');  // emptied, and written again
    CHECK(signs.look() == Ending::reboot);
    CHECK((without_locks || locked_of(machine.utmp_file()) > 0));
    std::filesystem::remove(machine.utmp_file());
    CHECK(signs.look() == Ending::none);
    machine.runlevel('0');
    CHECK(signs.look() == Ending::power_off);
    CHECK((without_locks || locked_of(machine.utmp_file()) > 0));
    std::ofstream(machine.utmp_file(), std::ios::trunc).close();
    CHECK(signs.look() == Ending::none);
}

TEST_CASE("the page of the runlevel is locked when the signs are opened, which is before the seal") {
    const Machine machine;
    machine.runlevel('2');
    SUBCASE("under sysvinit") {
        const ShutdownDetection signs = machine.signs();
        CHECK((without_locks || locked_of(machine.utmp_file()) > 0));
    }
    SUBCASE("under systemd the runlevel means nothing") {
        machine.boot_systemd();
        const ShutdownDetection signs = machine.signs();
        CHECK(locked_of(machine.utmp_file()) == 0);
    }
    CHECK(locked_of(machine.utmp_file()) == 0);
}
