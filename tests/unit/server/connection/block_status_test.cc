// Extents of files with holes, and of volumes that nobody could make on purpose.
#include "server/connection/block_status.hh"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <functional>

#include "server/volume/file_volume.hh"

using namespace holdfast;
using namespace holdfast::server;
using nbd::StatusExtent;

namespace {

using Extents = std::vector<StatusExtent>;

constexpr std::uint32_t hole = nbd::state_hole | nbd::state_zero;

// A volume whose extents are what the test says.
class Imagined final : public Volume {
public:
    using Answer = std::function<Result<Extent>(std::uint64_t offset, std::uint64_t length)>;
    explicit Imagined(Answer answer) : Volume(VolumeFiles{}, {}), answer_(std::move(answer)) {}

    [[nodiscard]] Result<VolumeTraits> traits() const override { return VolumeTraits{}; }
    [[nodiscard]] Result<void> trim(std::uint64_t, std::uint64_t) override { return {}; }
    [[nodiscard]] Result<void> zero(std::uint64_t, std::uint64_t, ZeroHow) override { return {}; }
    [[nodiscard]] Result<Extent> extent_at(std::uint64_t offset, std::uint64_t length) const override {
        ++looks;
        return answer_(offset, length);
    }

    mutable std::size_t looks = 0;

private:
    Answer answer_;
};

// Holes of `size` bytes and data of `size` bytes in turn.
Imagined::Answer striped(std::uint64_t size) {
    return [size](std::uint64_t offset, std::uint64_t length) -> Result<Extent> {
        return Extent{std::min(length, size - offset % size), offset / size % 2 == 0};
    };
}

Result<Extents> found(const Volume& volume, std::uint64_t offset, std::uint32_t length,
                      std::uint16_t flags = 0, std::uint32_t block = 1) {
    std::array<StatusExtent, nbd::most_extents> room;
    const auto some = find_extents(volume, {flags, 7, 1, offset, length}, block, room);
    if (!some) return std::unexpected(some.error());
    return Extents(some->begin(), some->end());
}

}  // namespace

TEST_CASE("a file's holes are holes and zeroes, the rest is data") {
    char path[] = "/tmp/holdfast-unit-XXXXXX";
    Fd file(::mkstemp(path));
    REQUIRE(file);
    ::unlink(path);
    constexpr std::uint32_t part = 1 << 20;
    REQUIRE(::ftruncate(file.get(), 4 * part) == 0);
    const std::vector<std::uint8_t> data(part, 0xa5);
    REQUIRE(::pwrite(file.get(), data.data(), part, part) == part);
    const int raw = file.get();
    FileVolume volume({{std::move(file), Fd(), false}, DiskFacts()});
    CHECK(volume.may_have_holes());
    CHECK(*found(volume, 0, 4 * part) == Extents{{part, hole}, {part, 0}, {2 * part, hole}});
    CHECK(*found(volume, 0, 4 * part, nbd::cmd_flag_req_one) == Extents{{part, hole}});
    CHECK(*found(volume, part, 3 * part, nbd::cmd_flag_req_one) == Extents{{part, 0}});
    CHECK(*found(volume, 5, 7) == Extents{{7, hole}});
    CHECK(*found(volume, 2 * part - 1, 2) == Extents{{1, 0}, {1, hole}});
    CHECK(*found(volume, 4 * part - 1, 1) == Extents{{1, hole}});
    CHECK(volume.zero(3 * part, part, {false, false}));
    CHECK(volume.trim(part, part));
    CHECK(found(volume, 0, 2 * part)->front() == StatusExtent{2 * part, hole});
    // It has become smaller: what is beyond is not read as zeroes but not at all.
    REQUIRE(::ftruncate(raw, part) == 0);
    CHECK(volume.extent_at(2 * part, part).error().code == EIO);
    CHECK(volume.extent_at(0, part) == Extent{part, true});
}

TEST_CASE("a file that has all of its space is not asked for holes, until it is given some") {
    char path[] = "/tmp/holdfast-unit-XXXXXX";
    Fd file(::mkstemp(path));
    REQUIRE(file);
    ::unlink(path);
    const std::vector<std::uint8_t> data(65536, 0xa5);
    REQUIRE(::pwrite(file.get(), data.data(), data.size(), 0) == 65536);
    REQUIRE(::fsync(file.get()) == 0);
    FileVolume volume({{std::move(file), Fd(), false}, DiskFacts()});
    CHECK_FALSE(volume.may_have_holes());
    CHECK(volume.trim(0, 4096));
    CHECK(volume.may_have_holes());
}

TEST_CASE("what says nothing of its extents is all data") {
    class Plain final : public Volume {
    public:
        Plain() : Volume(VolumeFiles{}, {}) {}
        [[nodiscard]] Result<VolumeTraits> traits() const override { return VolumeTraits{}; }
        [[nodiscard]] Result<void> trim(std::uint64_t, std::uint64_t) override { return {}; }
        [[nodiscard]] Result<void> zero(std::uint64_t, std::uint64_t, ZeroHow) override { return {}; }
    };
    CHECK(*found(Plain(), 1ULL << 40, UINT32_MAX) == Extents{{UINT32_MAX, 0}});
    CHECK_FALSE(Plain().may_have_holes());
}

TEST_CASE("an answer is bounded, and the work for it, too") {
    const Imagined stripes(striped(512));
    const Result<Extents> some = found(stripes, 0, UINT32_MAX);
    REQUIRE(some);
    CHECK(some->size() == nbd::most_extents);
    CHECK(stripes.looks == nbd::most_extents);
    // Where the blocks are larger than the stripes, every one is data, and they are one extent.
    const Imagined fine(striped(512));
    CHECK(*found(fine, 0, UINT32_MAX - UINT32_MAX % 4096, 0, 4096) == Extents{{nbd::most_extents * 4096, 0}});
    CHECK(fine.looks == nbd::most_extents);
}

TEST_CASE("extents are whole blocks, and a hole never grows by it") {
    const Imagined stripes(striped(6144));  // 0-6k hole, 6-12k data, 12-18k hole, 18-24k data
    CHECK(*found(stripes, 0, 24576, 0, 4096) == Extents{{4096, hole}, {8192, 0}, {4096, hole}, {8192, 0}});
    CHECK(*found(stripes, 0, 24576, 0, 2048) == Extents{{6144, hole}, {6144, 0}, {6144, hole}, {6144, 0}});
    CHECK(*found(stripes, 4096, 20480, nbd::cmd_flag_req_one, 4096) == Extents{{8192, 0}});
}

TEST_CASE("an error is one only where it is all there is to say") {
    const Imagined broken([](std::uint64_t, std::uint64_t) {
        return Result<Extent>(std::unexpected(SysError{EIO, "x"}));
    });
    CHECK(found(broken, 0, 4096).error().code == EIO);
    const Imagined half([](std::uint64_t offset, std::uint64_t) -> Result<Extent> {
        if (offset > 0) return std::unexpected(SysError{EIO, "x"});
        return Extent{512, true};
    });
    CHECK(*found(half, 0, 4096) == Extents{{512, hole}});
}
