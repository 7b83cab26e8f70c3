// Parses the words, and makes the texts.

#include "client/boot/memory_root.hh"

#include <algorithm>

#include <fmt/core.h>

#include "client/boot/kernel_command_line.hh"
#include "client/control/device_status.hh"
#include "common/text/number.hh"
#include "common/text/text.hh"
#include "common/text/words.hh"

namespace holdfast::client {
namespace {

constexpr std::string_view overlay_key = "holdfast.overlay";
constexpr std::string_view to_ram_key = "holdfast.toram";

// Memory that must remain for the system beside a copy of the disk.
constexpr std::uint64_t reserve = 128ULL << 20;

// The default of tmpfs.
constexpr std::string_view usual_size = "50%";

bool is_size(std::string_view text) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = number_of<std::uint64_t>(text.substr(0, digits));
    const std::string_view unit = text.substr(digits);
    if (!number || *number == 0) return false;
    if (unit == "%") return *number <= 100;
    return unit.empty() || (unit.size() == 1 && std::string_view("kKmMgG").find(unit) != std::string::npos);
}

std::expected<std::string, BootError> read_overlay(std::string_view value) {
    const std::string word = fmt::format("{}={}", overlay_key, value);
    std::string_view rest = value;
    const std::string_view where = take_until(rest, ',');
    if (where != "RAM" && where != "ram")
        return wrong_word(word,
                          "an overlay is kept in memory; write holdfast.overlay=RAM or "
                          "holdfast.overlay=RAM,size=SIZE");
    if (rest.empty()) return std::string{usual_size};
    constexpr std::string_view size_option = "size=";
    if (!rest.starts_with(size_option) || !is_size(rest.substr(size_option.size())))
        return wrong_word(word,
                          "size= takes a number of bytes, with k, m or g, or a percentage of the "
                          "memory; write holdfast.overlay=RAM,size=512m");
    return std::string{rest.substr(size_option.size())};
}

std::expected<bool, BootError> read_to_ram(std::string_view value) {
    for (const std::string_view yes : {"", "1", "yes", "true"})
        if (value == yes) return true;
    for (const std::string_view no : {"0", "no", "false"})
        if (value == no) return false;
    return wrong_word(fmt::format("{}={}", to_ram_key, value), "takes yes or no; write holdfast.toram");
}

bool is_root_entry(std::string_view line) {
    const std::string_view device = take_word(line);
    return !device.empty() && !device.starts_with('#') && take_word(line) == "/";
}

}  // namespace

std::expected<MemoryRoot, BootError> read_memory_root(std::string_view command_line) {
    MemoryRoot memory;
    for (const KernelWord& word : split_command_line(command_line)) {
        if (word.key == overlay_key) {
            auto size = read_overlay(word.value);
            if (!size) return std::unexpected{size.error()};
            memory.overlay = *std::move(size);
        }
        if (word.key == to_ram_key) {
            const auto to_ram = read_to_ram(word.value);
            if (!to_ram) return std::unexpected{to_ram.error()};
            memory.to_ram = *to_ram;
        }
    }
    return memory;
}

std::vector<std::string> describe(const MemoryRoot& memory) {
    std::vector<std::string> lines;
    if (memory.to_ram)
        lines.emplace_back(
            "holdfast.toram: the disk is attached read-only, copied to memory and detached; the root file "
            "system is in the copy");
    if (memory.overlay)
        lines.push_back(
            fmt::format("holdfast.overlay: the disk is attached read-only; changes of the root file system "
                        "stay in memory, in a tmpfs of size={}, until the machine shuts down",
                        *memory.overlay));
    return lines;
}

std::string fstab_for_overlay(std::string_view fstab) {
    std::string text;
    bool written = false;
    while (!fstab.empty()) {
        const std::string_view line = take_line(fstab);
        if (!is_root_entry(line)) {
            text.append(line).append("\n");
            continue;
        }
        text.append("# Replaced for holdfast.overlay: ").append(line).append("\n");
        if (!written) text += "overlay / overlay rw 0 0\n";
        written = true;
    }
    return text;
}

std::uint64_t available_memory(std::string_view meminfo) {
    while (!meminfo.empty()) {
        std::string_view line = take_line(meminfo);
        if (take_word(line) == "MemAvailable:")
            return number_of<std::uint64_t>(take_word(line)).value_or(0) * 1024;
    }
    return 0;
}

std::string reason_not_to_copy(std::uint64_t size, std::uint64_t available) {
    if (size == 0) return "holdfast.toram: the size of the export is unknown; boot without holdfast.toram";
    if (size <= available && available - size >= reserve) return {};
    return fmt::format(
        "holdfast.toram: not enough memory: the export has {}, and {} of memory are available, of which {} "
        "must remain for the system; add memory, export a smaller disk, or use holdfast.overlay=RAM",
        size_words(size), size_words(available), size_words(reserve));
}

std::string root_on_copy(std::string_view root, std::string_view from, std::string_view to) {
    const std::string disk = fmt::format("/dev/{}", from);
    if (root != disk && !root.starts_with(disk + "p")) return std::string{root};
    return fmt::format("/dev/{}{}", to, root.substr(disk.size()));
}

std::string progress_bar(std::uint64_t done, std::uint64_t size) {
    constexpr std::size_t width = 40;
    // In kilobytes: a hundred times the bytes might overflow.
    const std::uint64_t percent =
        done >= size ? 100 : done / 1024 * 100 / std::max<std::uint64_t>(size / 1024, 1);
    const std::size_t filled = width * percent / 100;
    return fmt::format("[{:<{}}] {:>3}% of {}", std::string(filled, '='), width, percent, size_words(size));
}

}  // namespace holdfast::client
