// Volume on a regular file: trim punches holes, and holes can be detected.
#pragma once

#include "server/volume/volume.hh"

namespace holdfast::server {

class FileVolume final : public Volume {
public:
    explicit FileVolume(OpenedDisk disk);

    [[nodiscard]] Result<VolumeTraits> traits() const override;
    [[nodiscard]] Result<void> trim(std::uint64_t offset, std::uint64_t length) override;
    [[nodiscard]] Result<void> zero(std::uint64_t offset, std::uint64_t length, ZeroHow how) override;
    // Uses SEEK_HOLE and SEEK_DATA: a hole reads as zeroes, though its space may be reserved.
    [[nodiscard]] Result<Extent> extent_at(std::uint64_t offset, std::uint64_t length) const override;
    // True if the file lacked space when opened, or if space may have been released since.
    [[nodiscard]] bool may_have_holes() const noexcept override {
        return sparse_.load(std::memory_order_relaxed);
    }

private:
    bool writable_;
    std::atomic<bool> sparse_;
};

}  // namespace holdfast::server
