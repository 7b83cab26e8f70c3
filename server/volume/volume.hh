// Storage of an export: a block device or a regular file, reduced to the operations that NBD needs. All
// operations except try_read() and is_in_memory() may block. Any number of threads may call at the same time:
// all of them share the page cache, so a flush by any thread covers the writes of all threads.
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
#include "server/volume/lost_writes.hh"

namespace holdfast::server {

// Properties of a volume, determined when the volume is opened or examined.
struct VolumeTraits {
    std::uint64_t size = 0;
    bool can_trim = false;
    bool read_only = false;                // opened for reading only, or the device rejects writes
    std::uint32_t minimum_block = 1;       // a power of two; offsets and lengths are multiples
    std::uint32_t preferred_block = 4096;  // a power of two, not below minimum_block

    bool operator==(const VolumeTraits&) const = default;
};

// Required alignment of data in memory for a volume without the page cache.
inline constexpr std::size_t data_alignment = 4096;

// Open files of a volume.
struct VolumeFiles {
    Fd file;
    Fd for_flushes;              // separate open of the same file
    bool direct = false;         // `file` is O_DIRECT
    bool volatile_cache = true;  // the disk may lose acknowledged writes, see write_cache.hh
};

// Part of a volume that is entirely data, or entirely a hole, which reads as zeroes.
struct Extent {
    std::uint64_t length = 0;
    bool hole = false;

    bool operator==(const Extent&) const = default;
};

// Permitted methods for zeroing a range.
struct ZeroHow {
    bool may_unmap = false;  // the space may be released
    bool fast = false;       // only if faster than writing zeroes
};

// Key of the disk behind a path, equal for /dev/vg0/root and /dev/mapper/vg0-root.
struct DiskKey {
    dev_t device = 0;
    ino_t inode = 0;  // 0 for a block device
    bool writable = false;
    bool direct = false;  // valid only if not writable

    auto operator<=>(const DiskKey&) const = default;
};

// Disk facts that need /sys: read once, when the disk is opened; constant for a block device while it is
// open.
struct DiskFacts {
    bool block = false;  // a block device, otherwise a regular file
    bool writable = false;
    bool direct = false;                   // as VolumeFiles has it
    bool can_discard = false;              // valid only if `block`
    bool can_zero_fast = false;            // the device has a command for zeroing; valid only if `block`
    std::uint32_t preferred_block = 4096;  // a power of two
    bool volatile_cache = true;            // as VolumeFiles has it
    std::string identity;                  // see disk_identity.hh
    std::string path;                      // for the log
    std::string thin_pool{};               // "vg0/pool", for the log; empty: not a thin volume

    bool operator==(const DiskFacts&) const = default;
};

// An opened disk.
struct OpenedDisk {
    VolumeFiles files;
    DiskFacts facts;
};

class Volume {
public:
    virtual ~Volume() = default;
    Volume(const Volume&) = delete;
    Volume& operator=(const Volume&) = delete;

    // fstat() of the open file, even if the path now names another file.
    [[nodiscard]] Result<struct stat> status() const;
    // Stable ID of the disk, see disk_identity.hh.
    [[nodiscard]] const std::string& identity() const noexcept { return identity_; }
    // Current traits: an LV may have grown.
    [[nodiscard]] virtual Result<VolumeTraits> traits() const = 0;

    // O_DIRECT: no read or write is ever answered from memory, and data, offsets and lengths are aligned.
    [[nodiscard]] bool always_waits() const noexcept { return direct_; }
    // Acknowledged writes are on stable storage without a flush: neither the kernel nor the disk has a
    // volatile cache. Reported to clients in the answer to their claim.
    [[nodiscard]] bool writes_are_stable() const noexcept { return direct_ && !volatile_cache_; }
    // Prepares writing; must be called first after opening. Losses go to `losses`. Errors that the kernel has
    // not reported yet stem from earlier clients, and are added now.
    void begin_writing(std::shared_ptr<DiskLosses> losses);
    // Flushes unflushed writes before the volume is closed, so that a loss is noticed.
    void end_writing();
    // Whether there were writes since the last flush began.
    [[nodiscard]] bool has_unflushed() const noexcept { return unflushed_; }
    [[nodiscard]] DiskLosses& losses() const { return *losses_; }

