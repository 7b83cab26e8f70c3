// Piece by piece through the page cache, of which no more than a piece is kept.

#include "provision/disk_filling.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::provision {
namespace {

constexpr std::size_t piece = std::size_t{4} << 20;

Result<std::uint64_t> size_of(const Fd& disk) {
    const off_t end = ::lseek(disk.get(), 0, SEEK_END);
    if (end < 0) return sys_error("lseek");
    return static_cast<std::uint64_t>(end);
}

Result<void> read_piece(const Fd& disk, std::vector<char>& into, std::uint64_t offset) {
    for (std::size_t done = 0; done < into.size();) {
        const ssize_t count =
            ::pread(disk.get(), into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return sys_error("read");
        if (count == 0) return std::unexpected(SysError{EIO, "read"});
        done += static_cast<std::size_t>(count);
    }
    return {};
}

Result<void> write_piece(const Fd& disk, const std::vector<char>& from, std::uint64_t offset) {
    for (std::size_t done = 0; done < from.size();) {
        const ssize_t count =
            ::pwrite(disk.get(), from.data() + done, from.size() - done, static_cast<off_t>(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return sys_error("write");
        done += static_cast<std::size_t>(count);
    }
    return {};
}

Result<void> flush(const Fd& disk) {
    if (::fdatasync(disk.get()) != 0) return sys_error("fdatasync");
    (void)::posix_fadvise(disk.get(), 0, 0, POSIX_FADV_DONTNEED);
    return {};
}

// Flushes every so many bytes, so that a copy does not fill the memory with unwritten pages.
Result<void> flush_now_and_then(const Fd& disk, std::uint64_t offset) {
    constexpr std::uint64_t interval = std::uint64_t{64} << 20;
    return offset % interval == 0 ? flush(disk) : Result<void>();
}

std::unexpected<std::string> failure(const std::string& path, const SysError& error) {
    return std::unexpected(fmt::format("{}: {}", path, error.message()));
}

struct Disk {
    const Fd& file;
    const std::string& path;  // for messages
};

std::expected<void, std::string> copy(const Disk& from, const Disk& to, std::uint64_t size) {
    std::vector<char> buffer;
    for (std::uint64_t offset = 0; offset < size; offset += buffer.size()) {
        buffer.resize(std::min<std::uint64_t>(piece, size - offset));
        if (const auto done = read_piece(from.file, buffer, offset); !done)
            return failure(from.path, done.error());
        if (const auto done = write_piece(to.file, buffer, offset); !done)
            return failure(to.path, done.error());
        if (const auto done = flush_now_and_then(to.file, offset + buffer.size()); !done)
            return failure(to.path, done.error());
    }
    (void)::posix_fadvise(from.file.get(), 0, 0, POSIX_FADV_DONTNEED);
    return {};
}

Result<void> zero(const Fd& to, std::uint64_t begin, std::uint64_t end) {
    std::vector<char> zeroes;
    for (std::uint64_t offset = begin; offset < end;) {
        const std::uint64_t length = std::min<std::uint64_t>(piece * 16, end - offset);
        std::array<std::uint64_t, 2> range{offset, length};
        if (::ioctl(to.get(), BLKZEROOUT, range.data()) == 0) {
            offset += length;
            continue;
        }
        zeroes.resize(std::min<std::uint64_t>(piece, end - offset));
        if (const auto done = write_piece(to, zeroes, offset); !done) return done;
        offset += zeroes.size();
        if (const auto done = flush_now_and_then(to, offset); !done) return done;
    }
    return {};
}

}  // namespace

std::expected<void, std::string> fill_disk(const std::string& from, const std::string& to) {
    const Fd target(::open(to.c_str(), O_WRONLY | O_EXCL | O_CLOEXEC));
    if (!target) return failure(to, SysError{errno, "open"});
    const Result<std::uint64_t> room = size_of(target);
    if (!room) return failure(to, room.error());
    std::uint64_t size = 0;
    if (!from.empty()) {
        const Fd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
        if (!source) return failure(from, SysError{errno, "open"});
        const Result<std::uint64_t> found = size_of(source);
        if (!found) return failure(from, found.error());
        size = *found;
        if (size > *room) return std::unexpected(fmt::format("{} is smaller than {}", to, from));
        if (auto done = copy({source, from}, {target, to}, size); !done) return done;
    }
    if (const auto done = zero(target, size, *room); !done) return failure(to, done.error());
    if (const auto done = flush(target); !done) return failure(to, done.error());
    return {};
}

}  // namespace holdfast::provision
