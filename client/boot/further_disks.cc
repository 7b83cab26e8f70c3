// Collects the disks of the words and of the table, then checks all of them against the root disk and against
// each other: an export that is attached twice would fence itself.

#include "client/boot/further_disks.hh"

#include <algorithm>
#include <cstdint>
#include <optional>

#include <fmt/core.h>

#include "client/address/uri.hh"
#include "client/boot/boot_options.hh"
#include "client/boot/dhcp_words.hh"
#include "client/boot/same_server.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

using Disks = std::vector<FurtherDisk>;

void take_options(const DiskWord& word, const NamedExport& named, bool first, FurtherDisk& disk,
                  std::vector<std::string>& warnings) {
    const auto read = read_boot_options(named.options);
    if (!read) return;  // checked when the word was parsed
    warnings.insert(warnings.end(), read->warnings.begin(), read->warnings.end());
    if (first) {
        disk.options = read->choices;
        disk.may_fail = word.may_fail;
    } else if ((!named.options.empty() && read->choices != disk.options) ||
               (word.may_fail && !disk.may_fail)) {
        warnings.push_back(fmt::format(
            "nbd{}: the options of its first holdfast.disk= apply to all servers; move the options there",
            disk.index));
    }
}

std::expected<Disks, BootError> disks_of_words(const BootRequest& request,
                                               const std::vector<NetworkAnswer>& answers,
                                               std::vector<std::string>& warnings) {
    Disks disks;
    for (const DiskWord& word : request.disks) {
        const auto named = completed_by_dhcp(word.word, answers);
        if (!named) return std::unexpected{named.error()};
        auto disk = std::ranges::find(disks, word.index, &FurtherDisk::index);
        const bool first = disk == disks.end();
        if (first) {
            FurtherDisk made;
            made.source = fmt::format("holdfast.disk=nbd{}", word.index);
            made.index = word.index;
            disk = disks.insert(disks.end(), std::move(made));
        }
        take_options(word, *named, first, *disk, warnings);
        if (std::ranges::none_of(disk->servers,
                                 [&](const ServerAddress& own) { return is_same(own, named->address); }))
            disk->servers.push_back(named->address);
        if (disk->servers.size() > most_servers)
            return wrong_word(word.word.text, fmt::format("more than {} servers; remove some", most_servers));
    }
    return disks;
}

std::string error_of_line(const DeviceTable& table, const DeviceLine& line) {
    const auto error = std::ranges::find_if(
        table.errors, [&](const Remark& remark) { return remark.position.line == line.line; });
    if (error == table.errors.end()) return "invalid line";
    const std::string prefix = fmt::format("nbd{}: ", line.index);
    const std::string text = printable(error->text);
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

// Adds the lines for other devices.
void add_lines(const DeviceTable& table, const RootDisk& root, bool to_ram, Disks& disks,
               std::vector<std::string>& warnings) {
    for (const DeviceLine& line : table.devices) {
        if (!line.in_initramfs) continue;
        const std::string source = fmt::format("{}:{}", printable(table.file), line.line);
        if (to_ram) {
            warnings.push_back(fmt::format(
                "{}: nbd{}: ignored: holdfast.toram copies one disk only; remove it, or the option initramfs",
                source, line.index));
            continue;
        }
        if (line.index == root.index) {
            warnings.push_back(
                fmt::format("{}: ignored: nbd{} is the root disk, which the kernel command line describes; "
                            "remove the line, or its option initramfs",
                            source, line.index));
            continue;
        }
        if (std::ranges::find(disks, line.index, &FurtherDisk::index) != disks.end()) continue;
        FurtherDisk disk;
        disk.source = source;
        disk.index = line.index;
        disk.servers = line.servers;
        disk.options = line.choices;
        disk.may_fail = line.may_fail;
        if (line.refused) disk.problem = error_of_line(table, line);
        disks.push_back(std::move(disk));
    }
}

// Returns the remarks on lines with the option initramfs, except the errors that are problems of disks.
void add_remarks(const DeviceTable& table, std::vector<std::string>& warnings) {
    const auto add = [&](const std::vector<Remark>& remarks, bool errors) {
        for (const Remark& remark : remarks) {
            const unsigned line = remark.position.line;
            const bool concerns =
                std::ranges::find(table.lines_of_initramfs, line) != table.lines_of_initramfs.end();
            const bool is_problem =
                errors && std::ranges::find(table.devices, line, &DeviceLine::line) != table.devices.end();
            if (concerns && !is_problem) warnings.push_back(printable(to_string(remark)));
        }
    };
    add(table.errors, true);
    add(table.warnings, false);
}

// Returns why the disk is no disk of its own; empty if it is.
std::string clash(const FurtherDisk& disk, const RootDisk& root, const Disks& disks) {
    if (disk.index == root.index)
        return fmt::format("nbd{} is the root disk; write another device", disk.index);
    const auto is_its = [&](const ServerAddress& server) {
        return std::ranges::any_of(disk.servers,
                                   [&](const ServerAddress& own) { return is_same(own, server); });
    };
    constexpr const char* text = "{} is attached as nbd{} already; name another export, or remove this one";
    if (const auto same = std::ranges::find_if(root.servers, is_its); same != root.servers.end())
        return fmt::format(text, printable(to_uri(*same)), root.index);
    for (const FurtherDisk& other : disks) {
        if (&other == &disk) break;
        if (const auto same = std::ranges::find_if(other.servers, is_its); same != other.servers.end())
            return fmt::format(text, printable(to_uri(*same)), other.index);
    }
    return {};
}

// A disk of an overlay is read-only, like the root disk.
std::string keep_from_writing(const MemoryRoot& memory, FurtherDisk& disk) {
    if (memory.to_ram) return "holdfast.toram copies one disk only; remove it, or the further disk";
    if (!memory.needs_read_only()) return {};
    if (disk.options.read_only == false)
        return "the option rw contradicts holdfast.overlay=, which attaches the disks read-only; remove one "
               "of them";
    disk.options.read_only = true;
    return {};
}

void complete_options(const Config& config, const RootDisk& root, FurtherDisk& disk) {
    disk.options = merged(disk.options, config.choices_for(disk.index));
    disk.patience = std::max(root.patience, disk.options.wait.value_or(root.patience));
}

// Returns the device of the root disk, unless the configuration file or DHCP may name another one.
std::optional<std::uint32_t> device_without_dhcp(const BootRequest& request) {
    if (const auto root = parse_nbd_device(request.root)) return root->index;
    if (request.nbddev) return request.nbddev->index;
    for (const BootWord& word : request.servers) {
        if (word.named.all_from_dhcp) return std::nullopt;
        if (word.named.device) return word.named.device->index;
    }
    return 0;
}

}  // namespace

