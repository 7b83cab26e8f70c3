// What an export's bytes are kept in: a block device or a file, behind the few things that NBD asks of it.
// All but try_read() and is_in_memory() block, and any number of threads may call it at once: the page cache
// is the one place where they meet, so a flush by any of them covers what all of them have written.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "server/process/question.hh"
#include "server/volume/flusher.hh"
#include "server/volume/losses.hh"

namespace holdfast::server {

// What a volume is found to be when it is opened or looked at.
struct VolumeTraits {
    std::uint64_t size = 0;
    bool can_trim = false;
    std::uint32_t minimum_block = 1;       // a power of two: what offsets and lengths are multiples of
    std::uint32_t preferred_block = 4096;  // a power of two, not below minimum_block

    bool operator==(const VolumeTraits&) const = default;
};

// Where data for a volume without the page cache must lie in memory.
inline constexpr std::size_t data_alignment = 4096;

// A volume's open files.
struct VolumeFiles {
    Fd file;
    Fd for_flushes;              // the same, opened once more
    bool direct = false;         // `file` is O_DIRECT
    bool volatile_cache = true;  // the disk may lose what it has answered, see write_cache.hh
};

// A part of a volume that is all data, or all a hole, which reads as zeroes.
struct Extent {
    std::uint64_t length = 0;
    bool hole = false;

    bool operator==(const Extent&) const = default;
};

// How a range may be made to read as zeroes.
struct ZeroHow {
    bool may_unmap = false;  // its space may be given back
    bool fast = false;       // only if that is faster than writing them
};

// What a path leads to, so that /dev/vg0/root and /dev/mapper/vg0-root are one.
struct DiskKey {
    dev_t device = 0;
    ino_t inode = 0;  // 0 for a block device
    bool writable = false;
    bool direct = false;  // gives meaning to one that is not writable

    auto operator<=>(const DiskKey&) const = default;
};

// What only who may look around in /sys can say of a disk: found out with the opening, and for a block device
// the same for as long as it is open.
struct DiskFacts {
    bool block = false;  // a block device, otherwise a regular file
    bool writable = false;
    bool direct = false;                   // as VolumeFiles has it
    bool can_discard = false;              // gives meaning to `block`
    bool can_zero_fast = false;            // the device has a command for it; gives meaning to `block`
    std::uint32_t preferred_block = 4096;  // a power of two
    bool volatile_cache = true;            // as VolumeFiles has it
    std::string identity;                  // see disk_identity.hh
    std::string path;                      // for the log

    bool operator==(const DiskFacts&) const = default;
};

// A disk that is open and taken into use.
struct OpenedDisk {
    VolumeFiles files;
    DiskFacts facts;
};

class Volume {
public:
    virtual ~Volume() = default;
    Volume(const Volume&) = delete;
    Volume& operator=(const Volume&) = delete;

    // Of what is open, wherever its path may lead by now.
    [[nodiscard]] Result<struct stat> status() const;
    // Which disk it is, see disk_identity.hh.
    [[nodiscard]] const std::string& identity() const noexcept { return identity_; }
    // The traits as they are now: an LV may have grown since.
    [[nodiscard]] virtual Result<VolumeTraits> traits() const = 0;

    // O_DIRECT: no read or write is ever answered from memory, and data, offsets and lengths are aligned.
    [[nodiscard]] bool always_waits() const noexcept { return direct_; }
    // Acknowledged writes are on stable storage although nobody has flushed: no volatile cache is in their
    // way, neither the kernel's nor the disk's. Clients are told with the answer to their claim.
    [[nodiscard]] bool writes_are_stable() const noexcept { return direct_ && !volatile_cache_; }
    // Who opens it says, before anything else, where its losses are noted; and that it is to be written to.
    // Whatever the kernel has not told anyone yet was lost by somebody who was here before, and is noted now.
    void begin_writing(std::shared_ptr<DiskLosses> losses);
    // Before it is closed: what was written and not flushed is flushed, so that a loss does not go unnoticed.
    void end_writing();
    // Something was written since the last flush began.
    [[nodiscard]] bool has_unflushed() const noexcept { return unflushed_; }
    [[nodiscard]] DiskLosses& losses() const { return *losses_; }

