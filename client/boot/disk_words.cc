// The export has the forms of nbdroot=, and its options.

#include "client/boot/disk_words.hh"

#include <algorithm>

#include <fmt/core.h>

#include "client/address/export_address.hh"
#include "client/boot/boot_options.hh"
#include "client/boot/kernel_command_line.hh"

namespace holdfast::client {
namespace {

constexpr std::string_view key = "holdfast.disk";

std::expected<void, BootError> check_export(const std::string& text, const NbdDevice& device,
                                            const NamedExport& named) {
    if (named.all_from_dhcp)
        return wrong_word(text,
                          "DHCP names the export of the root disk only; write "
                          "holdfast.disk=nbd1=SERVER,PORT,NAME");
    if (named.device && *named.device != device)
        return wrong_word(text, fmt::format("{} and {} are two devices; remove the second",
                                            device_path(device), device_path(*named.device)));
    if (!named.fstype.empty() || !named.rootflags.empty())
        return wrong_word(text,
                          "the type and options of the root file system belong into nbdroot=, or into "
                          "rootfstype= and rootflags=; move them there");
    if (const auto options = read_boot_options(named.options); !options)
        return wrong_word(text, options.error());
    return {};
}

std::expected<DiskWord, BootError> read_disk_word(std::string_view value) {
    const std::string text = fmt::format("{}={}", key, value);
    const std::size_t equals = value.find('=');
    const auto device = parse_nbd_device(value.substr(0, equals));
    if (equals == std::string_view::npos || !device)
        return wrong_word(text, "no device and export; write holdfast.disk=nbd1=SERVER,PORT,NAME");
    if (device->partition != 0)
        return wrong_word(text, fmt::format("partitions come with their disk; write holdfast.disk=nbd{}=...",
                                            device->index));
    auto named = parse_named_export(value.substr(equals + 1));
    if (!named) return wrong_word(text, named.error());
    const bool may_fail = std::erase(named->options, "nofail") > 0;
    if (auto checked = check_export(text, *device, *named); !checked) return std::unexpected{checked.error()};
    return DiskWord{.word = {.text = text, .named = *std::move(named), .says_nothing = false},
                    .index = device->index,
                    .may_fail = may_fail};
}

}  // namespace

std::expected<std::vector<DiskWord>, BootError> read_disk_words(std::string_view command_line) {
    std::vector<DiskWord> words;
    for (const KernelWord& word : split_command_line(command_line)) {
        if (word.key != key) continue;
        auto read = read_disk_word(word.value);
        if (!read) return std::unexpected{read.error()};
        words.push_back(*std::move(read));
    }
    return words;
}

std::expected<void, BootError> check_without_root_disk(std::string_view command_line) {
    const auto words = split_command_line(command_line);
    const bool awaits_dhcp = std::ranges::any_of(words, [](const KernelWord& word) {
        return (word.key == "root" || word.key == "netroot") && word.value.starts_with("dhcp");
    });
    const auto disk = std::ranges::find(words, key, &KernelWord::key);
    if (awaits_dhcp || disk == words.end()) return {};
    return wrong_word(fmt::format("{}={}", key, disk->value),
                      "a further disk, but no word names the first one; name that one with nbdroot=");
}

}  // namespace holdfast::client
