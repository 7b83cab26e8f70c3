// Converts sections to devices and keys to choices. Unlike nbd-server's file, which the server reads, this
// file needs no backward compatibility: a duplicate is an error.

#include "client/config/config.hh"

#include <fmt/core.h>

#include <algorithm>

#include "client/address/export_address.hh"
#include "client/address/nbd_device.hh"
#include "client/address/uri.hh"
#include "client/config/option_table.hh"
#include "common/text/ini.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

const DeviceSection* section_of(const std::vector<DeviceSection>& devices, std::uint32_t index) {
    const auto found = std::ranges::find(devices, index, &DeviceSection::index);
    return found == devices.end() ? nullptr : &*found;
}

// Returns the keys that are choices: "timeout, ... and read-only".
std::string names_of_keys() {
    std::string names = names_of_choices(in_config, "");
    return names.replace(names.rfind(", "), 2, " and ");
}

class Reader {
public:
    Config config;
    std::vector<Remark> errors;

    void take(const IniSection& section) {
        const auto earlier = std::ranges::find(sections_, section.name, &Seen::name);
        if (earlier != sections_.end())
            return wrong(section.position,
                         fmt::format("[{}]: duplicate section, first at line {}; merge them",
                                     printable(section.name), earlier->line));
        sections_.push_back({section.name, section.position.line});
        if (section.name == "defaults") return take_defaults(section);
        if (section.name == "network") return take_network(section);
        const auto device = parse_nbd_device(section.name);
        if (!device) {
            wrong(section.position,
                  fmt::format(
                      "[{}]: unknown section; write [defaults], [network], or a device: [nbd0], [nbd1], ...",
                      printable(section.name)));
        } else if (device->partition != 0 || section.name != fmt::format("nbd{}", device->index)) {
            wrong(section.position, fmt::format("[{}]: unknown section; write the device as [nbd{}]",
                                                printable(section.name), device->index));
        } else {
            take_device(section, device->index);
        }
    }

private:
    struct Seen {
        std::string_view name;
        unsigned line;
    };

    void wrong(const FilePosition& position, std::string text) {
        errors.push_back({position, std::move(text)});
    }

    void take_defaults(const IniSection& section) {
        std::vector<Seen> keys;
        for (const IniEntry& entry : section.entries) {
            if (entry.key == "server")
                wrong(entry.position, "server: valid for a device only; move it to a section such as [nbd0]");
            else
                take_choice(entry, keys, config.defaults);
        }
    }

    void take_network(const IniSection& section) {
        std::vector<Seen> keys;
        for (const IniEntry& entry : section.entries) {
            if (!is_new(entry, keys)) continue;
            if (entry.key == "hostname") {
                take_host_name(entry);
                continue;
            }
            bool* choice = entry.key == "ifupdown"         ? &config.network.ifupdown
                           : entry.key == "networkd"       ? &config.network.networkd
                           : entry.key == "networkmanager" ? &config.network.network_manager
                                                           : nullptr;
            if (choice == nullptr)
                wrong(entry.position,
                      fmt::format("{}: unknown key; the keys are ifupdown, networkd, networkmanager and "
                                  "hostname",
                                  printable(entry.key)));
            else if (entry.value != "keep" && entry.value != "leave")
                wrong(entry.position,
                      fmt::format("{}: takes keep or leave, not {}", entry.key, printable(entry.value)));
            else
                *choice = entry.value == "keep";
        }
    }

    void take_host_name(const IniEntry& entry) {
        if (entry.value != "dhcp" && entry.value != "leave")
            wrong(entry.position,
                  fmt::format("hostname: invalid value {}; write dhcp or leave", printable(entry.value)));
        else
            config.network.host_name = entry.value == "dhcp";
    }

    void take_device(const IniSection& section, std::uint32_t index) {
        DeviceSection device;
        device.index = index;
        std::vector<Seen> keys;
        for (const IniEntry& entry : section.entries) {
            if (entry.key == "server")
                take_server(entry, device);
            else
                take_choice(entry, keys, device.choices);
        }
        config.devices.push_back(std::move(device));
    }

    void take_server(const IniEntry& entry, DeviceSection& device) {
        auto server = parse_server_address(entry.value);
        if (!server) return wrong(entry.position, "server: " + server.error());
        if (std::ranges::find(device.servers, *server) != device.servers.end())
            return wrong(entry.position,
                         fmt::format("server: {} is named twice; remove one", to_uri(*server)));
        if (device.servers.size() == most_servers)
            return wrong(entry.position, fmt::format("server: more than {}; remove some", most_servers));
        device.servers.push_back(*std::move(server));
    }

    bool is_new(const IniEntry& entry, std::vector<Seen>& keys) {
        if (const auto earlier = std::ranges::find(keys, entry.key, &Seen::name); earlier != keys.end()) {
            wrong(entry.position, fmt::format("{}: duplicate key, first at line {}; remove one",
                                              printable(entry.key), earlier->line));
            return false;
        }
        keys.push_back({entry.key, entry.position.line});
        return true;
    }

    void take_choice(const IniEntry& entry, std::vector<Seen>& keys, Choices& choices) {
        const std::string key = printable(entry.key);
        if (!is_new(entry, keys)) return;
        const auto chosen = choose(choices, entry.key, entry.value);
        if (!chosen) return wrong(entry.position, fmt::format("{}: {}", key, chosen.error()));
        if (!*chosen)
            wrong(entry.position,
                  fmt::format("{}: unknown key; the keys are server, {}", key, names_of_keys()));
    }

    std::vector<Seen> sections_;
};

}  // namespace

Choices Config::choices_for(std::optional<std::uint32_t> index) const {
    const DeviceSection* section = index ? section_of(devices, *index) : nullptr;
    return section == nullptr ? defaults : merged(section->choices, defaults);
}

std::vector<ServerAddress> Config::servers_of(std::uint32_t index) const {
    const DeviceSection* section = section_of(devices, index);
    return section == nullptr ? std::vector<ServerAddress>{} : section->servers;
}

std::expected<Config, std::vector<std::string>> read_config(std::string_view file, std::string_view text) {
    std::vector<Remark> scan_errors;
    const std::vector<IniSection> sections =
        scan_ini(file, text, "[defaults], [network] or a device such as [nbd0]", scan_errors);
    Reader reader;
    for (const IniSection& section : sections) reader.take(section);
    if (scan_errors.empty() && reader.errors.empty()) return std::move(reader.config);
    // Merges the two lists by line number, so that the errors read from the top of the file.
    std::vector<std::string> lines;
    auto scanned = scan_errors.begin();
    for (const Remark& error : reader.errors) {
        for (; scanned != scan_errors.end() && scanned->position.line <= error.position.line; ++scanned)
            lines.push_back(to_string(*scanned));
        lines.push_back(to_string(error));
    }
    for (; scanned != scan_errors.end(); ++scanned) lines.push_back(to_string(*scanned));
    return std::unexpected{std::move(lines)};
}

}  // namespace holdfast::client