    // The same as read(), if that need not wait for a disk. nullopt: it would have to, and part of `into` may
    // have been written to.
    [[nodiscard]] std::optional<Result<void>> try_read(std::span<std::uint8_t> into,
                                                       std::uint64_t offset) const;
    // Whether the range, which is not empty, seems to be in the page cache.
    [[nodiscard]] bool is_in_memory(std::uint64_t offset, std::size_t length) const;
    // Puts the pages of the range into a pipe that has room for them. False: not all of them, and the pipe is
    // to be thrown away.
    [[nodiscard]] bool splice(int pipe, std::uint64_t offset, std::size_t length) const;
    // The whole range or an error. EIO where the volume ends early.
    [[nodiscard]] Result<void> read(std::span<std::uint8_t> into, std::uint64_t offset) const;
    // With `durable`, on stable storage when it returns, or an error; after one, the volume is flushed, and
    // what that finds lost is noted.
    [[nodiscard]] Result<void> write(std::span<const std::uint8_t> from, std::uint64_t offset, bool durable);
    // Everything that was written before, by anyone, is on stable storage when it returns, and nothing of
    // what `writer` may have written was lost since it began, or since it was told.
    [[nodiscard]] Result<void> flush(const Writer& writer);
    // The same, for whoever has to know of its own writes only: an error is one that this flush found.
    [[nodiscard]] Result<void> flush_now();
    // Gives the space back where that is possible; what is read there later is undefined. Never fails for not
    // being able.
    [[nodiscard]] virtual Result<void> trim(std::uint64_t offset, std::uint64_t length) = 0;
    // Makes the range read as zeroes. EOPNOTSUPP, and nothing is changed, where it was to be fast and cannot
    // be.
    [[nodiscard]] virtual Result<void> zero(std::uint64_t offset, std::uint64_t length, ZeroHow how) = 0;
    // The extent that begins at `offset`, of 1 to `length` bytes; `length` is not 0. All data where nobody
    // knows better, which is always right.
    [[nodiscard]] virtual Result<Extent> extent_at(std::uint64_t offset, std::uint64_t length) const;
    // Whether it is worth asking for a hole before a read. Costs nothing.
    [[nodiscard]] virtual bool may_have_holes() const noexcept { return false; }
    // A hint that the range will be read: it is on its way into the page cache when this returns, if that is
    // used.
    [[nodiscard]] Result<void> cache(std::uint64_t offset, std::uint64_t length) const;

protected:
    Volume(VolumeFiles files, std::string identity)
        : file_(std::move(files.file)),
          identity_(std::move(identity)),
          direct_(files.direct),
          volatile_cache_(files.volatile_cache),
          flusher_(std::move(files.for_flushes), file_.get()) {}

    [[nodiscard]] int fd() const noexcept { return file_.get(); }
    // After everything that changes what is stored.
    void note_change() noexcept;
    // Writes out what the page cache holds of the range. To be called before anything that makes the kernel
    // drop those pages although the range may keep its content. Blocks. An error: a write may be lost.
    [[nodiscard]] Result<void> write_out(std::uint64_t offset, std::uint64_t length) const;
    // The slow way to zero, which works everywhere.
    [[nodiscard]] Result<void> write_zeroes(std::uint64_t offset, std::uint64_t length);

private:
    [[nodiscard]] std::optional<bool> counts_in_memory(std::uint64_t offset, std::size_t length) const;

    Fd file_;
    std::string identity_;
    const bool direct_;
    const bool volatile_cache_;
    Flusher flusher_;
    std::shared_ptr<DiskLosses> losses_ = std::make_shared<DiskLosses>("a volume");
    std::atomic<bool> unflushed_ = false;             // changed since the last flush began
    mutable std::atomic<bool> cannot_try_ = false;    // the file system does not know how not to wait
    mutable std::atomic<bool> cannot_count_ = false;  // cachestat(2) is not there, or not for this file
};

// A disk that was opened, as a volume.
[[nodiscard]] std::unique_ptr<Volume> make_volume(OpenedDisk disk);

// Of what is open.
[[nodiscard]] DiskKey key_of(const struct stat& status, bool writable, bool direct);

}  // namespace holdfast::server
