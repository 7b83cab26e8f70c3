// The parts of volumes that need no device: whole blocks, mount tables, files.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <semaphore>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <semaphore>
#include <thread>
#include <vector>

#include "server/export/offer.hh"
#include "server/opener/disk_holders.hh"
#include "server/opener/disk_opening.hh"
#include "server/volume/block_volume.hh"
#include "server/volume/file_volume.hh"
#include "server/volume/volume_registry.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

// A file of its own for a test, gone afterwards.
class TemporaryFile {
public:
    explicit TemporaryFile(std::size_t size) {
        const Fd file(::mkstemp(path_));
        REQUIRE(file);
        REQUIRE(::ftruncate(file.get(), static_cast<off_t>(size)) == 0);
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() { ::unlink(path_); }

    [[nodiscard]] VolumeRequest request(bool writable = true) const { return {path_, writable}; }

private:
    char path_[32] = "/tmp/holdfast-unit-XXXXXX";
};

// One disk, whatever it is called, opened by the test itself.
class OwnDisk final : public DiskSource {
public:
    explicit OwnDisk(VolumeRequest request) : request_(std::move(request)) {}
    std::expected<DiskKey, VolumeRefusal> find(const DiskWanted&) override {
        if (const auto created = create_missing_file(request_); !created)
            return std::unexpected(created.error());
        return find_disk(request_);
    }
    std::expected<OpenedDisk, VolumeRefusal> open(const DiskWanted&) override { return open_disk(request_); }

private:
    VolumeRequest request_;
};

std::expected<VolumeUse, VolumeRefusal> acquire(VolumeRegistry& registry, const VolumeRequest& request) {
    OwnDisk disk(request);
    return registry.acquire(disk, {.name = {},
                                   .host = {},
                                   .writable = request.writable,
                                   .deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1),
                                   .path = request.path});
}

// A disk whose opening waits until it is told to go on.
class HangingDisk final : public DiskSource {
public:
    explicit HangingDisk(VolumeRequest request) : request_(std::move(request)) {}
    std::expected<DiskKey, VolumeRefusal> find(const DiskWanted&) override { return find_disk(request_); }
    std::expected<OpenedDisk, VolumeRefusal> open(const DiskWanted&) override {
        begun.release();
        go.acquire();
        return open_disk(request_);
    }
    std::counting_semaphore<> begun{0};
    std::counting_semaphore<> go{0};

private:
    VolumeRequest request_;
};

DiskWanted wanted(const VolumeRequest& request, std::chrono::milliseconds patience) {
    return {.name = "disk",
            .host = "unix",
            .writable = request.writable,
            .deadline = std::chrono::steady_clock::now() + patience,
            .path = request.path};
}

// Null where it cannot be opened.
std::unique_ptr<Volume> opened(const VolumeRequest& request) {
    std::expected<OpenedDisk, VolumeRefusal> disk = open_disk(request);
    return disk ? make_volume(std::move(*disk)) : nullptr;
}

ExportConfig plain_export() {
    ExportConfig config;
    config.name = "root";
    config.path = "/x";
    return config;
}

}  // namespace

TEST_CASE("a range is cut into whole blocks and what is left over") {
    CHECK(whole_blocks(0, 4096, 4096) == Aligned{0, 4096, 0});
    CHECK(whole_blocks(1, 4096, 4096) == Aligned{4095, 0, 1});
    CHECK(whole_blocks(4095, 4098, 4096) == Aligned{1, 4096, 1});
    CHECK(whole_blocks(1, 2, 4096) == Aligned{2, 0, 0});
    CHECK(whole_blocks(4096, 4095, 4096) == Aligned{0, 0, 4095});
    CHECK(whole_blocks(100, 0, 4096) == Aligned{0, 0, 0});
    CHECK(whole_blocks((1ULL << 62) + 1, 8192, 4096) == Aligned{4095, 4096, 1});
}

TEST_CASE("a mount is found by its device number, its name decoded") {
    const std::string table =
        "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "36 35 253:0 / /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
        "broken\n"
        "37 35 253:10 / /srv rw - xfs /dev/mapper/x rw\n";
    CHECK(mount_point(table, 253, 0) == "/mnt/a b");
    CHECK(mount_point(table, 253, 10) == "/srv");
    CHECK(mount_point(table, 253, 1).empty());
    CHECK(mount_point("", 8, 1).empty());
}

