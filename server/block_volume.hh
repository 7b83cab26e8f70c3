// A block device as a volume: its size may grow, and it discards and zeroes in whole blocks only.
#pragma once

#include <sys/types.h>

#include "server/volume.hh"

namespace holdfast::server {

class BlockVolume final : public Volume {
public:
    BlockVolume(VolumeFiles files, dev_t device) : Volume(std::move(files)), device_(device) {}

    [[nodiscard]] Result<VolumeTraits> traits() const override;
    [[nodiscard]] Result<void> trim(std::uint64_t offset, std::uint64_t length) override;
    [[nodiscard]] Result<void> zero(std::uint64_t offset, std::uint64_t length, ZeroHow how) override;

private:
    dev_t device_;
};

// The part of a range that consists of whole blocks, and what is left before and after it.
struct Aligned {
    std::uint64_t head = 0;    // bytes before the whole blocks; everything, where there is no whole block
    std::uint64_t middle = 0;  // bytes in whole blocks
    std::uint64_t tail = 0;

    bool operator==(const Aligned&) const = default;
};

// `block` is a power of two; offset + length does not overflow.
[[nodiscard]] Aligned whole_blocks(std::uint64_t offset, std::uint64_t length, std::uint64_t block) noexcept;

}  // namespace holdfast::server
