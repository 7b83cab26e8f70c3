// The file at a path may change during the checks: only the facts of the opened descriptor count.

#include "server/opener/disk_opening.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>

#include "common/linux/text_file.hh"
#include "server/config/export_path.hh"
#include "server/opener/disk_holders.hh"
#include "server/opener/disk_identity.hh"
#include "server/opener/thin_pool.hh"
#include "server/volume/write_cache.hh"

namespace holdfast::server {
namespace {

using Opened = std::expected<Fd, VolumeRefusal>;

std::unexpected<VolumeRefusal> failure(const std::string& path, const SysError& error) {
    std::string text = fmt::format("{}: {}", path, error.message());
    // The effective user is not always root; the message names the user whose rights are missing.
    if (error.code == EACCES) text += fmt::format(" for user {}", ::geteuid());
    return std::unexpected(VolumeRefusal{error.code == ENOENT, std::move(text)});
}

std::unexpected<VolumeRefusal> busy(const std::string& path, const std::string& holder) {
    return std::unexpected(VolumeRefusal{false, fmt::format("{} is in use: {}", path, holder)});
}

std::unexpected<VolumeRefusal> open_failure(const VolumeRequest& request, const SysError& error) {
    if (error.code != EINVAL || !request.direct.value_or(false)) return failure(request.path, error);
    return std::unexpected(VolumeRefusal{
        false,
        fmt::format(
            "{} cannot be opened without the page cache (O_DIRECT); set cache = writeback or writethrough",
            request.path)});
}

int open_flags(const VolumeRequest& request) {
    return (request.writable ? O_RDWR : O_RDONLY) | (request.direct.value_or(false) ? O_DIRECT : 0) |
           O_CLOEXEC;
}

Opened open_block_device(const VolumeRequest& request, dev_t device) {
    Fd file(::open(request.path.c_str(), open_flags(request) | (request.writable ? O_EXCL : 0)));
    if (file) return file;
    const SysError error{errno, "open"};
    if (error.code == EBUSY) return busy(request.path, holder_of_device(device, request.server));
    return open_failure(request, error);
}

// Takes an OFD lock on the whole file: owned by the open file and not by the process, and respected by every
// other server that locks.
bool lock_for_writing(int file) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return ::fcntl(file, F_OFD_SETLK, &lock) == 0;
}

Opened open_file(const VolumeRequest& request, const struct stat& status) {
    Fd file(::open(request.path.c_str(), open_flags(request)));
    if (!file) return open_failure(request, SysError{errno, "open"});
    if (request.writable && !lock_for_writing(file.get())) {
        const SysError error{errno, "fcntl(F_OFD_SETLK)"};
        if (error.code == EAGAIN || error.code == EACCES)
            return busy(request.path, holder_of_file(status, request.server));
        return failure(request.path, error);
    }
    return file;
}

std::unexpected<VolumeRefusal> wrong_kind(const std::string& path) {
    return std::unexpected(
        VolumeRefusal{false, fmt::format("{} is neither a block device nor a regular file", path)});
}

// Turns the request for a disk that rejects writes into one for reading: offer.cc reports that to clients.
VolumeRequest without_lost_writes(VolumeRequest request, const struct stat& status) {
    if (request.writable && !request.as_origin && S_ISBLK(status.st_mode) &&
        is_read_only_device(status.st_rdev))
        request.writable = false;
    return request;
}

// Reads BLKROGET, since /sys may have shown an earlier state.
bool rejects_writes(int device) {
    int read_only = 0;
    return ::ioctl(device, BLKROGET, &read_only) == 0 && read_only != 0;
}

// Checks the opened file, which may differ from the file that stat() saw; updates `status`.
std::expected<void, VolumeRefusal> check_opened(int file, const VolumeRequest& request, bool block,
                                                struct stat& status) {
    if (::fstat(file, &status) != 0) return failure(request.path, SysError{errno, "fstat"});
    if (S_ISBLK(status.st_mode) != block) return wrong_kind(request.path);
    if (block && request.writable && rejects_writes(file))
        return std::unexpected(
            VolumeRefusal{false, fmt::format("{} became read-only while being opened", request.path)});
    return {};
}

bool is_same(int file, const struct stat& other) {
    struct stat status {};
    if (::fstat(file, &status) != 0 || (status.st_mode & S_IFMT) != (other.st_mode & S_IFMT)) return false;
    if (S_ISBLK(other.st_mode)) return status.st_rdev == other.st_rdev;
    return status.st_dev == other.st_dev && status.st_ino == other.st_ino;
}

// Reads a limit of the device's queue; a partition has the limits of its disk. 0 if unreadable.
std::uint64_t queue_limit(dev_t device, const char* name) {
    for (const char* place : {"queue", "../queue"}) {
        const std::string path =
            fmt::format("/sys/dev/block/{}:{}/{}/{}", major(device), minor(device), place, name);
        const Result<std::string> text = read_text_file(path, 4096);
        if (text) return std::strtoull(text->c_str(), nullptr, 10);
    }
    return 0;
}

std::uint32_t preferred_block(std::uint64_t io_size) {
    constexpr std::uint64_t most = 1U << 20;
    if (io_size <= 4096 || io_size > most || !std::has_single_bit(io_size)) return 4096;
    return static_cast<std::uint32_t>(io_size);
}

// Returns all facts except the identity and whether the disk is open for writing.
DiskFacts facts_of(const struct stat& status) {
    DiskFacts facts;
    facts.block = S_ISBLK(status.st_mode);
    if (!facts.block) return facts;
    facts.can_discard = queue_limit(status.st_rdev, "discard_max_bytes") > 0;
    // Not "write_zeroes_unmap_max_bytes": without it the device still zeroes by itself.
    facts.can_zero_fast = queue_limit(status.st_rdev, "write_zeroes_max_bytes") > 0;
    facts.preferred_block = preferred_block(queue_limit(status.st_rdev, "minimum_io_size"));
    facts.volatile_cache = may_lose_writes(status.st_rdev);
    facts.thin_pool = thin_pool_of(status.st_rdev);
    return facts;
}

// Without O_DIRECT, this machine's page cache holds the acknowledged writes of half a minute, which a crash
// would lose. Direct requests are at least a logical block, so a disk with blocks of 4096 bytes keeps the
// page cache: clients that attached the disk with 512-byte blocks could not reconnect, and partition tables
// and file systems made with 512 would be unreadable.
bool is_direct(const VolumeRequest& request, const struct stat& status) {
    if (request.direct) return *request.direct;
    constexpr std::uint64_t smallest_block = 512;
    return request.writable && S_ISBLK(status.st_mode) &&
           queue_limit(status.st_rdev, "logical_block_size") == smallest_block;
}

std::unexpected<VolumeRefusal> no_device(const std::string& path) {
    return std::unexpected(VolumeRefusal{true, fmt::format("{}: no such device", path)});
}

std::expected<VolumeTraits, VolumeRefusal> traits_of(const VolumeRequest& request, Fd file,
                                                     const struct stat& status) {
    DiskFacts facts = facts_of(status);
    facts.writable = request.writable;
    const Result<VolumeTraits> traits =
        make_volume({{std::move(file), Fd(), is_direct(request, status)}, std::move(facts)})->traits();
    if (!traits) return failure(request.path, traits.error());
    return *traits;
}

// Names what would make open_disk() find the device busy. Processes that have it open are not searched for.
std::string holder_against(const VolumeRequest& request, const struct stat& status) {
    return S_ISBLK(status.st_mode) && request.writable && !request.as_origin
               ? kernel_holder_of(status.st_rdev)
               : std::string();
}

// Returns the traits that the file will have once it is created. Asks a file without a name in the same
// folder, which vanishes when it is closed.
std::expected<VolumeTraits, VolumeRefusal> look_at_missing_file(const VolumeRequest& request) {
    if (request.path.starts_with("/dev/")) return no_device(request.path);
    const std::string folder = request.path.substr(0, request.path.rfind('/') + 1);
    Fd file(::open(folder.c_str(), O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
    if (!file && (errno == EOPNOTSUPP || errno == EISDIR)) {
        // Not every file system has such files: then only the first client finds out about trim.
        if (const std::string why = why_not_creatable(request.path); !why.empty())
            return std::unexpected(VolumeRefusal{false, why});
        return VolumeTraits{.size = request.create_size};
    }
    if (!file) return failure(request.path, SysError{errno, "open"});
    struct stat status {};
    if (::ftruncate(file.get(), static_cast<off_t>(request.create_size)) != 0 ||
        ::fstat(file.get(), &status) != 0)
        return failure(request.path, SysError{errno, "ftruncate"});
    return traits_of(request, std::move(file), status);
}

}  // namespace

std::expected<void, VolumeRefusal> create_missing_file(const VolumeRequest& request) {
    struct stat status {};
    if (request.create_size == 0 || ::stat(request.path.c_str(), &status) == 0 || errno != ENOENT) return {};
    if (request.path.starts_with("/dev/")) return no_device(request.path);
    const Fd file(::open(request.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file && errno == EEXIST) return {};  // another client was faster
    if (!file) return failure(request.path, SysError{errno, "open"});
    if (::ftruncate(file.get(), static_cast<off_t>(request.create_size)) != 0) {
        const SysError error{errno, "ftruncate"};
        ::unlink(request.path.c_str());
        return failure(request.path, error);
    }
    return {};
}

std::expected<DiskKey, VolumeRefusal> find_disk(const VolumeRequest& request) {
    struct stat status {};
    if (::stat(request.path.c_str(), &status) != 0) return failure(request.path, SysError{errno, "stat"});
    const VolumeRequest possible = without_lost_writes(request, status);
    return key_of(status, possible.writable, is_direct(possible, status));
}

std::expected<bool, VolumeRefusal> find_direct(const VolumeRequest& request) {
    struct stat status {};
    if (::stat(request.path.c_str(), &status) != 0) return failure(request.path, SysError{errno, "stat"});
    return is_direct(without_lost_writes(request, status), status);
}

std::expected<OpenedDisk, VolumeRefusal> open_disk(const VolumeRequest& wanted) {
    VolumeRequest request = wanted;
    struct stat status {};
    if (::stat(request.path.c_str(), &status) != 0) return failure(request.path, SysError{errno, "stat"});
    if (!S_ISBLK(status.st_mode) && !S_ISREG(status.st_mode)) return wrong_kind(request.path);
    const bool block = S_ISBLK(status.st_mode);
    request = without_lost_writes(std::move(request), status);
    const bool direct = is_direct(request, status);
    request.direct = direct;
    Opened file = block ? open_block_device(request, status.st_rdev) : open_file(request, status);
    if (!file) return std::unexpected(file.error());
    if (const auto fits = check_opened(file->get(), request, block, status); !fits)
        return std::unexpected(fits.error());
    Result<std::string> identity = disk_identity(file->get());
    if (!identity) return failure(request.path, identity.error());
    Fd again(::open(request.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!again) return failure(request.path, SysError{errno, "open"});
    if (!is_same(again.get(), status)) {
        return std::unexpected(
            VolumeRefusal{false, fmt::format("{} was replaced while being opened", request.path)});
    }
    DiskFacts facts = facts_of(status);
    facts.writable = request.writable;
    facts.direct = direct;
    facts.identity = std::move(*identity);
    facts.path = request.path;
    return OpenedDisk{{std::move(*file), std::move(again), direct, facts.volatile_cache}, std::move(facts)};
}

std::expected<VolumeTraits, VolumeRefusal> look_at_volume(const VolumeRequest& wanted) {
    VolumeRequest request = wanted;
    struct stat status {};
    if (::stat(request.path.c_str(), &status) != 0) {
        const SysError error{errno, "stat"};
        if (error.code == ENOENT && request.create_size != 0) return look_at_missing_file(request);
        return failure(request.path, error);
    }
    if (!S_ISBLK(status.st_mode) && !S_ISREG(status.st_mode)) return wrong_kind(request.path);
    request = without_lost_writes(std::move(request), status);
    if (const std::string holder = holder_against(request, status); !holder.empty())
        return busy(request.path, holder);
    // Opens a device read-only: closing a device that was open for writing makes udev probe it.
    const bool for_writing = S_ISREG(status.st_mode) && request.writable;
    Fd file(::open(request.path.c_str(), (for_writing ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK));
    if (!file) return failure(request.path, SysError{errno, "open"});
    if (::fstat(file.get(), &status) != 0) return failure(request.path, SysError{errno, "fstat"});
    return traits_of(request, std::move(file), status);
}

}  // namespace holdfast::server
