// Has the kernel repeat an event of the device, marked with a UUID: udev passes it on after all earlier
// events.

#include "client/kernel/udev_settling.hh"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

#include "client/kernel/sysfs.hh"
#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/linux/text_file.hh"

namespace holdfast::client {
namespace {

// Begins each message of udev; a message of the kernel begins with "change@".
constexpr std::string_view mark_of_udev("libudev\0", 8);

// udev's messages reach only the network namespace of the machine's first process.
bool hears_udev() {
    struct stat ours {};
    struct stat of_first {};
    if (::access("/run/udev/control", F_OK) != 0) return false;
    return ::stat("/proc/self/ns/net", &ours) != 0 || ::stat("/proc/1/ns/net", &of_first) != 0 ||
           ours.st_ino == of_first.st_ino;
}

Fd open_messages() {
    constexpr unsigned from_udev = 2;  // group 1 has the messages of the kernel
    Fd made(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
    if (!made) return {};
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = from_udev;
    if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
    return made;
}

std::string random_uuid() {
    auto text = read_text_file("/proc/sys/kernel/random/uuid", 64);
    if (!text) return {};
    text->resize(text->find('\n') == std::string::npos ? text->size() : text->find('\n'));
    return *text;
}

// Returns whether the word came among the messages that are there.
bool receive_word(const Fd& messages, std::string_view uuid) {
    std::array<char, 8192> message;
    for (;;) {
        const ssize_t count = ::recv(messages.get(), message.data(), message.size(), 0);
        if (count < 0 && errno == ENOBUFS) continue;  // some are lost, and perhaps the word
        if (count < 0) return false;
        if (is_word_of_udev({message.data(), static_cast<std::size_t>(count)}, uuid)) return true;
    }
}

}  // namespace

bool is_word_of_udev(std::string_view message, std::string_view uuid) noexcept {
    constexpr std::string_view key("\0SYNTH_UUID=", 12);
    if (uuid.empty() || !message.starts_with(mark_of_udev)) return false;
    for (std::size_t at = message.find(key); at != std::string_view::npos; at = message.find(key, at + 1))
        if (const auto value = message.substr(at + key.size()); value.substr(0, value.find('\0')) == uuid)
            return true;
    return false;
}

UdevSettling settle_udev(std::uint32_t index, std::chrono::milliseconds patience) {
    if (!hears_udev()) return UdevSettling::no_udev;
    const auto end = Clock::now() + patience;
    const Fd messages = open_messages();
    const std::string uuid = random_uuid();
    const auto sysfs = SysfsDevice::open(index);
    if (!messages || uuid.empty() || !sysfs || !sysfs->write("uevent", "change " + uuid))
        return UdevSettling::no_udev;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
        pollfd entry{messages.get(), POLLIN, 0};
        if (left <= 0) return UdevSettling::late;
        if (::poll(&entry, 1, static_cast<int>(left)) > 0 && receive_word(messages, uuid))
            return UdevSettling::done;
    }
}

}  // namespace holdfast::client
