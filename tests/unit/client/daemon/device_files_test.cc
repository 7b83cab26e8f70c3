// The device's files in a folder of the test's own, with a clock of the test's own.
#include "client/daemon/device_files.hh"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "tests/unit/client/daemon/fake_kernel.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

struct Bench final : StatusSource {
    Bench() {
        std::string pattern = "/tmp/holdfast-files-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
        REQUIRE(files.open(folder.c_str()));
    }
    virtual ~Bench() { std::filesystem::remove_all(folder); }
    DeviceStatus status() const override {
        ++asked;
        DeviceStatus status;
        status.index = device.record.index;
        status.state = DeviceState::attached;
        return status;
    }
    bool has(const char* name) const { return std::filesystem::exists(folder / name); }

    std::filesystem::path folder;
    mutable int asked = 0;
    Events events;
    FakeKernel kernel{events};
    KeptDevice device = fake_device();
    DeviceFiles files{kernel, device, *this};
};

}  // namespace

TEST_CASE("a save writes the record, and the status as the live state has it") {
    Bench bench;
    bench.device.live.size = 12345;
    bench.files.save();
    const auto record = read_state_file(7, bench.folder.c_str());
    REQUIRE(record);
    CHECK(record->find("12345") != std::string::npos);
    // The link is down, whatever state the status had.
    const auto status = read_public_file(7, bench.folder.c_str());
    REQUIRE(status);
    CHECK(status->text.find("reconnecting") != std::string::npos);
    bench.files.remove();
    CHECK_FALSE(bench.has("nbd7.state"));
    CHECK_FALSE(bench.has("nbd7.status"));
}

TEST_CASE("the status is published every five seconds, and a save counts") {
    Bench bench;
    bench.files.save();
    bench.kernel.time += std::chrono::milliseconds{4999};
    bench.files.beat();
    CHECK(bench.asked == 1);
    bench.kernel.time += std::chrono::milliseconds{1};
    bench.files.beat();
    bench.files.beat();
    CHECK(bench.asked == 2);
}
