// The status of any range of a volume with any extents: the answer lies within the range, is whole blocks,
// and calls nothing a hole that is not.
#include "server/connection/block_status.hh"

#include <array>
#include <vector>

#include "tests/fuzz/input.hh"

using namespace holdfast;
using namespace holdfast::server;
using fuzz::check;

namespace {

// Data and holes in turn, of the given lengths; the rest is data. Forgets its place, as a file may.
class Imagined final : public Volume {
public:
    explicit Imagined(std::vector<std::uint64_t> lengths)
        : Volume(VolumeFiles{}, ""), lengths_(std::move(lengths)) {}

    [[nodiscard]] Result<VolumeTraits> traits() const override { return VolumeTraits{}; }
    [[nodiscard]] Result<void> trim(std::uint64_t, std::uint64_t) override { return {}; }
    [[nodiscard]] Result<void> zero(std::uint64_t, std::uint64_t, ZeroHow) override { return {}; }
    [[nodiscard]] Result<Extent> extent_at(std::uint64_t offset, std::uint64_t length) const override {
        check(length > 0, "nothing is not asked for");
        bool hole = false;
        for (const std::uint64_t one : lengths_) {
            if (offset < one) return Extent{std::min(one - offset, length), hole};
            offset -= one;
            hole = !hole;
        }
        return Extent{length, false};
    }

private:
    std::vector<std::uint64_t> lengths_;
};

// All of it, by asking piece by piece.
bool is_hole(const Imagined& volume, std::uint64_t offset, std::uint64_t length) {
    while (length > 0) {
        const Result<Extent> extent = volume.extent_at(offset, length);
        if (!extent->hole) return false;
        offset += extent->length;
        length -= extent->length;
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::uint32_t block = 1U << input.number(1) % 17;
    nbd::Request request;
    request.command = static_cast<std::uint16_t>(nbd::Command::block_status);
    request.flags = input.flag() ? nbd::cmd_flag_req_one : 0;
    // As judge() lets them through.
    request.offset = (input.number(8) >> 2) / block * block;
    request.length = static_cast<std::uint32_t>(std::max(input.number(4) / block, std::uint64_t{1}) * block);
    if (request.length < block) request.length = block;
    std::vector<std::uint64_t> lengths;
    while (!input.empty() && lengths.size() < 1500) lengths.push_back(input.number(input.flag() ? 2 : 5) + 1);
    const Imagined volume(std::move(lengths));

    std::array<nbd::StatusExtent, nbd::most_extents> room;
    const auto found = find_extents(volume, request, block, room);
    check(found.has_value(), "a volume that answers has a status");
    check(!found->empty() && found->size() <= room.size(), "there are extents, and they are bounded");
    check((request.flags & nbd::cmd_flag_req_one) == 0 || found->size() == 1, "one is one");
    std::uint64_t at = request.offset;
    for (const nbd::StatusExtent& extent : *found) {
        check(extent.length > 0 && extent.length % block == 0, "an extent is whole blocks");
        check(extent.length <= request.offset + request.length - at, "an extent lies within the range");
        check((extent.state & nbd::state_zero) == 0 || is_hole(volume, at, extent.length), "a hole is one");
        at += extent.length;
    }
    return 0;
}
