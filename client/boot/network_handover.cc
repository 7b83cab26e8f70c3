// Finds the interface through the kernel: a datagram socket connected to the server gets the source address
// of packets to that server, and no packet is sent.

#include "client/boot/network_handover.hh"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>

#include "client/control/device_record.hh"
#include "client/control/record_file.hh"
#include "client/control/run_directory.hh"
#include "client/kernel/sysfs.hh"
#include "common/linux/fd.hh"
#include "common/linux/folder.hh"
#include "common/linux/text_file.hh"

namespace holdfast::client {
namespace {

constexpr std::size_t largest_file = 1U << 20;

std::string text_of(const std::string& path) { return read_text_file(path, largest_file).value_or(""); }

std::string address_text(const sockaddr* address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* bytes = nullptr;
    if (address->sa_family == AF_INET) bytes = &reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
    if (address->sa_family == AF_INET6) bytes = &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    if (bytes == nullptr || ::inet_ntop(address->sa_family, bytes, text.data(), text.size()) == nullptr)
        return {};
    return text.data();
}

// Returns the source address of packets to `endpoint`; empty if there is no route.
std::string source_towards(const Endpoint& endpoint) {
    const int family = endpoint.address.ss_family;
    if (family != AF_INET && family != AF_INET6) return {};
    const Fd socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    if (!socket ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.length) != 0 ||
        ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &length) != 0)
        return {};
    return address_text(reinterpret_cast<const sockaddr*>(&own));
}

std::string interface_with(const std::string& address) {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return {};
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next)
        if (entry->ifa_addr != nullptr && address_text(entry->ifa_addr) == address) return entry->ifa_name;
    return {};
}

// Adds the interface, then its lower interfaces.
void add_with_lower(const std::string& folder, const std::string& name,
                    std::vector<std::string>& interfaces) {
    constexpr std::string_view prefix = "lower_";
    if (std::ranges::find(interfaces, name) != interfaces.end()) return;
    interfaces.push_back(name);
    for (const std::string& entry : names_in(fmt::format("{}/{}", folder, name)))
        if (entry.starts_with(prefix)) add_with_lower(folder, entry.substr(prefix.size()), interfaces);
}

std::optional<RootNetwork> network_of(const HandoverFolders& folders, std::uint32_t index) {
    const auto text = read_state_file(index);
    if (!text) return std::nullopt;
    const auto known = read_known_device(*text);
    if (!known || !known->record.carries_root) return std::nullopt;
    return network_towards(folders, *known);
}

// Writes the file, creating its parent folders. Returns an empty string, or the error.
std::string write_run_file(const HandoverFolders& folders, const RunFile& file) {
    constexpr std::string_view run = "/run";
    const std::string path = folders.run + file.path.substr(run.size());
    for (std::size_t at = path.find('/', folders.run.size() + 1); at != std::string::npos;
         at = path.find('/', at + 1))
        if (::mkdir(path.substr(0, at).c_str(), 0755) != 0 && errno != EEXIST)
            return fmt::format("{}: {}", path.substr(0, at), SysError{errno, "mkdir"}.message());
    // Skips text already appended by an earlier run of the command.
    if (file.append && text_of(path).find(file.text) != std::string::npos) return {};
    const Fd out(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (file.append ? O_APPEND : O_TRUNC), 0644));
    if (!out) return fmt::format("{}: {}", path, SysError{errno, "open"}.message());
    if (::write(out.get(), file.text.data(), file.text.size()) != static_cast<ssize_t>(file.text.size()))
        return fmt::format("{}: {}", path, SysError{errno, "write"}.message());
    return {};
}

using FindPlace = std::optional<std::string>(std::string_view, std::string_view,
                                             const std::vector<std::string>&);

// Returns the first match in the files, with the path as seen by the running system.
std::optional<std::string> first_place(const std::string& root, const std::vector<std::string>& paths,
                                       FindPlace* find, const std::vector<std::string>& interfaces) {
    for (const std::string& path : paths)
        if (auto place = find(path, text_of(root + path), interfaces)) return place;
    return std::nullopt;
}

