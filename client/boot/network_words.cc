// Each word is checked completely, because a shell script makes the devices.

#include "client/boot/network_words.hh"

#include <algorithm>
#include <optional>

#include <fmt/core.h>

#include "client/boot/kernel_command_line.hh"
#include "common/text/number.hh"

namespace holdfast::client {
namespace {

constexpr std::string_view name_letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
constexpr std::string_view digits = "0123456789";
constexpr std::uint16_t last_vlan = 4094;
constexpr std::uint32_t largest_mtu = 65535;

using Outcome = std::expected<void, BootError>;

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (true) {
        const std::size_t end = text.find(separator);
        parts.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

bool is_device_name(std::string_view name) {
    constexpr std::size_t longest = 15;  // IFNAMSIZ without its NUL
    return !name.empty() && name.size() <= longest && name != "." && name != ".." && name.front() != '-' &&
           name.find_first_not_of(name_letters) == std::string_view::npos;
}

Outcome take_vlan(const std::string& text, std::string_view value, NetworkWords& words) {
    const auto parts = split(value, ':');
    if (parts.size() != 2 || !is_device_name(parts[0]) || !is_device_name(parts[1]))
        return wrong_word(text, "not a VLAN; write vlan=NAME:DEVICE, for example vlan=eth0.5:eth0");
    const std::size_t stem = parts[0].find_last_not_of(digits);
    const auto id = number_of<std::uint16_t>(std::string_view{parts[0]}.substr(stem + 1));
    if (stem == std::string::npos || !id || *id == 0 || *id > last_vlan)
        return wrong_word(text, fmt::format("no VLAN ID (1-{}) at the end of the name; write for example "
                                            "vlan=eth0.5:eth0 or vlan=vlan5:eth0",
                                            last_vlan));
    words.vlans.push_back({.name = parts[0], .lower = parts[1], .id = *id});
    return {};
}

std::optional<std::pair<std::string, std::string>> bond_option(std::string_view text) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string_view::npos) return {};
    const std::string_view key = text.substr(0, equals);
    const std::string_view value = text.substr(equals + 1);
    const auto has_only = [](std::string_view part, std::string_view more) {
        return std::ranges::all_of(part,
                                   [&](char c) { return name_letters.contains(c) || more.contains(c); });
    };
    if (!has_only(key, "") || key.contains('.') || !has_only(value, "+;") || value.empty()) return {};
    return std::pair{std::string{key}, std::string{value}};
}

// Parses NAME[:PORTS[:OPTIONS[:MTU]]]; nullopt if that is malformed.
std::optional<BondWord> bond_in(std::string_view value) {
    constexpr std::size_t most_parts = 4;
    auto parts = split(value, ':');
    if (parts.size() > most_parts) return {};
    parts.resize(most_parts);
    BondWord bond{.name = "bond0", .ports = {"eth0", "eth1"}, .options = {}};
    if (!parts[0].empty()) bond.name = parts[0];
    if (!parts[1].empty()) bond.ports = split(parts[1], ',');
    if (!is_device_name(bond.name) || !std::ranges::all_of(bond.ports, is_device_name)) return {};
    for (const std::string& part : parts[2].empty() ? std::vector<std::string>{} : split(parts[2], ',')) {
        auto option = bond_option(part);
        if (!option) return {};
        // The bonding driver accepts some options only in a mode, so the mode is set first.
        const auto place = option->first == "mode" ? bond.options.begin() : bond.options.end();
        bond.options.insert(place, *std::move(option));
    }
    const auto mtu = number_of<std::uint32_t>(parts[3].empty() ? "0" : parts[3]);
    bond.mtu = mtu.value_or(largest_mtu + 1);
    if (bond.mtu > largest_mtu) return {};
    return bond;
}

Outcome take_bond(const std::string& text, std::string_view value, NetworkWords& words) {
    auto bond = bond_in(value);
    if (!bond)
        return wrong_word(text,
                          "not a bond; write bond=NAME:PORT,PORT:OPTIONS, for example "
                          "bond=bond0:eth0,eth1:mode=active-backup,miimon=100");
    words.bonds.push_back(*std::move(bond));
    return {};
}

Outcome take_boot_interface(const std::string& text, std::string value, NetworkWords& words) {
    constexpr std::size_t ethernet = 6;
    for (char& c : value) {
        if (c == '-') c = ':';
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    }
    auto octets = split(value, ':');
    const bool sound = std::ranges::all_of(octets, [](const std::string& octet) {
        return octet.size() == 2 && octet.find_first_not_of("0123456789abcdef") == std::string::npos;
    });
    if (!sound || octets.size() < ethernet)
        return wrong_word(text, "not a hardware address; write BOOTIF=01-52-54-00-12-34-56");
    if (octets.size() == ethernet) words.hardware_address = value;
    if (octets.size() == ethernet + 1) words.hardware_address = value.substr(3);
    return {};  // longer: other hardware than Ethernet, and all cards are tried
}

// ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:DEVICE:...; an IPv6 address in brackets has colons of its own.
// klibc's ipconfig takes "all" like an empty device; the kernel permits no interface of this name.
std::string device_in(std::string_view ip) {
    if (ip.contains('[')) return {};
    const auto parts = split(ip, ':');
    return parts.size() > 5 && parts[5] != "all" && is_device_name(parts[5]) ? parts[5] : std::string{};
}

// Returns the made devices that carry no other one.
std::vector<std::string> top_devices(const NetworkWords& words) {
    std::vector<std::string> tops;
    std::vector<std::string> lower;
    for (const BondWord& bond : words.bonds) {
        tops.push_back(bond.name);
        lower.insert(lower.end(), bond.ports.begin(), bond.ports.end());
    }
    for (const VlanWord& vlan : words.vlans) {
        tops.push_back(vlan.name);
        lower.push_back(vlan.lower);
    }
    std::erase_if(tops,
                  [&](const std::string& name) { return std::ranges::find(lower, name) != lower.end(); });
    return tops;
}

Outcome choose_interface(std::string_view ip, NetworkWords& words) {
    words.interface = device_in(ip);
    // A protocol, in the field of the device.
    if (words.interface == "any")
        return wrong_word(fmt::format("ip={}", ip),
                          "\"any\" is no network device; leave the field empty to try every card, for "
                          "example ip=::::NAME::dhcp");
    if (!words.interface.empty()) return {};
    const auto tops = top_devices(words);
    if (tops.size() > 1)
        return wrong_word(
            fmt::format("ip={}", ip),
            fmt::format("names no interface, and there are {} and {}; name one: ip=:::::{}:dhcp", tops[0],
                        tops[1], tops[0]));
    if (!tops.empty()) words.interface = tops[0];
    return {};
}

}  // namespace

