// Opens the device in a child process: a read that no server answers sleeps uninterruptibly, and the command
// must still end.

#include "client/attach/device_settling.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "client/daemon/request_timer.hh"
#include "client/kernel/sysfs.hh"
#include "client/link/link.hh"
#include "common/linux/pause.hh"
#include "common/linux/result.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Time for the nodes of device and partitions to appear; the kernel creates them itself, at once.
constexpr seconds node_patience{10};
// Time for the first read until a message is printed, and then until the device is given up: a link that is
// just now lost is reconnected.
constexpr seconds read_notice{10};
constexpr seconds read_patience{60};

// A server that gets requests above its maximum answers EINVAL, which the file system sees as EIO.
std::string limit_requests(std::uint32_t index, std::uint64_t bytes) {
    if (bytes == 0) return {};
    const auto sysfs = SysfsDevice::open(index);
    if (!sysfs) return fmt::format("/dev/nbd{}: {}", index, sysfs.error().message());
    const auto limited = sysfs->limit_requests(bytes);
    if (limited) return {};
    return fmt::format(
        "/dev/nbd{}: the server accepts requests of at most {} bytes, but queue/max_sectors_kb cannot be "
        "set: {}",
        index, bytes, limited.error().message());
}

// Sets the block layer's request timer for a daemon with a timer of its own. If this fails, the only cost is
// a slower resend of requests in flight after a reconnect.
void shorten_request_timer(std::uint32_t index) {
    if (const auto sysfs = SysfsDevice::open(index)) [[maybe_unused]]
        const auto written =
            sysfs->write("queue/io_timeout", fmt::format("{}", shortest_request_timer.count()));
}

// Opens the device: the kernel scans for partitions only on the first open after the size was set.
Result<Fd> open_in_time(const std::string& path, Clock::time_point end) {
    Fd device(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    while (!device && (errno == ENOENT || errno == EINTR) && Clock::now() < end) {
        pause_for(milliseconds{20});
        device.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    }
    if (!device) return sys_error("open");
    return device;
}

// Waits until the kernel gives the device its size; returns the size seen last.
std::uint64_t await_size(const Fd& device, std::uint64_t size, Clock::time_point end) {
    std::uint64_t seen = 0;
    while ((::ioctl(device.get(), BLKGETSIZE64, &seen) != 0 || seen < size) && Clock::now() < end)
        pause_for(milliseconds{20});
    return seen;
}

void await_nodes(const std::vector<std::string>& partitions, Clock::time_point end) {
    for (const std::string& partition : partitions) {
        struct stat node {};
        const std::string path = "/dev/" + partition;
        while (::stat(path.c_str(), &node) != 0 && Clock::now() < end) pause_for(milliseconds{20});
    }
}

// Returns the fault; empty if the device is ready.
std::string settle_device(std::uint32_t index, const Settings& settings) {
    const std::string path = fmt::format("/dev/nbd{}", index);
    // Before the device is opened. A device that existed before its connection has the limit already.
    if (std::string problem = limit_requests(index, settings.request_limit); !problem.empty()) return problem;
    if (settings.own_timer) shorten_request_timer(index);
    const auto end = Clock::now() + node_patience;
    const auto device = open_in_time(path, end);
    if (!device) return fmt::format("{}: {}", path, device.error().message());
    if (const std::uint64_t seen = await_size(*device, settings.size, end); seen < settings.size)
        return fmt::format("{}: the kernel reports {} bytes instead of {}", path, seen, settings.size);
    const auto sysfs = SysfsDevice::open(index);
    if (!sysfs) return fmt::format("{}: {}", path, sysfs.error().message());
    await_nodes(sysfs->partitions(), end);
    return {};
}

}  // namespace

std::string settle_in_time(std::uint32_t index, const Settings& settings, const Notes& notes) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return SysError{errno, "pipe"}.message();
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) return SysError{errno, "fork"}.message();
    if (child == 0) {
        const std::string text = settle_device(index, settings) + "\n";
        ::_exit(::write(writing.get(), text.data(), text.size()) < 0 ? 1 : 0);
    }
    writing.reset();
    pollfd entry{reading.get(), POLLIN, 0};
    const auto answered = [&entry](seconds patience) {
        const auto end = Clock::now() + patience;
        for (;;) {
            const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
            if (left <= 0) return false;
            if (::poll(&entry, 1, static_cast<int>(left)) > 0) return true;
        }
    };
    const bool done = answered(read_notice);
    if (!done)
        notes(fmt::format("/dev/nbd{}: waiting for the server to answer the first read", index), false);
    if (!done && !answered(read_patience))
        return fmt::format("/dev/nbd{}: the server did not answer the first read within {} s", index,
                           (read_notice + read_patience).count());
    std::array<char, 512> text;
    const ssize_t count = ::read(reading.get(), text.data(), text.size());
    ::waitpid(child, nullptr, 0);
    if (count <= 0) return fmt::format("/dev/nbd{}: the process that read it first has died", index);
    return {text.data(), static_cast<std::size_t>(count - 1)};
}

}  // namespace holdfast::client