std::vector<std::string> files_in(const std::string& root, const std::string& folder,
                                  std::string_view suffix) {
    std::vector<std::string> paths;
    for (const std::string& name : names_in(root + folder))
        if (name.ends_with(suffix)) paths.push_back(fmt::format("{}/{}", folder, name));
    return paths;
}

std::vector<std::string> files_of_ifupdown(const std::string& root) {
    std::vector<std::string> paths = files_in(root, "/etc/network/interfaces.d", "");
    paths.insert(paths.begin(), "/etc/network/interfaces");
    return paths;
}

Ifupdown ifupdown_of(const std::string& root, const std::vector<std::string>& interfaces) {
    std::string text;
    for (const std::string& path : files_of_ifupdown(root)) text += text_of(root + path) + "\n";
    return {excluded_interfaces(text_of(root + "/etc/default/networking")),
            ::access((root + "/usr/share/ifupdown-ng").c_str(), F_OK) == 0,
            interfaces_above(text, interfaces)};
}

std::optional<std::string> administrators_place(NetworkOwner owner, const std::string& root,
                                                const std::vector<std::string>& interfaces) {
    switch (owner) {
        case NetworkOwner::ifupdown:
            return first_place(root, files_of_ifupdown(root), place_in_interfaces, interfaces);
        case NetworkOwner::networkd:
            return first_place(root, files_in(root, "/etc/systemd/network", ".network"),
                               place_in_network_file, interfaces);
        case NetworkOwner::network_manager:
            return first_place(root, files_in(root, "/etc/NetworkManager/system-connections", ""),
                               place_in_keyfile, interfaces);
    }
    return std::nullopt;
}

// True for an administrator's file that systemd-networkd reads before Holdfast's.
bool comes_before_ours(NetworkOwner owner, const std::string& place) {
    if (owner != NetworkOwner::networkd) return false;
    const std::string_view file = std::string_view(place).substr(place.rfind('/') + 1);
    return file.substr(0, file.rfind(':')) < network_file_name;
}

std::string path_of_report(std::uint32_t device) {
    return fmt::format("{}/nbd{}.network", run_directory, device);
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

// DHCPv6 has a file of its own: a renewal of the IPv4 lease replaces facts of the other file only.
std::string facts_path(const NetworkAnswer& answer) {
    const bool is_ipv6 = answer.address.find(':') != std::string::npos;
    return fmt::format("{}/facts/{}.{}", run_directory, answer.interface, is_ipv6 ? "boot6" : "boot");
}

// Several answers may be for one file.
NetworkFacts facts_for(const std::string& path, const std::vector<NetworkAnswer>& answers,
                       const NetworkChoices& choices) {
    NetworkFacts facts;
    for (const NetworkAnswer& answer : answers)
        if (facts_path(answer) == path) add_facts(facts, facts_of(answer, choices.host_name));
    return facts;
}

// Keeps a manager from the interfaces, or warns of its effect on them.
void keep_from(NetworkOwner owner, const HandoverFolders& folders, const std::vector<std::string>& interfaces,
               const std::vector<RunFile>& files, bool wanted, Handover& handover) {
    if (files.empty()) return;
    const std::string names = joined(interfaces);
    const auto place = administrators_place(owner, folders.root, interfaces);
    const auto warn = [&](const std::string& text) { handover.warnings.push_back(text); };
    if (!wanted) {
        if (place)
            warn(
                fmt::format("{} configures {}, which the root disk uses, and client.conf leaves it to {}; "
                            "the root disk may become unreachable",
                            *place, names, word_of(owner)));
        return;
    }
    std::string failure;
    for (const RunFile& file : files)
        if (failure.empty()) failure = write_run_file(folders, file);
    if (!failure.empty())
        return warn(fmt::format("{} will not leave {} alone: {}", word_of(owner), names, failure));
    handover.kept_from.emplace_back(word_of(owner));
    if (place && comes_before_ours(owner, *place))
        warn(
            fmt::format("{} configures {}, which the root disk uses, and is read before {}; rename it, or "
                        "the root disk may become unreachable",
                        *place, names, network_file_name));
    else if (place)
        warn(fmt::format(
            "{} configures {}, which the root disk uses; the interface stays as the initramfs configured it",
            *place, names));
}

}  // namespace