TEST_CASE("a file is opened once for all its users, and closed with the last") {
    const TemporaryFile file(1 << 16);
    VolumeRegistry registry;
    std::expected<VolumeUse, VolumeRefusal> first = acquire(registry, file.request());
    REQUIRE(first);
    {
        const std::expected<VolumeUse, VolumeRefusal> second = acquire(registry, file.request());
        REQUIRE(second);
        CHECK(&second->volume() == &first->volume());
        // Another server would find it locked.
        VolumeRegistry other;
        const std::expected<VolumeUse, VolumeRefusal> refused = acquire(other, file.request());
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().text.find("in use") != std::string::npos);
        CHECK(acquire(other, file.request(false)).has_value());
    }
    *first = VolumeUse();
    VolumeRegistry other;
    CHECK(acquire(other, file.request()).has_value());
}

TEST_CASE("a flush that failed once fails for who was there, and not for a session that begins then") {
    // Something that takes writes and cannot be synchronized.
    const auto null = [] { return Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)); };
    FileVolume volume({{null(), null(), false}, DiskFacts()});
    const Writer writer = volume.losses().begin({1}, true);
    CHECK(volume.flush(writer).error().code == EINVAL);
    CHECK(writer.check().error().code == EINVAL);
    const Writer later = volume.losses().begin({2}, true);
    CHECK(later.check());
    CHECK(volume.flush(later).error().code == EINVAL);  // which loses something once more
}

TEST_CASE("a write to stable storage that fails loses nothing where a flush succeeds after it") {
    const TemporaryFile file(1 << 16);
    const auto disk = [&](const char* flushed) {
        return OpenedDisk{
            {Fd(::open("/dev/full", O_RDWR | O_CLOEXEC)), Fd(::open(flushed, O_RDONLY | O_CLOEXEC)), false},
            DiskFacts()};
    };
    const std::uint8_t data[512] = {};
    FileVolume full(disk(file.request().path.c_str()));
    const Writer other = full.losses().begin({1}, true);
    CHECK_FALSE(full.write(data, 0, true));
    CHECK(full.flush(other));
    FileVolume broken(disk("/dev/null"));
    const Writer writer = broken.losses().begin({1}, true);
    CHECK_FALSE(broken.write(data, 0, true));
    CHECK(writer.check().error().code == EINVAL);
}

TEST_CASE("flushes of many threads are each covered by an fdatasync that began after them") {
    const TemporaryFile file(1 << 16);
    const std::unique_ptr<Volume> volume = opened(file.request());
    REQUIRE(volume);
    const Writer writer = volume->losses().begin_nameless("unix");
    std::atomic<int> failures = 0;
    std::vector<std::jthread> threads;
    for (unsigned number = 0; number < 8; ++number) {
        threads.emplace_back([&, number] {
            const std::uint8_t data[1] = {1};
            for (int round = 0; round < 20; ++round) {
                if (!volume->write(data, number, false) || !volume->flush(writer)) ++failures;
            }
        });
    }
    threads.clear();
    CHECK(failures == 0);
}

TEST_CASE(
    "without the page cache the logical block is the least, and what is left at the end is not offered") {
    const TemporaryFile file((1 << 16) + 1000);
    VolumeRequest request = file.request();
    request.direct = true;
    const auto looked = look_at_volume(request);
    REQUIRE(looked);
    CHECK(looked->minimum_block >= 512);
    const std::unique_ptr<Volume> volume = opened(request);
    if (!volume) return;  // a file system that has no O_DIRECT
    CHECK(volume->always_waits());
    CHECK(volume->traits().value() == *looked);
    const auto offer = make_offer(plain_export(), *looked);
    CHECK(offer->block_sizes.minimum == looked->minimum_block);
    CHECK(offer->size % looked->minimum_block == 0);
    CHECK(offer->size >= 1 << 16);
    alignas(data_alignment) std::uint8_t data[4096];
    std::memset(data, 0x5a, sizeof data);
    CHECK(volume->write(data, 4096, false));
    CHECK(volume->zero(8192, 4096, {}));
    std::memset(data, 0, sizeof data);
    CHECK(volume->read(data, 4096));
    CHECK(data[4095] == 0x5a);
    CHECK(volume->read(data, 8192));
    CHECK(data[0] == 0);
}

TEST_CASE("what is written to is open in one way at a time, and readers may have it otherwise") {
    const TemporaryFile file(1 << 16);
    VolumeRequest direct = file.request();
    direct.direct = true;
    VolumeRegistry registry;
    const auto first = acquire(registry, file.request());
    const auto second = acquire(registry, direct);
    REQUIRE(first);
    REQUIRE(second);
    CHECK(&first->volume() == &second->volume());
    direct.writable = false;
    const auto reader = acquire(registry, direct);
    if (reader) CHECK(reader->volume().always_waits());
}

