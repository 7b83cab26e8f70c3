// Fences of devices that were given up, with records of the test's own and a server on loopback.
#include "client/attach/given_up.hh"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "client/control/record_file.hh"
#include "common/linux/clock.hh"
#include "common/linux/pause.hh"
#include "tests/unit/client/daemon/fake_server.hh"

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::milliseconds;

namespace {

struct Bench {
    Bench() {
        std::string pattern = "/tmp/holdfast-given-up-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
    }
    ~Bench() {
        over = true;
        if (thread.joinable()) thread.join();
        std::filesystem::remove_all(folder);
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    DeviceRecord record(std::uint32_t index) const {
        DeviceRecord made;
        made.index = index;
        made.session = nbd::Uuid{static_cast<std::uint8_t>(index + 1)};
        made.identifier = identifier_of(made.session);
        made.targets = {server.target};
        return made;
    }
    std::string path(std::uint32_t index) const { return folder + "/" + given_up_name(record(index)); }
    void leave(std::uint32_t index, const char* disk) const {
        LiveState live;
        live.session_known = true;
        live.size = 1 << 20;
        live.export_identity = disk;
        auto file = RecordFile::open(record(index), folder.c_str());
        REQUIRE(file);
        REQUIRE(file->leave_behind(live));
    }
    // Serves from a thread after `pause`, until the end of the test or of the record of nbd0.
    void serve(milliseconds pause) {
        thread = std::thread([this, pause] {
            pause_for(pause);
            while (!over && std::filesystem::exists(path(0))) {
                server.serve();
                pause_for(milliseconds{1});
            }
        });
    }
    std::string fence(milliseconds patience) const {
        return fence_released(0, record(0).identifier, patience, folder.c_str());
    }

    std::string folder;
    FakeServer server;
    std::atomic<bool> over = false;
    std::thread thread;
};

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a device without a record needs no fence; a record that cannot be read is reported") {
    const Bench bench;
    CHECK(bench.fence(milliseconds{1}).empty());
    std::ofstream(bench.path(0)) << "garbage";
    const std::string problem = bench.fence(milliseconds{1});
    CHECK(problem.starts_with(bench.path(0)));
    CHECK(has(problem, "restart that server"));
}

TEST_CASE("the next attach is promised to fence only if it will") {
    Bench bench;
    SUBCASE("a server that refuses for now") {
        bench.leave(0, "disk 1");
        bench.server.refuses = true;
        bench.serve(milliseconds{0});
        CHECK(has(bench.fence(milliseconds{300}), "the next attach of the disk"));
    }
    SUBCASE("a different disk, whose attach skips the record") {
        bench.leave(0, "disk 0");
        bench.serve(milliseconds{0});
        const std::string problem = bench.fence(milliseconds{5000});
        CHECK(has(problem, "a different disk; if the machine that had the disk was not restarted"));
        CHECK_FALSE(has(problem, "next attach"));
    }
}
