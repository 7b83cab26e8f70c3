// What an export's bytes are kept in: a block device or a file, behind the few things that NBD asks of it.
// All of it blocks, and any number of threads may call it at once: the page cache is the one place where they
// meet, so a flush by any of them covers what all of them have written.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::server {

// What a volume is found to be when it is opened or looked at.
struct VolumeTraits {
    std::uint64_t size = 0;
    bool can_trim = false;
    std::uint32_t preferred_block = 4096;  // a power of two

    bool operator==(const VolumeTraits&) const = default;
};

class Volume {
public:
    virtual ~Volume() = default;
    Volume(const Volume&) = delete;
    Volume& operator=(const Volume&) = delete;

    // Of what is open, wherever its path may lead by now.
    [[nodiscard]] Result<struct stat> status() const;
    // Which disk it is, see disk_identity.hh.
    [[nodiscard]] Result<std::string> identity() const;
    // The traits as they are now: an LV may have grown since.
    [[nodiscard]] virtual Result<VolumeTraits> traits() const = 0;

    // The whole range or an error. EIO where the volume ends early.
    [[nodiscard]] Result<void> read(std::span<std::uint8_t> into, std::uint64_t offset) const;
    // With `durable`, on stable storage when it returns.
    [[nodiscard]] Result<void> write(std::span<const std::uint8_t> from, std::uint64_t offset, bool durable);
    // Everything that was written before, by anyone, is on stable storage when it returns. After one failure
    // all later calls fail: Linux reports a lost write once and then forgets it, and we must not.
    [[nodiscard]] Result<void> flush();
    // Gives the space back where that is possible; what is read there later is undefined. Never fails for not
    // being able.
    [[nodiscard]] virtual Result<void> trim(std::uint64_t offset, std::uint64_t length) = 0;
    // Makes the range read as zeroes. May give the space back only when `may_unmap`.
    [[nodiscard]] virtual Result<void> zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) = 0;

protected:
    explicit Volume(Fd file) : file_(std::move(file)) {}

    [[nodiscard]] int fd() const noexcept { return file_.get(); }
    // The slow way to zero, which works everywhere.
    [[nodiscard]] Result<void> write_zeroes(std::uint64_t offset, std::uint64_t length);

private:
    Fd file_;
    std::atomic<bool> flush_lost_ = false;
};

// Why a volume cannot be had.
struct VolumeRefusal {
    bool absent = false;  // there is nothing at the path
    std::string text;     // for log and client, beginning with the path
};

// How a volume is to be opened.
struct VolumeRequest {
    std::string path;
    bool writable = false;
    std::uint64_t create_size = 0;  // not 0: a file that does not exist is made with this size
};

// Makes the file where `create_size` asks for that and there is nothing yet. Not below /dev: a logical volume
// that is not active is not to be replaced by a file in memory.
[[nodiscard]] std::expected<void, VolumeRefusal> create_missing_file(const VolumeRequest& request);

// Opens it for serving. A writable block device is opened O_EXCL, a writable file is locked, so that nobody
// else who plays by the rules writes to it. The error is for log and client: what failed and, for a busy
// volume, who holds it.
[[nodiscard]] std::expected<std::unique_ptr<Volume>, VolumeRefusal> open_volume(const VolumeRequest& request);

// Looks at its traits without taking it into use, and without changing or creating anything.
[[nodiscard]] std::expected<VolumeTraits, VolumeRefusal> look_at_volume(const VolumeRequest& request);

}  // namespace holdfast::server