std::expected<NetworkWords, BootError> read_network_words(std::string_view command_line) {
    NetworkWords words;
    std::string ip;
    for (const KernelWord& word : split_command_line(command_line)) {
        const std::string text = word.key + "=" + word.value;
        Outcome taken;
        if (word.key == "vlan")
            for (const std::string& value : split(word.value, ' ')) {
                taken = take_vlan(text, value, words);
                if (!taken) break;
            }
        else if (word.key == "bond")
            taken = take_bond(text, word.value, words);
        else if (word.key == "BOOTIF" && !word.value.empty())
            taken = take_boot_interface(text, word.value, words);
        else if (word.key == "ip")
            ip = word.value;
        if (!taken) return std::unexpected{taken.error()};
    }
    if (const auto chosen = choose_interface(ip, words); !chosen) return std::unexpected{chosen.error()};
    if (!words.interface.empty()) words.hardware_address.clear();
    return words;
}

std::string leased_address_warning(std::string_view ip) {
    constexpr std::size_t addresses = 4;
    const auto parts = split(ip, ':');
    const bool written_by_loader =
        parts.size() == addresses && std::ranges::all_of(parts, [](const std::string& part) {
            return part.contains('.') && part.find_first_not_of("0123456789.") == std::string::npos;
        });
    if (!written_by_loader) return {};
    return fmt::format(
        "ip={}: as written by pxelinux (IPAPPEND 1), with an address from DHCP whose lease nothing renews; "
        "write IPAPPEND 2 and ip=dhcp",
        ip);
}

std::string network_steps(const NetworkWords& words, const std::vector<NetworkCard>& cards) {
    std::string steps;
    for (const BondWord& bond : words.bonds) {
        steps += fmt::format("bond {} {} ", bond.name, bond.mtu);
        for (const std::string& port : bond.ports) steps += (&port == &bond.ports.front() ? "" : ",") + port;
        for (const auto& [key, value] : bond.options) steps += fmt::format(" {}={}", key, value);
        steps += "\n";
    }
    for (const VlanWord& vlan : words.vlans)
        steps += fmt::format("vlan {} {} {}\n", vlan.name, vlan.lower, vlan.id);
    std::string card = words.interface;
    if (!words.hardware_address.empty()) {
        const auto found = std::ranges::find(cards, words.hardware_address, &NetworkCard::hardware_address);
        card = found == cards.end() ? "-" : found->name;
    }
    if (!card.empty()) steps += fmt::format("card {}\n", card);
    return steps;
}

}  // namespace holdfast::client