TEST_CASE("zeroes are made fast or not at all where that is asked for") {
    // No file system: it can be written to, and has no map of its blocks.
    const auto null = [] {
        return OpenedDisk{{Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)), Fd(), false}, {}};
    };
    FileVolume slow(null());
    BlockVolume device(null());
    for (const bool may_unmap : {false, true}) {
        CHECK_FALSE(slow.zero(0, 8192, {may_unmap, true}).has_value());
        CHECK(device.zero(0, 8192, {may_unmap, true}).error().code == EOPNOTSUPP);
        CHECK(device.zero(512, 100, {may_unmap, true}).error().code == EOPNOTSUPP);
        CHECK(device.zero(0, 8192, {may_unmap, false}));
    }
}

TEST_CASE("a volume is read ahead, also beyond its end") {
    const TemporaryFile file(1 << 20);
    const std::unique_ptr<Volume> volume = opened(file.request());
    REQUIRE(volume);
    CHECK(volume->cache(0, 1 << 20));
    CHECK(volume->cache(100, 0));
    CHECK(volume->cache(1 << 20, 1 << 20));
}

TEST_CASE("a volume reads what was written, zeroes and trims, and ends with EIO") {
    const TemporaryFile file(1 << 16);
    const std::unique_ptr<Volume> volume = opened(file.request());
    REQUIRE(volume);
    std::uint8_t data[4096];
    std::memset(data, 0xa5, sizeof data);
    CHECK(volume->write(data, 100, false));
    CHECK(volume->write(std::span(data).first(1), 65535, true));
    CHECK(volume->flush(volume->losses().begin_nameless("unix")));
    CHECK(volume->zero(200, 50, {true, false}));
    CHECK(volume->zero(300, 50, {false, false}));
    CHECK(volume->trim(0, 100));
    std::uint8_t back[4096];
    CHECK(volume->read(back, 100));
    for (std::size_t i = 0; i < sizeof back; ++i) {
        const bool zeroed = (i >= 100 && i < 150) || (i >= 200 && i < 250);
        CHECK(back[i] == (zeroed ? 0 : 0xa5));
    }
    const Result<void> beyond = volume->read(back, 65536 - 4095);
    REQUIRE_FALSE(beyond.has_value());
    CHECK(beyond.error().code == EIO);
    CHECK(volume->traits()->size == 1 << 16);
}

TEST_CASE(
    "what is neither a device nor a file is no volume, and a missing one is made only when it has a size") {
    CHECK(open_disk({"/dev/null", true}).error().text.find("neither") != std::string::npos);
    CHECK_FALSE(open_disk({"/tmp", false}).has_value());
    CHECK_FALSE(create_missing_file({"/dev/holdfast-no-such-volume", true, 4096}).has_value());
    std::string path;
    {
        const TemporaryFile file(1);
        path = file.request().path;
    }
    VolumeRegistry registry;
    CHECK_FALSE(acquire(registry, {path, true}).has_value());
    CHECK(look_at_volume({path, true, 8192})->size == 8192);
    CHECK(::access(path.c_str(), F_OK) != 0);
    CHECK(acquire(registry, {path, true, 8192})->volume().traits()->size == 8192);
    ::unlink(path.c_str());
}

TEST_CASE(
    "a disk whose opening hangs is waited for until the deadline, holds one thread, and no other disk") {
    using namespace std::chrono_literals;
    const TemporaryFile file(8192);
    const TemporaryFile other(8192);
    HangingDisk disk(file.request());
    VolumeRegistry registry;
    for (int i = 0; i < 3; ++i) {
        const auto refused = registry.acquire(disk, wanted(file.request(), 1ms));
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().text == file.request().path + ": the disk does not answer (opening timed out)");
    }
    disk.begun.acquire();
    CHECK_MESSAGE(!disk.begun.try_acquire(), "only the first one opens");
    CHECK(registry.hanging() == std::vector{file.request().path});
    CHECK(acquire(registry, other.request()).has_value());
    // One that still waits when the disk answers gets it, though another one's call has opened it.
    disk.go.release(2);
    const auto opened_late = registry.acquire(disk, wanted(file.request(), 1min));
    REQUIRE(opened_late.has_value());
    CHECK(opened_late->traits()->size == 8192);
}
