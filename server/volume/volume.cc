// Operations common to all kinds of volume.

#include "server/volume/volume.hh"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "server/volume/block_volume.hh"
#include "server/volume/file_volume.hh"

namespace holdfast::server {

Result<struct stat> Volume::status() const {
    struct stat status {};
    if (::fstat(fd(), &status) != 0) return sys_error("fstat");
    return status;
}

// preadv2(2) with RWF_NOWAIT returns EAGAIN, or a short count, if the rest is not in the page cache. File
// systems in memory return EOPNOTSUPP, and never have to wait.
std::optional<Result<void>> Volume::try_read(std::span<std::uint8_t> into, std::uint64_t offset) const {
    while (!into.empty() && !cannot_try_) {
        const iovec place{into.data(), into.size()};
        const ssize_t count = ::preadv2(fd(), &place, 1, static_cast<off_t>(offset), RWF_NOWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EOPNOTSUPP) {
            cannot_try_ = true;
            break;
        }
        // read() reports all other errors, and the end of the volume.
        if (count <= 0) return std::nullopt;
        into = into.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return read(into, offset);
}

// cachestat(2), Linux 6.5: a single, exact call instead of five for 128 KiB. Later kernels return EPERM for a
// file that this process may not write to. nullopt: unknown.
std::optional<bool> Volume::counts_in_memory(std::uint64_t offset, std::size_t length) const {
    constexpr long cachestat_number = 451;  // on every architecture; missing in older headers
    static const std::uint64_t page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    if (cannot_count_) return std::nullopt;
    const std::uint64_t range[2] = {offset, length};
    std::uint64_t counts[5] = {};  // in the cache, dirty, under writeback, evicted, recently evicted
    if (::syscall(cachestat_number, fd(), range, counts, 0) != 0) {
        cannot_count_ = true;
        return std::nullopt;
    }
    return counts[0] >= (offset + length - 1) / page - offset / page + 1;
}

// Probes only some pages: under memory pressure the kernel evicts whole runs of pages, not single pages. A
// wrong guess only waits for the disk.
bool Volume::is_in_memory(std::uint64_t offset, std::size_t length) const {
    if (direct_ || cannot_try_) return false;
    if (const std::optional<bool> counted = counts_in_memory(offset, length)) return *counted;
    constexpr std::size_t step = 32U << 10;
    for (std::size_t at = 0; at < length; at += std::min(step, std::max<std::size_t>(length - at - 1, 1))) {
        std::uint8_t byte = 0;
        const iovec place{&byte, 1};
        if (::preadv2(fd(), &place, 1, static_cast<off_t>(offset + at), RWF_NOWAIT) != 1) return false;
    }
    return true;
}

bool Volume::splice(int pipe, std::uint64_t offset, std::size_t length) const {
    auto from = static_cast<off64_t>(offset);
    while (length > 0) {
        const ssize_t count = ::splice(fd(), &from, pipe, nullptr, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        length -= static_cast<std::size_t>(count);
    }
    return true;
}

Result<void> Volume::read(std::span<std::uint8_t> into, std::uint64_t offset) const {
    while (!into.empty()) {
        const ssize_t count = ::pread(fd(), into.data(), into.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return sys_error("pread");
        if (count == 0) return std::unexpected(SysError{EIO, "pread beyond the end"});
        into = into.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

namespace {

// Whether a write that failed with this errno has changed nothing, on the disk or in its cache.
bool writes_nothing(int code) noexcept {
    return code == ENOSPC || code == EDQUOT || code == EFBIG || code == EINVAL || code == EOPNOTSUPP;
}

}  // namespace

Result<void> Volume::write(std::span<const std::uint8_t> from, std::uint64_t offset, bool durable) {
    while (!from.empty()) {
        // pwritev2 takes a non-const pointer, but does not write to the data.
        const iovec data{const_cast<std::uint8_t*>(from.data()), from.size()};
        const ssize_t count = ::pwritev2(fd(), &data, 1, static_cast<off_t>(offset), durable ? RWF_DSYNC : 0);
        note_change();
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && durable) {
            const SysError error{errno, "pwritev2(RWF_DSYNC)"};
            // ENOSPC and similar errors mean that nothing was written, so nothing is lost, but the error may
            // be that of an earlier write, which the flush reports. Any other error may come from the disk's
            // cache: the disk reports the error once, and Linux reports it to no other caller. The cached
            // data are then lost, although the next flush succeeds.
            const std::uint64_t before = losses_->count();
            flusher_.flush(*losses_);
            if (!writes_nothing(error.code) && losses_->count() == before) losses_->add(error.code);
            return std::unexpected(error);
        }
        if (count < 0) return sys_error("pwritev2");
        if (count == 0) return std::unexpected(SysError{EIO, "pwritev2 of nothing"});
        from = from.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

void Volume::begin_writing(std::shared_ptr<DiskLosses> losses) {
    losses_ = std::move(losses);
    const std::uint64_t before = losses_->count();
    flusher_.flush(*losses_);
    if (losses_->count() > before) losses_->concerns_strangers();
}

void Volume::end_writing() {
    if (unflushed_.exchange(false)) flusher_.flush(*losses_);
}

void Volume::note_change() noexcept {
    if (!unflushed_.load(std::memory_order_relaxed)) unflushed_ = true;
}

Result<void> Volume::flush(const Writer& writer) {
    unflushed_ = false;
    flusher_.flush(*losses_);
    return writer.check();
}

Result<void> Volume::flush_now() {
    const std::uint64_t before = losses_->count();
    unflushed_ = false;
    flusher_.flush(*losses_);
    return losses_->since(before);
}

Result<Extent> Volume::extent_at(std::uint64_t /*offset*/, std::uint64_t length) const {
    return Extent{length, false};
}

// Advises in steps, since the kernel reads ahead no more at once than the device's read_ahead_kb, and drops
// the rest of the request.
Result<void> Volume::cache(std::uint64_t offset, std::uint64_t length) const {
    constexpr std::uint64_t step = 128U << 10;
    if (direct_) return {};
    while (length > 0) {
        const std::uint64_t count = std::min(length, step);
        const int error =
            ::posix_fadvise(fd(), static_cast<off_t>(offset), static_cast<off_t>(count), POSIX_FADV_WILLNEED);
        if (error != 0) return std::unexpected(SysError{error, "posix_fadvise(WILLNEED)"});
        offset += count;
        length -= count;
    }
    return {};
}

// ESPIPE: a character device, which has no page cache.
Result<void> Volume::write_out(std::uint64_t offset, std::uint64_t length) const {
    constexpr unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    for (;;) {
        const int result =
            ::sync_file_range(fd(), static_cast<off64_t>(offset), static_cast<off64_t>(length), all);
        if (result == 0 || errno == ESPIPE) return {};
        if (errno != EINTR) return sys_error("sync_file_range");
    }
}

Result<void> Volume::write_zeroes(std::uint64_t offset, std::uint64_t length) {
    alignas(data_alignment) static std::uint8_t zeroes[256 << 10];  // never written to
    while (length > 0) {
        const std::size_t count = std::min<std::uint64_t>(length, sizeof zeroes);
        if (const Result<void> written = write({zeroes, count}, offset, false); !written) return written;
        offset += count;
        length -= count;
    }
    return {};
}

std::unique_ptr<Volume> make_volume(OpenedDisk disk) {
    if (disk.facts.block) return std::make_unique<BlockVolume>(std::move(disk));
    return std::make_unique<FileVolume>(std::move(disk));
}

// Writers share a single open of a volume, with or without the page cache.
DiskKey key_of(const struct stat& status, bool writable, bool direct) {
    direct = direct && !writable;
    if (S_ISBLK(status.st_mode)) return DiskKey{status.st_rdev, 0, writable, direct};
    return DiskKey{status.st_dev, status.st_ino, writable, direct};
}

}  // namespace holdfast::server
