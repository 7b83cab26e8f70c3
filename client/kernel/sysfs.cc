// Attributes are short: each is read whole, by a single read into a small buffer.

#include "client/kernel/sysfs.hh"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "common/linux/folder.hh"
#include "common/text/fixed_text.hh"
#include "common/text/number.hh"

namespace holdfast::client {
namespace {

// Returns the number in a column of a line padded with blanks; 0 if there is none.
std::uint64_t column(std::string_view line, std::size_t number) {
    const char* at = line.data();
    const char* const end = line.data() + line.size();
    for (std::size_t seen = 0; at < end; ++at) {
        std::uint64_t value = 0;
        const auto [next, error] = std::from_chars(at, end, value);
        if (error != std::errc{}) continue;
        if (seen++ == number) return value;
        at = next;
        if (at >= end) break;
    }
    return 0;
}

// Returns the M of nbdNpM; empty if the name is not a partition of this disk.
std::optional<std::uint64_t> partition_number(std::string_view name, std::string_view disk) {
    if (!name.starts_with(disk)) return std::nullopt;
    name.remove_prefix(disk.size());
    if (!name.starts_with('p')) return std::nullopt;
    return number_of<std::uint64_t>(name.substr(1));
}

}  // namespace

Result<SysfsDevice> SysfsDevice::open(std::uint32_t index, const char* block) {
    std::string name = "nbd" + std::to_string(index);
    const std::string path = std::string(block) + "/" + name;
    Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return sys_error("open /sys/block");
    return SysfsDevice(std::move(directory), std::move(name));
}

Result<std::string_view> SysfsDevice::read(const char* name, Room& room) const noexcept {
    const Fd file(::openat(directory_.get(), name, O_RDONLY | O_CLOEXEC));
    if (!file) return sys_error("open");
    const ssize_t count = ::read(file.get(), room.data(), room.size());
    if (count < 0) return sys_error("read");
    std::string_view value(room.data(), static_cast<std::size_t>(count));
    while (value.ends_with('\n')) value.remove_suffix(1);
    return value;
}

std::string SysfsDevice::attribute(const char* name) const {
    Room room;
    return std::string(read(name, room).value_or(std::string_view{}));
}

Result<void> SysfsDevice::write(const char* name, std::string_view text) const noexcept {
    const Fd file(::openat(directory_.get(), name, O_WRONLY | O_CLOEXEC));
    if (!file) return sys_error("open");
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return sys_error("write");
    return {};
}

std::uint64_t SysfsDevice::largest_request() const noexcept {
    return number("queue/max_sectors_kb").value_or(0) * 1024;
}

Result<void> SysfsDevice::limit_requests(std::uint64_t bytes) const noexcept {
    const std::uint64_t now = largest_request();
    if (now != 0 && now <= bytes) return {};
    return write("queue/max_sectors_kb", FixedText<24>::of("{}", bytes / 1024));
}

bool SysfsDevice::possibly_connected_as(std::string_view identifier) const noexcept {
    const auto is_missing = [](const Result<std::string_view>& value) {
        return !value && (value.error().code == ENOENT || value.error().code == ENODEV);
    };
    Room room;
    if (is_missing(read("pid", room))) return false;
    const auto backend = read("backend", room);
    return backend ? *backend == identifier : !is_missing(backend);
}

std::optional<std::uint64_t> SysfsDevice::number(const char* name) const noexcept {
    Room room;
    return number_of<std::uint64_t>(read(name, room).value_or(std::string_view{}));
}

std::uint64_t SysfsDevice::in_flight() const noexcept {
    // Two columns: reads and writes.
    Room room;
    const std::string_view text = read("inflight", room).value_or(std::string_view{});
    return column(text, 0) + column(text, 1);
}

bool SysfsDevice::is_idle() const noexcept {
    Room room;
    return counts_requests() && read("inflight", room) && in_flight() == 0;
}

std::uint64_t SysfsDevice::writes() const noexcept {
    // "write I/Os" in Documentation/block/stat.rst.
    Room room;
    return column(read("stat", room).value_or(std::string_view{}), 4);
}

SysfsDevice::Totals SysfsDevice::totals() const noexcept {
    // Reads, writes, discards, flushes: their numbers and their ticks in Documentation/block/stat.rst.
    Room room;
    const std::string_view text = read("stat", room).value_or(std::string_view{});
    Totals totals;
    for (const std::size_t first : {0U, 4U, 11U}) {
        totals.requests += column(text, first);
        totals.time += std::chrono::milliseconds{column(text, first + 3)};
    }
    totals.requests += column(text, 15);
    totals.time += std::chrono::milliseconds{column(text, 16)};
    return totals;
}

std::vector<std::string> SysfsDevice::partitions() const {
    std::vector<std::string> found;
    for (std::string& name : names_in(".", directory_.get()))
        if (partition_number(name, name_)) found.push_back(std::move(name));
    std::sort(found.begin(), found.end(), [this](const std::string& a, const std::string& b) {
        return partition_number(a, name_) < partition_number(b, name_);
    });
    return found;
}

std::vector<std::string> SysfsDevice::holders(const std::string& partition) const {
    const std::string path = partition.empty() || partition == name_ ? "holders" : partition + "/holders";
    return names_in(path, directory_.get());
}

std::vector<std::uint32_t> nbd_devices(const char* block) {
    std::vector<std::uint32_t> found;
    for (const std::string& name : names_in(block)) {
        if (!name.starts_with("nbd")) continue;
        if (const auto index = number_of<std::uint64_t>(std::string_view(name).substr(3)))
            found.push_back(static_cast<std::uint32_t>(*index));
    }
    std::sort(found.begin(), found.end());
    return found;
}

}  // namespace holdfast::client