std::expected<Disks, BootError> plan_further_disks(const BootRequest& request,
                                                   const std::vector<NetworkAnswer>& answers,
                                                   const Config& config, const DeviceTable& table,
                                                   const RootDisk& root, std::vector<std::string>& warnings) {
    auto disks = disks_of_words(request, answers, warnings);
    if (!disks) return disks;
    const std::size_t words = disks->size();
    add_remarks(table, warnings);
    add_lines(table, root, request.memory.to_ram, *disks, warnings);
    for (std::size_t i = 0; i < disks->size(); ++i) {
        FurtherDisk& disk = (*disks)[i];
        std::string problem = clash(disk, root, *disks);
        if (problem.empty()) problem = keep_from_writing(request.memory, disk);
        if (!problem.empty() && i < words) return wrong_word(disk.source, problem);
        if (disk.problem.empty()) disk.problem = std::move(problem);
        if (!disk.problem.empty()) disk.servers.clear();
        complete_options(config, root, disk);
    }
    return disks;
}

std::expected<void, BootError> check_disk_words(const BootRequest& request) {
    const auto from_dhcp = [](const BootWord& word) {
        return word.named.all_from_dhcp || word.named.server_from_dhcp;
    };
    BootRequest known = request;
    std::erase_if(known.disks, [&](const DiskWord& disk) { return from_dhcp(disk.word); });
    std::vector<ServerAddress> servers;
    for (const BootWord& word : request.servers)
        if (!from_dhcp(word)) servers.push_back(word.named.address);
    std::vector<std::string> warnings;  // the plan has them
    const auto index = device_without_dhcp(request);
    const auto planned = plan_further_disks(known, {}, {}, {},
                                            {index.value_or(UINT32_MAX), servers, least_patience}, warnings);
    if (!planned) return std::unexpected{planned.error()};
    return {};
}

std::string describe(const FurtherDisk& disk) {
    if (!disk.problem.empty())
        return fmt::format("{}: nbd{}: not attached: {}", disk.source, disk.index, disk.problem);
    std::string servers;
    for (const ServerAddress& server : disk.servers)
        servers += (servers.empty() ? "" : ", then ") + printable(to_uri(server));
    return fmt::format("{} as /dev/nbd{}, a further disk of the root file system ({}), for up to {} s{}",
                       servers, disk.index, disk.source, disk.patience.count(),
                       disk.may_fail ? ", which may fail" : "");
}

}  // namespace holdfast::client
