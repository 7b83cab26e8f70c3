// The child's death without "ready" or "failed" (report.hh) is a failure, too.

#include "client/attach.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <expected>
#include <utility>

#include "client/block_size.hh"
#include "client/control.hh"
#include "client/daemon.hh"
#include "client/kernel_module.hh"
#include "client/netlink.hh"
#include "client/report.hh"
#include "client/sysfs.hh"
#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long somebody else's open of the device (udev looks at every device) is waited for.
constexpr seconds open_patience{3};
constexpr milliseconds pause_between_opens{250};
// How long the nodes of device and partitions may take to appear; the kernel makes them itself, at once.
constexpr seconds node_patience{10};
// How long the first read may take before a word is said, and then before the device is given up: a link that
// is lost just now is made anew, and what was in flight is sent again after 30 s.
constexpr seconds read_notice{10};
constexpr seconds read_patience{60};
constexpr seconds detach_patience{10};

void wait_for(milliseconds duration) {
    const timespec moment{duration.count() / 1000, duration.count() % 1000 * 1'000'000};
    ::nanosleep(&moment, nullptr);
}

std::string random_identifier() {
    std::array<unsigned char, 16> bytes{};
    // Not a secret: it tells this attachment from every other.
    if (::getrandom(bytes.data(), bytes.size(), GRND_NONBLOCK) != static_cast<ssize_t>(bytes.size())) {
        const auto now = static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<unsigned char>(now >> (i % 8 * 8)) ^
                       static_cast<unsigned char>(::getpid() >> (i % 4));
    }
    std::string text = "holdfast:";
    for (const unsigned char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
    return text;
}

Failure connect_failure(const SysError& error, const DeviceConfiguration& configuration) {
    const std::string device =
        configuration.index ? fmt::format("/dev/nbd{}", *configuration.index) : "an nbd device";
    if (error.code == EPERM)
        return {ExitCode::failure,
                fmt::format("{}: the kernel does not permit it; run this as root", device)};
    if (error.code == EINVAL && configuration.index)
        return {ExitCode::failure,
                fmt::format("{}: the kernel refuses the device (its number may be too large for the "
                            "nbd module's max_part, or it is going away)",
                            device)};
    if (error.code != EBUSY || !configuration.index)
        return {ExitCode::failure, fmt::format("{}: {}", device, error.message())};
    const auto sysfs = SysfsDevice::open(*configuration.index);
    if (!sysfs || !sysfs->connected())
        return {
            ExitCode::busy,
            fmt::format("{}: another program has it open; close it there, or take another device", device)};
    return {
        ExitCode::busy,
        fmt::format(
            "{}: attached already (by process {}); detach it first with `holdfast-client detach nbd{}`, or "
            "take another device",
            device, sysfs->attribute("pid"), *configuration.index)};
}

std::expected<std::uint32_t, Failure> connect_device(Netlink& netlink,
                                                     const DeviceConfiguration& configuration, int socket) {
    const auto end = Clock::now() + open_patience;
    for (;;) {
        auto index = netlink.connect(configuration, {&socket, 1});
        if (index) return *index;
        bool in_use = true;
        if (index.error().code == EBUSY && configuration.index)
            if (const auto sysfs = SysfsDevice::open(*configuration.index)) in_use = sysfs->connected();
        if (in_use || Clock::now() > end)
            return std::unexpected(connect_failure(index.error(), configuration));
        wait_for(pause_between_opens);
    }
}

DeviceConfiguration configuration_for(const AttachRequest& request, const Found& found) {
    DeviceConfiguration configuration;
    configuration.index = request.index;
    configuration.size = whole_blocks(found.link.offer.size, found.block_size);
    configuration.block_size = found.block_size;
    configuration.server_flags = found.link.offer.flags;
    if (request.read_only) configuration.server_flags |= nbd::flag_read_only;
    configuration.request_timeout = request.policy.request_timeout;
    configuration.identifier = random_identifier();
    return configuration;
}

bool is_unix_socket(const Target& target) { return target.endpoint.address.ss_family == AF_UNIX; }

// The child. Comes back only with what failed; a daemon ends here.
std::expected<void, Failure> attach_and_stay(const AttachRequest& request, ProcessTitle& title,
                                             Report& report) {
    auto netlink = open_netlink();
    if (!netlink) return std::unexpected(Failure{ExitCode::failure, netlink.error()});
    auto found = search(request.search, report);
    if (!found) return std::unexpected(found.error());

    AttachedDevice device;
    device.configuration = configuration_for(request, *found);
    if (found->link.offer.size != device.configuration.size)
        report.note(fmt::format(
            "{}: its size, {} bytes, is not a multiple of the block size {}; the last {} bytes cannot be "
            "reached",
            found->targets[found->target].uri, found->link.offer.size, device.configuration.block_size,
            found->link.offer.size - device.configuration.size));
    auto index = connect_device(*netlink, device.configuration, found->link.socket.get());
    if (!index) return std::unexpected(index.error());
    device.index = *index;

    auto sysfs = SysfsDevice::open(device.index);
    const std::string uri = found->targets[found->target].uri;
    const std::uint64_t size = device.configuration.size;
    const auto failed = [&](std::string text) {
        [[maybe_unused]] const auto done = netlink->disconnect(*index);
        return std::unexpected(Failure{ExitCode::failure, fmt::format("/dev/nbd{}: {}", *index, text)});
    };
    if (!sysfs) return failed(sysfs.error().message());
    const Reach reach =
        std::ranges::any_of(found->targets, is_unix_socket) ? Reach::unix_sockets : Reach::addresses;
    leave_terminal();
    log::open("holdfast-client", log::Sink::kernel, log::Level::debug);
    Daemon daemon(std::move(*netlink), std::move(*sysfs), std::move(device), std::move(found->targets),
                  found->target, std::move(found->link));
    if (auto prepared = daemon.prepare(); !prepared) {
        daemon.abandon();
        return std::unexpected(
            Failure{ExitCode::failure, fmt::format("/dev/nbd{}: {}", *index, prepared.error().message())});
    }
    for (const std::string& shortcoming : settle_down(reach))
        log::warning(fmt::format("nbd{}: {}; going on without", *index, shortcoming));
    title.set(fmt::format("@holdfast-client: nbd{}", *index));
    ::prctl(PR_SET_NAME, fmt::format("holdfast-nbd{}", *index).c_str(), 0, 0, 0);
    log::write(request.notes_on_console ? log::Level::debug : log::Level::notice,
               fmt::format("nbd{}: attached to {}, {} bytes", *index, uri, size));
    report.ready(*index, size);
    report.close();
    daemon.run();
    return {};
}

[[noreturn]] void be_the_child(const AttachRequest& request, ProcessTitle& title, Fd pipe) {
    ::signal(SIGPIPE, SIG_IGN);
    Report report(std::move(pipe));
    auto done = attach_and_stay(request, title, report);
    if (!done) {
        report.error(done.error().text);
        report.failed(done.error().code);
    }
    ::_exit(0);
}

// The parent's side.

// The kernel looks for partitions when the device is opened first after its size was set; nothing else makes
// it do so.
std::string settle_device(std::uint32_t index, std::uint64_t size) {
    const std::string path = fmt::format("/dev/nbd{}", index);
    const auto end = Clock::now() + node_patience;
    Fd device(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    while (!device && (errno == ENOENT || errno == EINTR) && Clock::now() < end) {
        wait_for(milliseconds{20});
        device.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    }
    if (!device) return fmt::format("{}: {}", path, SysError{errno, "open"}.message());
    std::uint64_t seen = 0;
    while ((::ioctl(device.get(), BLKGETSIZE64, &seen) != 0 || seen < size) && Clock::now() < end)
        wait_for(milliseconds{20});
    if (seen < size) return fmt::format("{}: the kernel gives it {} bytes, not {}", path, seen, size);
    const auto sysfs = SysfsDevice::open(index);
    if (!sysfs) return fmt::format("{}: {}", path, sysfs.error().message());
    for (const std::string& partition : sysfs->partitions()) {
        struct stat node {};
        const std::string node_path = "/dev/" + partition;
        while (::stat(node_path.c_str(), &node) != 0 && Clock::now() < end) wait_for(milliseconds{20});
    }
    return {};
}

// settle_device() in a process of its own: a read that no server answers sleeps where no signal reaches it,
// and the command must still end.
std::string settle_in_time(std::uint32_t index, std::uint64_t size, const Notes& notes) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return SysError{errno, "pipe"}.message();
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) return SysError{errno, "fork"}.message();
    if (child == 0) {
        const std::string text = settle_device(index, size) + "\n";
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
        return fmt::format("/dev/nbd{}: the server has not answered the first read for {} s", index,
                           (read_notice + read_patience).count());
    std::array<char, 512> text;
    const ssize_t count = ::read(reading.get(), text.data(), text.size());
    ::waitpid(child, nullptr, 0);
    if (count <= 0) return fmt::format("/dev/nbd{}: the process that looked at it has died", index);
    return {text.data(), static_cast<std::size_t>(count - 1)};
}

// A device that is not ready is not left behind: nobody uses it yet.
AttachOutcome when_attached(std::uint32_t index, std::uint64_t size, const Notes& notes) {
    const std::string problem = settle_in_time(index, size, notes);
    if (problem.empty()) return {ExitCode::ok, index};
    notes(problem, true);
    if (const auto answer = ask(index, Order::detach_forced, detach_patience); !answer || *answer != "ok\n")
        notes(fmt::format("/dev/nbd{}: still attached; `holdfast-client detach --force nbd{}` gives it up",
                          index, index),
              true);
    return {ExitCode::failure, index};
}

class Reader {
public:
    explicit Reader(int descriptor) : stream_(::fdopen(descriptor, "r")) {}
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() {
        ::free(line_);
        if (stream_ != nullptr) ::fclose(stream_);
    }
    bool next(std::string& line) {
        const ssize_t length = stream_ == nullptr ? -1 : ::getline(&line_, &room_, stream_);
        if (length <= 0) return false;
        line.assign(line_, static_cast<std::size_t>(length - 1));
        return true;
    }

private:
    FILE* stream_;
    char* line_ = nullptr;
    std::size_t room_ = 0;
};

AttachOutcome hear_child(int pipe, const Notes& notes) {
    Reader reader(pipe);
    for (std::string line; reader.next(line);) {
        unsigned index = 0;
        unsigned long long size = 0;
        int code = 0;
        if (line.starts_with("note ")) notes(std::string_view(line).substr(5), false);
        if (line.starts_with("error ")) notes(std::string_view(line).substr(6), true);
        if (std::sscanf(line.c_str(), "failed %d", &code) == 1) return {static_cast<ExitCode>(code), 0};
        if (std::sscanf(line.c_str(), "ready %u %llu", &index, &size) != 2) continue;
        return when_attached(index, size, notes);
    }
    notes("the process that was to become the daemon has died", true);
    return {};
}

}  // namespace

AttachOutcome attach(const AttachRequest& request, ProcessTitle& title, const Notes& notes) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        notes(SysError{errno, "pipe"}.message(), true);
        return {};
    }
    Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) {
        notes(SysError{errno, "fork"}.message(), true);
        return {};
    }
    if (child == 0) {
        reading.reset();
        be_the_child(request, title, std::move(writing));
    }
    writing.reset();
    const AttachOutcome outcome = hear_child(reading.release(), notes);
    if (outcome.code != ExitCode::ok) ::waitpid(child, nullptr, WNOHANG);
    return outcome;
}

}  // namespace holdfast::client