    // Like read(), if all data are in memory. nullopt: the read would have to wait, and part of `into` may
    // have been overwritten.
    [[nodiscard]] std::optional<Result<void>> try_read(std::span<std::uint8_t> into,
                                                       std::uint64_t offset) const;
    // Whether the range, which must not be empty, seems to be in the page cache.
    [[nodiscard]] bool is_in_memory(std::uint64_t offset, std::size_t length) const;
    // Puts the pages of the range into an empty pipe with sufficient capacity. False: some pages are missing,
    // and the pipe must be closed.
    [[nodiscard]] bool splice(int pipe, std::uint64_t offset, std::size_t length) const;
    // Reads the whole range or fails. EIO if the volume ends early.
    [[nodiscard]] Result<void> read(std::span<std::uint8_t> into, std::uint64_t offset) const;
    // Writes the data. With `durable`, the data are on stable storage on success; on failure, the volume is
    // flushed, and losses that the flush finds are recorded.
    [[nodiscard]] Result<void> write(std::span<const std::uint8_t> from, std::uint64_t offset, bool durable);
    // Flushes the volume. Success: all earlier writes, by any client, are on stable storage, and no write
    // that `writer` may have made was lost since the writer began or since its last report.
    [[nodiscard]] Result<void> flush(const Writer& writer);
    // Like flush(), for a caller that needs only its own writes: fails only for losses found by this flush.
    [[nodiscard]] Result<void> flush_now();
    // Releases the space where possible; the content read later is undefined. Lack of support is not an
    // error.
    [[nodiscard]] virtual Result<void> trim(std::uint64_t offset, std::uint64_t length) = 0;
    // Makes the range read as zeroes. EOPNOTSUPP, with nothing changed, if `how.fast` is set and fast zeroing
    // is impossible.
    [[nodiscard]] virtual Result<void> zero(std::uint64_t offset, std::uint64_t length, ZeroHow how) = 0;
    // Returns the extent that begins at `offset`, of 1 to `length` bytes; `length` must not be 0. Reports
    // data if nothing is known, which is always correct.
    [[nodiscard]] virtual Result<Extent> extent_at(std::uint64_t offset, std::uint64_t length) const;
    // Whether a change that fails with ENOSPC says nothing of earlier changes, so that another attempt may
    // succeed as if there had been no failure.
    [[nodiscard]] virtual bool fails_before_caching() const noexcept { return true; }
    // Thin pool of the volume, "vg0/pool"; empty: none.
    [[nodiscard]] virtual std::string thin_pool() const { return {}; }
    // Whether a probe for a hole before a read is worthwhile. Costs nothing.
    [[nodiscard]] virtual bool may_have_holes() const noexcept { return false; }
    // Hint that the range will be read: starts readahead into the page cache, if the cache is used.
    [[nodiscard]] Result<void> cache(std::uint64_t offset, std::uint64_t length) const;

protected:
    Volume(VolumeFiles files, std::string identity)
        : file_(std::move(files.file)),
          identity_(std::move(identity)),
          direct_(files.direct),
          volatile_cache_(files.volatile_cache),
          flusher_(std::move(files.for_flushes), file_.get()) {}

    [[nodiscard]] int fd() const noexcept { return file_.get(); }
    // Call after every operation that changes stored data.
    void note_change() noexcept;
    // Writes out the dirty pages of the range. Call before any operation that makes the kernel drop those
    // pages although the range may keep its content. Blocks. An error means that a write may be lost.
    [[nodiscard]] Result<void> write_out(std::uint64_t offset, std::uint64_t length) const;
    // Zeroes by writing, which is slow and always works.
    [[nodiscard]] Result<void> write_zeroes(std::uint64_t offset, std::uint64_t length);

private:
    [[nodiscard]] std::optional<bool> counts_in_memory(std::uint64_t offset, std::size_t length) const;

    Fd file_;
    std::string identity_;
    const bool direct_;
    const bool volatile_cache_;
    Flusher flusher_;
    std::shared_ptr<DiskLosses> losses_ = std::make_shared<DiskLosses>("a volume");
    std::atomic<bool> unflushed_ = false;           // changed since the last flush began
    mutable std::atomic<bool> cannot_try_ = false;  // the file system does not support RWF_NOWAIT
    mutable std::atomic<bool> cannot_count_ =
        false;  // cachestat(2) is unavailable, or not permitted for this file
};

// Makes a volume from an opened disk.
[[nodiscard]] std::unique_ptr<Volume> make_volume(OpenedDisk disk);

// Makes the key of an open file.
[[nodiscard]] DiskKey key_of(const struct stat& status, bool writable, bool direct);

}  // namespace holdfast::server