Init init_of(const std::string& root, const std::string& path) {
    std::array<char, 256> target{};
    const ssize_t length = ::readlink((root + path).c_str(), target.data(), target.size());
    const std::string_view name =
        length > 0 ? std::string_view(target.data(), static_cast<std::size_t>(length)) : path;
    return name.substr(name.rfind('/') + 1) == "systemd" ? Init::systemd : Init::other;
}

std::vector<RootNetwork> root_networks(const HandoverFolders& folders) {
    std::vector<RootNetwork> networks;
    for (const std::uint32_t index : nbd_devices())
        if (auto network = network_of(folders, index)) networks.push_back(std::move(*network));
    return networks;
}

Way way_to(const Endpoint& endpoint) {
    Way way;
    way.address = source_towards(endpoint);
    if (!way.address.empty()) way.interface = interface_with(way.address);
    return way;
}

RootNetwork network_towards(const HandoverFolders& folders, const KnownDevice& known,
                            const std::function<Way(const Endpoint&)>& find_way) {
    const std::vector<Target>& targets = known.record.targets;
    RootNetwork network;
    network.device = known.record.index;
    const auto add = [&](const Way& way) {
        if (!way.interface.empty() && way.interface != "lo")
            add_with_lower(folders.interfaces, way.interface, network.interfaces);
    };
    const Endpoint& server = targets[std::min<std::size_t>(known.live.target, targets.size() - 1)].endpoint;
    const Way in_use = find_way(server);
    network.address = in_use.address;
    network.lost = in_use.address.empty() && server.address.ss_family != AF_UNIX;
    add(in_use);
    for (const Target& target : targets) add(find_way(target.endpoint));
    return network;
}

Handover hand_over(const HandoverFolders& folders, const std::vector<RootNetwork>& networks,
                   const NetworkChoices& choices) {
    Handover handover;
    std::vector<std::string> interfaces;
    for (const RootNetwork& network : networks)
        for (const std::string& name : network.interfaces)
            if (std::ranges::find(interfaces, name) == interfaces.end()) interfaces.push_back(name);
    if (interfaces.empty()) return handover;
    const Ifupdown ifupdown = ifupdown_of(folders.root, interfaces);
    for (const NetworkOwner owner :
         {NetworkOwner::ifupdown, NetworkOwner::networkd, NetworkOwner::network_manager})
        keep_from(owner, folders, interfaces, files_against(owner, folders.init, interfaces, ifupdown),
                  choices.keeps_from(owner), handover);
    for (const RootNetwork& network : networks) {
        if (network.interfaces.empty()) continue;
        std::string report = fmt::format("{} ({})", joined(network.interfaces), network.address);
        for (std::size_t i = 0; i < handover.kept_from.size(); ++i)
            report += (i == 0 ? ", kept from " : ", ") + handover.kept_from[i];
        const std::string failure = write_run_file(folders, {path_of_report(network.device), report + "\n"});
        if (!failure.empty()) handover.warnings.push_back(failure);
    }
    return handover;
}

std::vector<std::string> hand_over_facts(const HandoverFolders& folders,
                                         const std::vector<RootNetwork>& networks,
                                         const std::vector<NetworkAnswer>& answers,
                                         const NetworkChoices& choices) {
    std::vector<std::string> failures;
    std::vector<std::string> done;
    for (const NetworkAnswer& answer : answers) {
        const bool carries_root = std::ranges::any_of(networks, [&](const RootNetwork& network) {
            return std::ranges::find(network.interfaces, answer.interface) != network.interfaces.end();
        });
        std::string path = facts_path(answer);
        if (!carries_root || std::ranges::find(done, path) != done.end()) continue;
        const FactsText lines = lines_of(facts_for(path, answers, choices));
        done.push_back(path);
        if (lines.empty()) continue;
        std::string failure = write_run_file(folders, {std::move(path), std::string(lines.view())});
        if (!failure.empty()) failures.push_back(std::move(failure));
    }
    return failures;
}

std::string describe_handover(std::uint32_t device) {
    std::string text = text_of(path_of_report(device));
    return text.substr(0, text.find('\n'));
}

}  // namespace holdfast::client
