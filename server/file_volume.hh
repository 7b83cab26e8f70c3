// A regular file as a volume: trimming punches holes.
#pragma once

#include "server/volume.hh"

namespace holdfast::server {

class FileVolume final : public Volume {
public:
    FileVolume(VolumeFiles files, bool writable) : Volume(std::move(files)), writable_(writable) {}

    [[nodiscard]] Result<VolumeTraits> traits() const override;
    [[nodiscard]] Result<void> trim(std::uint64_t offset, std::uint64_t length) override;
    [[nodiscard]] Result<void> zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) override;

private:
    bool writable_;
};

}  // namespace holdfast::server
