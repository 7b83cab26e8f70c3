// Which device is the root disk, with records of the test's own.
#include "client/control/root_disk.hh"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <stdlib.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "client/control/record_file.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

void leave(const std::string& folder, std::uint32_t index, bool carries_root, int attached_at) {
    DeviceRecord record;
    record.index = index;
    record.session = nbd::Uuid{static_cast<std::uint8_t>(index + 1)};
    record.identifier = identifier_of(record.session);
    record.carries_root = carries_root;
    record.attached_at = Monotonic{attached_at};
    record.targets.emplace_back();
    record.targets[0].endpoint.length = sizeof(sockaddr_in);
    record.targets[0].endpoint.text = "loopback";
    record.targets[0].uri = "nbd://loopback/disk";
    auto file = RecordFile::open(record, folder.c_str());
    REQUIRE(file);
    LiveState live;
    live.size = 1 << 20;
    REQUIRE(file->save(live));
}

}  // namespace

TEST_CASE("the root disk is the one that was attached first of those that carry the root file system") {
    std::string folder = "/tmp/holdfast-root-XXXXXX";
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    constexpr std::array<std::uint32_t, 5> devices{0, 1, 2, 3, 4};
    CHECK_FALSE(root_disk(devices, folder.c_str()));
    std::ofstream(folder + "/nbd0.state") << "garbage";
    leave(folder, 1, false, 1000);
    CHECK_FALSE(root_disk(devices, folder.c_str()));
    leave(folder, 2, true, 7000);
    CHECK(root_disk(devices, folder.c_str()) == 2);
    leave(folder, 3, true, 5000);
    CHECK(root_disk(devices, folder.c_str()) == 3);
    std::filesystem::remove_all(folder);
}
