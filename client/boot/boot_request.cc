// Collects the words of the command line, then parses each.

#include "client/boot/boot_request.hh"

#include <algorithm>

#include <fmt/core.h>

#include "client/address/export_address.hh"
#include "client/boot/boot_options.hh"
#include "client/boot/disk_words.hh"
#include "client/boot/further_disks.hh"
#include "client/boot/kernel_command_line.hh"
#include "client/boot/network_words.hh"
#include "client/boot/root_word.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

using std::chrono::seconds;

constexpr seconds most_patience{365 * 86400};

// Last occurrence of each word, as in the kernel and the initramfs; all occurrences of nbdroot=.
struct BootWords {
    std::vector<std::string> nbdroot;
    std::optional<std::string> netroot, nbddev, root, rootdelay, ip, max_part;
};

// Words of which the last occurrence counts.
struct LastWord {
    std::string_view key;
    std::optional<std::string> BootWords::*value;
};
constexpr LastWord last_words[] = {{"nbddev", &BootWords::nbddev},
                                   {"root", &BootWords::root},
                                   {"rootdelay", &BootWords::rootdelay},
                                   {"ip", &BootWords::ip},
                                   {"nbd.max_part", &BootWords::max_part}};

BootWords collect_words(std::string_view command_line) {
    BootWords words;
    for (KernelWord& word : split_command_line(command_line)) {
        if (word.key == "nbdroot")
            words.nbdroot.push_back(std::move(word.value));
        else if (word.key == "netroot" && word.value.starts_with("nbd:"))
            words.netroot = std::move(word.value);
        else if (const auto* const last = std::ranges::find(last_words, word.key, &LastWord::key);
                 last != std::end(last_words))
            words.*last->value = std::move(word.value);
    }
    return words;
}

bool asks_for_nbd(const BootWords& words, const BootVariables& variables) {
    return !words.nbdroot.empty() || words.netroot || words.nbddev || !variables.nbdroot.empty() ||
           (words.root && (words.root->starts_with("/dev/nbd") || words.root->starts_with("nbd:")));
}

// Returns the words that name servers, with their keys. No word counts as an empty word, whose key tells a
// mistyped nbdroot= in messages.
std::vector<std::pair<std::string, std::string>> server_words(const BootWords& words,
                                                              const BootVariables& variables) {
    std::vector<std::pair<std::string, std::string>> found;
    if (!variables.nbdroot.empty()) {
        found.emplace_back("NBDROOT", variables.nbdroot);
        return found;
    }
    for (const std::string& value : words.nbdroot) found.emplace_back("nbdroot", value);
    if (words.netroot) found.emplace_back("netroot", *words.netroot);
    if (words.root && words.root->starts_with("nbd:")) found.emplace_back("root", *words.root);
    if (found.empty()) found.emplace_back("no nbdroot", "");
    return found;
}

std::expected<BootWord, BootError> read_server_word(std::string_view key, std::string_view value) {
    const std::string text = fmt::format("{}={}", key, value);
    auto named = parse_named_export(value);
    if (!named) return wrong_word(text, named.error());
    if (const auto options = read_boot_options(named->options); !options)
        return wrong_word(text, options.error());
    return BootWord{.text = text, .named = *std::move(named), .says_nothing = value.empty()};
}

// Ignores an invalid rootdelay=, as the initramfs does: a bad value must not stop the boot.
std::optional<seconds> read_patience(const std::optional<std::string>& rootdelay,
                                     std::vector<std::string>& warnings) {
    if (!rootdelay || rootdelay->empty()) return {};
    const bool digits_and_dots = rootdelay->find_first_not_of("0123456789.") == std::string::npos;
    const std::string_view whole = std::string_view{*rootdelay}.substr(0, rootdelay->find('.'));
    if (!digits_and_dots || whole.empty()) {
        warnings.push_back(
            fmt::format("rootdelay={}: not a number of seconds; ignored", printable(*rootdelay)));
        return {};
    }
    const auto value = number_of<std::uint32_t>(whole);
    return std::clamp(value ? seconds{*value} : most_patience, least_patience, most_patience);
}

std::expected<void, BootError> take_root(const BootWords& words, const BootVariables& variables,
                                         BootRequest& request) {
    request.root = words.root ? *words.root : variables.root;
    const std::string max_part =
        variables.max_part.empty() ? words.max_part.value_or("") : variables.max_part;
    request.no_partitions = max_part == "0";
    if (auto checked = check_root(request.root); !checked) return checked;
    const auto device = parse_nbd_device(request.root);
    return device ? check_partition(*device, request.no_partitions) : std::expected<void, BootError>{};
}

