// Volume on a block device: the size may grow, and only whole blocks can be discarded and zeroed.
#pragma once

#include <atomic>

#include "server/volume/volume.hh"

namespace holdfast::server {

class BlockVolume final : public Volume {
public:
    explicit BlockVolume(OpenedDisk disk)
        : Volume(std::move(disk.files), std::move(disk.facts.identity)),
          writable_(disk.facts.writable),
          can_discard_(disk.facts.can_discard),
          can_zero_fast_(disk.facts.can_zero_fast),
          preferred_block_(disk.facts.preferred_block),
          thin_pool_(std::move(disk.facts.thin_pool)) {}

    [[nodiscard]] Result<VolumeTraits> traits() const override;
    [[nodiscard]] Result<void> trim(std::uint64_t offset, std::uint64_t length) override;
    [[nodiscard]] Result<void> zero(std::uint64_t offset, std::uint64_t length, ZeroHow how) override;
    // Through the page cache, the device refuses data only at writeback, which is a loss.
    [[nodiscard]] bool fails_before_caching() const noexcept override { return always_waits(); }
    [[nodiscard]] std::string thin_pool() const override { return thin_pool_; }

private:
    // Zeroes whole blocks. The old content may be lost as soon as the function is called.
    [[nodiscard]] Result<void> zero_blocks(std::uint64_t offset, std::uint64_t length, bool unmap);

    bool writable_;
    bool can_discard_;
    std::atomic<bool> can_zero_fast_;  // cleared if the device refuses an operation that its limits promised
    std::uint32_t preferred_block_;
    std::string thin_pool_;
};

// Split of a range into whole blocks and the bytes before and after them.
struct Aligned {
    std::uint64_t head = 0;    // bytes before the whole blocks; the entire range if there is no whole block
    std::uint64_t middle = 0;  // bytes in whole blocks
    std::uint64_t tail = 0;

    bool operator==(const Aligned&) const = default;
};

// `block` is a power of two; offset + length does not overflow.
[[nodiscard]] Aligned whole_blocks(std::uint64_t offset, std::uint64_t length, std::uint64_t block) noexcept;

}  // namespace holdfast::server
