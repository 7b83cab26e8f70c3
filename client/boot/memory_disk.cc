// The tmpfs is mounted only until the loop device has the file: no later program can fail to unmount it.

#include "client/boot/memory_disk.hh"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <fmt/core.h>

#include "client/boot/memory_root.hh"
#include "client/control/run_directory.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/linux/text_file.hh"

namespace holdfast::client {
namespace {

using Outcome = std::expected<void, std::string>;

std::unexpected<std::string> failed(std::string_view thing, const char* call, std::string_view remedy = "") {
    return std::unexpected{
        fmt::format("holdfast.toram: {}: {}{}", thing, SysError{errno, call}.message(), remedy)};
}

// Folder with a tmpfs, detached from the folder at the end; open files keep the tmpfs.
class TemporaryMount {
public:
    explicit TemporaryMount(std::string path) : path_(std::move(path)) {}
    TemporaryMount(const TemporaryMount&) = delete;
    TemporaryMount& operator=(const TemporaryMount&) = delete;
    ~TemporaryMount() {
        if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
        ::rmdir(path_.c_str());
    }

    Outcome mount(std::uint64_t size) {
        if (::mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) return failed(path_, "mkdir");
        if (::mount("holdfast-memory", path_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV,
                    fmt::format("mode=0700,size={}", size).c_str()) != 0)
            return failed(path_, "mount");
        mounted_ = true;
        return {};
    }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
    bool mounted_ = false;
};

// Memory for direct reads, which the disk does not keep in the page cache.
class Buffer {
public:
    static constexpr std::size_t size = 1U << 20;

    Buffer()
        : bytes_(static_cast<char*>(
              ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() {
        if (valid()) ::munmap(bytes_, size);
    }
    [[nodiscard]] bool valid() const noexcept { return bytes_ != MAP_FAILED; }
    [[nodiscard]] char* data() noexcept { return bytes_; }

private:
    char* bytes_;
};

bool all_zero(const char* bytes, std::size_t size) {
    return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, size - 1) == 0;
}

bool write_at(int file, const char* bytes, std::size_t size, std::uint64_t offset) {
    while (size > 0) {
        const ssize_t written = ::pwrite(file, bytes, size, static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes += written;
        size -= static_cast<std::size_t>(written);
        offset += static_cast<std::uint64_t>(written);
    }
    return true;
}

// Writes the pieces that are not zero.
bool write_pieces(int file, const char* bytes, std::size_t size, std::uint64_t offset) {
    constexpr std::size_t piece = 64U << 10;
    for (std::size_t at = 0; at < size; at += piece) {
        const std::size_t length = std::min(piece, size - at);
        if (!all_zero(bytes + at, length) && !write_at(file, bytes + at, length, offset + at)) return false;
    }
    return true;
}

Outcome copy(int from, int to, std::uint64_t size, const std::string& disk, const CopyProgress& progress) {
    Buffer buffer;
    if (!buffer.valid()) return failed("memory for the copy", "mmap");
    progress(0, size);
    for (std::uint64_t done = 0; done < size;) {
        const std::size_t wanted =
            static_cast<std::size_t>(std::min<std::uint64_t>(Buffer::size, size - done));
        const ssize_t got = ::pread(from, buffer.data(), wanted, static_cast<off_t>(done));
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) errno = EIO;
        if (got <= 0) return failed(disk, "read");
        if (!write_pieces(to, buffer.data(), static_cast<std::size_t>(got), done))
            return failed("the copy in memory", "write", "; add memory, or boot without holdfast.toram");
        done += static_cast<std::uint64_t>(got);
        progress(done, size);
    }
    return {};
}

// Returns the name of a new loop device on the file, with its partitions.
std::expected<std::string, std::string> make_loop(int file, std::uint32_t block_size) {
    const Fd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    if (!control)
        return failed("/dev/loop-control", "open",
                      "; create the initramfs again if it lacks the kernel module loop");
    constexpr int most_attempts = 10;  // another program may take the number first
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
        if (number < 0) return failed("/dev/loop-control", "LOOP_CTL_GET_FREE");
        std::string name = fmt::format("loop{}", number);
        const Fd loop(::open(("/dev/" + name).c_str(), O_RDWR | O_CLOEXEC));
        if (!loop) return failed("/dev/" + name, "open");
        loop_config config{};
        config.fd = static_cast<std::uint32_t>(file);
        config.block_size = block_size;
        config.info.lo_flags = LO_FLAGS_PARTSCAN;
        constexpr std::string_view label = "holdfast.toram";
        label.copy(reinterpret_cast<char*>(config.info.lo_file_name), sizeof config.info.lo_file_name - 1);
        if (::ioctl(loop.get(), LOOP_CONFIGURE, &config) == 0) return name;
        if (errno != EBUSY) return failed("/dev/" + name, "LOOP_CONFIGURE");
    }
    errno = EBUSY;
    return failed("/dev/loop-control", "LOOP_CONFIGURE");
}

}  // namespace

std::expected<std::string, std::string> copy_to_memory(const std::string& disk,
                                                       const CopyProgress& progress) {
    const Fd from(::open(disk.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    if (!from) return failed(disk, "open");
    std::uint64_t size = 0;
    int block_size = 0;
    if (::ioctl(from.get(), BLKGETSIZE64, &size) != 0) return failed(disk, "BLKGETSIZE64");
    if (::ioctl(from.get(), BLKSSZGET, &block_size) != 0) return failed(disk, "BLKSSZGET");
    constexpr std::size_t largest_table = 1U << 16;
    const auto meminfo = read_text_file("/proc/meminfo", largest_table);
    if (const auto reason = reason_not_to_copy(size, available_memory(meminfo.value_or(""))); !reason.empty())
        return std::unexpected{reason};

    TemporaryMount memory(fmt::format("{}/memory", run_directory));
    constexpr std::uint64_t page = 4096;
    if (auto mounted = memory.mount((size + 2 * page - 1) / page * page); !mounted)
        return std::unexpected{std::move(mounted.error())};
    const std::string path = memory.path() + "/disk";
    const Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) return failed(path, "open");
    if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) return failed(path, "ftruncate");
    if (auto copied = copy(from.get(), file.get(), size, disk, progress); !copied)
        return std::unexpected{std::move(copied.error())};
    auto loop = make_loop(file.get(), static_cast<std::uint32_t>(block_size));
    // Only for status and for dracut's scripts. A link of an earlier attempt may be left.
    ::unlink(copy_link);
    if (loop && ::symlink(("/dev/" + *loop).c_str(), copy_link) != 0) return failed(copy_link, "symlink");
    return loop;
}

}  // namespace holdfast::client