std::expected<std::optional<BootRequest>, BootError> no_request(std::string_view command_line) {
    if (auto checked = check_without_root_disk(command_line); !checked)
        return std::unexpected{checked.error()};
    return std::optional<BootRequest>{};
}

// A comma may be part of an export's name.
void warn_of_uri_options(const BootWord& word, std::string_view form, std::vector<std::string>& warnings) {
    if (word.text.find("://") == std::string::npos) return;
    const std::string_view name = word.named.address.export_name;
    const std::size_t comma = name.rfind(',');
    if (comma == std::string_view::npos) return;
    const std::string_view last = name.substr(comma + 1);
    if (last == "nofail" || parse_nbd_device(last) ||
        (!last.empty() && read_boot_options({std::string(last)})))
        warnings.push_back(
            fmt::format("{}: '{}' is part of the export's name, because a URI takes no options; "
                        "write {} if it is an option",
                        printable(word.text), printable(last), form));
}

// Finds contradictions that do not depend on DHCP, so that `boot --check` reports them.
std::expected<void, BootError> check_own_words(const BootRequest& request) {
    const BootWord& first = request.servers.front();
    const auto options = read_boot_options(first.named.options);
    if (options && !first.named.all_from_dhcp)
        if (auto checked = check_access(request.memory, first.text, options->choices); !checked)
            return checked;
    return check_disk_words(request);
}

// Reads holdfast.overlay=, holdfast.toram and holdfast.disk=, after all other words.
std::expected<void, BootError> take_own_words(std::string_view command_line, BootRequest& request) {
    auto memory = read_memory_root(command_line);
    if (!memory) return std::unexpected{memory.error()};
    request.memory = *std::move(memory);
    auto disks = read_disk_words(command_line);
    if (!disks) return std::unexpected{disks.error()};
    request.disks = *std::move(disks);
    for (const DiskWord& disk : request.disks)
        warn_of_uri_options(disk.word, "holdfast.disk=nbd1=SERVER,PORT,NAME,OPTION", request.warnings);
    return check_own_words(request);
}

// Hibernation needs a disk that the kernel reaches before the root file system is in use.
void ignore_resume(const std::string& disk, BootRequest& request) {
    if (disk.empty()) return;
    request.ignores_resume = true;
    request.warnings.push_back(
        fmt::format("resume={}: ignored: a machine with its root disk on the network cannot resume from "
                    "hibernation; to remove the word, set RESUME=none in /etc/initramfs-tools/conf.d/resume",
                    printable(disk)));
}

}  // namespace

std::unexpected<BootError> wrong_word(std::string_view word, std::string_view message) {
    return std::unexpected{
        BootError{.word = std::string{word}, .message = fmt::format("{}: {}", printable(word), message)}};
}

std::expected<void, BootError> check_access(const MemoryRoot& memory, std::string_view word,
                                            const Choices& options) {
    if (!memory.needs_read_only() || options.read_only != false) return {};
    return wrong_word(
        word,
        fmt::format("the option rw contradicts {}, which attaches the disk read-only; remove one of them",
                    memory.overlay ? "holdfast.overlay=" : "holdfast.toram"));
}

std::expected<std::optional<BootRequest>, BootError> read_boot_request(std::string_view command_line,
                                                                       const BootVariables& variables) {
    const BootWords words = collect_words(command_line);
    if (!asks_for_nbd(words, variables)) return no_request(command_line);

    BootRequest request;
    for (const auto& [key, value] : server_words(words, variables)) {
        auto word = read_server_word(key, value);
        if (!word) return std::unexpected{word.error()};
        if (request.servers.size() == most_servers)
            return wrong_word(word->text, fmt::format("more than {} servers; remove some", most_servers));
        warn_of_uri_options(*word, "nbdroot=SERVER,PORT,NAME,nbd0,OPTION", request.warnings);
        request.servers.push_back(*std::move(word));
    }
    if (words.nbddev && !words.nbddev->empty()) {
        request.nbddev = parse_nbd_device(*words.nbddev);
        if (!request.nbddev)
            return wrong_word("nbddev=" + *words.nbddev, "not an NBD device; write nbddev=nbd0");
    }
    if (const auto taken = take_root(words, variables, request); !taken)
        return std::unexpected{taken.error()};
    request.ip = words.ip.value_or("");
    if (auto warning = leased_address_warning(request.ip); !warning.empty())
        request.warnings.push_back(std::move(warning));
    request.patience = read_patience(words.rootdelay, request.warnings);
    if (auto taken = take_own_words(command_line, request); !taken) return std::unexpected{taken.error()};
    ignore_resume(variables.resume, request);
    return request;
}

}  // namespace holdfast::client
