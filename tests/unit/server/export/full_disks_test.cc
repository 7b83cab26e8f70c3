// Requests that wait for room on a disk, and the configuration that lets them.
#include "server/export/full_disks.hh"

#include <doctest/doctest.h>

#include <cerrno>

using namespace holdfast;
using namespace holdfast::server;
using namespace std::chrono_literals;

namespace {

const FullDiskName root{"/dev/vg0/root", true, "vg0/pool"};

ExportConfig export_of(std::string name, bool waits) {
    ExportConfig config;
    config.name = std::move(name);
    config.wait_if_full = waits;
    return config;
}

std::shared_ptr<const Config> config_of(std::vector<ExportConfig> exports) {
    Config config;
    config.exports = std::move(exports);
    return std::make_shared<const Config>(std::move(config));
}

}  // namespace

TEST_CASE("no room is ENOSPC and EDQUOT, and no other error") {
    CHECK(is_without_room(ENOSPC));
    CHECK(is_without_room(EDQUOT));
    for (const int error : {EIO, EFBIG, EINVAL, ENOMEM}) CHECK_FALSE(is_without_room(error));
}

TEST_CASE("the mend of a full disk names the pool if it is known") {
    CHECK(mend_of(root) == "extend its thin pool: lvextend -L +10G vg0/pool");
    CHECK(mend_of({"/dev/sdb", true}) == "extend its thin pool, which lvs names, with lvextend");
    CHECK(mend_of({"/srv/disk", false}) == "enlarge its file system, or free space there");
}

TEST_CASE("a wait counts from its begin to its end, however it ends") {
    const auto full = std::make_shared<FullDisk>("root", true);
    const Clock::time_point now = Clock::now();
    {
        FullDisk::Wait first(full, root, now);
        FullDisk::Wait second(full, root, now);
        first.goes_on(root, now + 1s);
        CHECK(full->counts().waiting == 2);
        first.end({});
        second.end(std::unexpected(SysError{ENOSPC, "pwritev2"}));
    }
    CHECK(full->counts().waiting == 0);
    CHECK(full->counts().waited == 2);
}

TEST_CASE("the configuration in force decides, also for connections that are older") {
    FullDisks disks;
    const auto before = disks.of(export_of("root", true));
    CHECK(before->waits());
    disks.configure(config_of({export_of("root", false), export_of("data", true)}));
    CHECK_FALSE(before->waits());
    CHECK(disks.of(export_of("root", true)) == before);
    CHECK_FALSE(before->waits());
    CHECK(disks.of(export_of("data", false))->waits());
    disks.configure(config_of({export_of("root", true)}));
    CHECK(before->waits());
    // Connections of a removed export go on as before.
    CHECK(disks.of(export_of("data", false))->waits());
    CHECK(disks.counts("nothing").waited == 0);
}
