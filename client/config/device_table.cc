// Splits lines into fields, parses fields into an address, and reads options by a table.

#include "client/config/device_table.hh"

#include <fmt/core.h>

#include <algorithm>
#include <expected>
#include <optional>
#include <span>
#include <string>

#include "client/address/export_address.hh"
#include "client/address/nbd_device.hh"
#include "client/address/uri.hh"
#include "client/address/word_checks.hh"
#include "client/config/option_table.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"
#include "common/text/words.hh"

namespace holdfast::client {
namespace {

using Outcome = std::expected<void, std::string>;

// Returns the words of a line before the first that begins with '#'.
std::vector<std::string_view> words_before_comment(std::string_view line) {
    std::vector<std::string_view> words = words_of(line);
    words.erase(std::ranges::find_if(words, [](std::string_view word) { return word.starts_with('#'); }),
                words.end());
    return words;
}

// Fields three and two, kept until the options are parsed.
struct Where {
    std::string_view host;
    std::string_view name;
    std::optional<std::uint16_t> port;
    bool unix_socket = false;

    [[nodiscard]] bool is_uri() const { return host.find("://") != std::string_view::npos; }
};

// Validates host, path and name with the URI parser: the address is invalid unless it survives a round trip
// through a URI.
std::expected<ServerAddress, std::string> checked(const ServerAddress& address) {
    auto read = parse_uri(to_uri(address));
    if (read && *read != address) return Problem{fmt::format("'{}' is not a server", to_uri(address))};
    return read;
}

// Returns the host without brackets.
std::expected<std::string_view, std::string> plain_host(std::string_view word) {
    if (word.starts_with('/'))
        return Problem{fmt::format("'{}' is not a host; for the path of a UNIX socket, add the option unix",
                                   printable(word))};
    std::string_view host = word;
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (host.find(':') != std::string_view::npos && !is_ipv6(host))
        return Problem{
            fmt::format("'{}' is not a host; write the port as an option, port=10809", printable(word))};
    return host;
}

std::expected<ServerAddress, std::string> address_of(const Where& where) {
    if (where.is_uri()) {
        if (where.port) return Problem{"port= and a URI; put the port into the URI"};
        if (where.unix_socket) return Problem{"unix and a URI; write nbd+unix:///NAME?socket=PATH alone"};
        if (where.name != "-")
            return Problem{fmt::format("export '{}' and a URI; put the name into the URI, and write - here",
                                       printable(where.name))};
        return parse_uri(where.host);
    }
    ServerAddress address;
    address.export_name = where.name;
    if (where.unix_socket) {
        if (where.port) return Problem{"port= and unix; a UNIX socket has no port, remove one of them"};
        if (!where.host.starts_with('/'))
            return Problem{fmt::format("'{}' is not the path of a UNIX socket; it must begin with /",
                                       printable(where.host))};
        address.kind = ServerAddress::Kind::unix_socket;
        address.socket_path = where.host;
        return checked(address);
    }
    const auto host = plain_host(where.host);
    if (!host) return Problem{host.error()};
    address.host = *host;
    address.port = where.port.value_or(default_nbd_port);
    address.port_given = where.port.has_value();
    return checked(address);
}

std::string_view name_of(std::string_view option) { return option.substr(0, option.find('=')); }

bool has_option(std::string_view options, Treatment treatment) {
    while (!options.empty())
        if (const auto known = find_option(name_of(take_until(options, ',')), in_devices);
            known && known->treatment == treatment)
            return true;
    return false;
}

bool takes_no_value(Treatment treatment) {
    switch (treatment) {
        case Treatment::read_write:
        case Treatment::unix_socket:
        case Treatment::no_auto:
        case Treatment::in_initramfs:
        case Treatment::may_fail:
        case Treatment::always_so: return true;
        default: return false;
    }
}

class LineReader {
public:
    LineReader(DeviceTable& table, DeviceLine& line, const FilePosition& position)
        : table_(table), line_(line), position_(position) {}

    // Parses the fields after the device.
    Outcome read(std::span<const std::string_view> fields) {
        if (fields.size() > 2) note_flags(fields[2]);
        if (fields.empty() || (fields.size() == 1 && fields[0].find("://") == std::string_view::npos))
            return Problem{"incomplete line; write DEVICE HOST EXPORT [OPTION,...], see holdfast-devices(5)"};
        if (fields.size() > 3)
            return Problem{
                fmt::format("unexpected word '{}'; separate options by commas only", printable(fields[3]))};
        where_.host = fields[0];
        where_.name = fields.size() > 1 ? fields[1] : "-";
        if (fields.size() > 2)
            if (auto taken = take_options(fields[2]); !taken) return taken;
        auto first = address_of(where_);
        if (!first) return Problem{first.error()};
        line_.servers.push_back(*std::move(first));
        for (const std::string_view word : further_)
            if (auto taken = take_server(word); !taken) return taken;
        return check_servers();
    }

private:
    // Reads the two options that tell what a refused line costs.
    void note_flags(std::string_view options) {
        line_.in_initramfs = has_option(options, Treatment::in_initramfs);
        line_.may_fail = has_option(options, Treatment::may_fail);
    }

    Outcome take_options(std::string_view options) {
        while (!options.empty())
            if (auto taken = take_option(take_until(options, ',')); !taken) return taken;
        return {};
    }

    Outcome take_option(std::string_view option) {
        const bool for_local_use = option.starts_with('_');  // nbdtab(5)
        if (option.empty() || for_local_use) return {};
        const std::string_view name = name_of(option);
        const auto known = find_option(name, in_devices);
        if (!known) {
            warn(fmt::format("unknown option '{}'; ignored", printable(option)));
            return {};
        }
        if (known->treatment != Treatment::server && is_second(*known))
            return Problem{fmt::format("duplicate option '{}'; remove one", printable(name))};
        std::optional<std::string_view> value;
        if (name.size() < option.size()) value = option.substr(name.size() + 1);
        if (value && takes_no_value(known->treatment))
            return Problem{fmt::format("option '{}' takes no value; write {}, or remove it",
                                       printable(option), printable(name))};
        return apply(*known, option, value);
    }

    Outcome apply(const OptionWord& known, std::string_view option, std::optional<std::string_view> value) {
        switch (known.treatment) {
            case Treatment::choice: return take_choice(known.note, option, value.value_or(""));
            case Treatment::read_only:
                if (value) return take_choice("read-only", option, *value);
                line_.choices.read_only = true;
                break;
            case Treatment::read_write: line_.choices.read_only = false; break;
            case Treatment::port: return take_port(value.value_or(""));
            case Treatment::unix_socket: where_.unix_socket = true; break;
            case Treatment::server: further_.push_back(value.value_or("")); break;
            case Treatment::no_auto: line_.at_boot = false; break;
            case Treatment::no_effect:
                warn(fmt::format("option '{}' has no effect: {}", printable(option), known.note));
                break;
            case Treatment::refused:
                return Problem{fmt::format("option '{}': {}", printable(option), known.note)};
            default: break;  // always so, or read by note_flags()
        }
        return {};
    }

    // Detects repeated options; bs= and block-size= are the same option, and ro and rw contradict each other.
    bool is_second(const OptionWord& known) {
        const bool is_access =
            known.treatment == Treatment::read_only || known.treatment == Treatment::read_write;
        const std::string_view option = known.treatment == Treatment::choice ? known.note
                                        : is_access                          ? "read-only"
                                                                             : known.word;
        if (std::ranges::find(seen_, option) != seen_.end()) return true;
        seen_.push_back(option);
        return false;
    }

    Outcome take_choice(std::string_view choice, std::string_view option, std::string_view value) {
        if (const auto chosen = choose(line_.choices, choice, value); !chosen)
            return Problem{fmt::format("option '{}': {}", printable(option), chosen.error())};
        return {};
    }

    Outcome take_port(std::string_view value) {
        const auto port = number_of<std::uint16_t>(value);
        if (!port || *port == 0)
            return Problem{fmt::format("port= takes a port (1-65535), not '{}'", printable(value))};
        where_.port = port;
        return {};
    }

    // A host alone has the export, and without a port also the port, of the first server: an export without a
    // name would be another disk.
    Outcome take_server(std::string_view value) {
        auto server = parse_server_address(value);
        if (!server) return Problem{"server=: " + server.error()};
        const ServerAddress& first = line_.servers.front();
        if (server->export_name.empty() && value.find('/') == std::string_view::npos) {
            server->export_name = first.export_name;
            if (!server->port_given) server->port = first.port;
            server->port_given |= first.port_given;
        }
        line_.servers.push_back(*std::move(server));
        return {};
    }

    Outcome check_servers() {
        if (line_.servers.size() > most_servers)
            return Problem{fmt::format("more than {} servers; remove some", most_servers)};
        for (auto server = line_.servers.begin(); server != line_.servers.end(); ++server)
            if (std::find(line_.servers.begin(), server, *server) != server)
                return Problem{fmt::format("{} is named twice; remove one", to_uri(*server))};
        return {};
    }

    void warn(std::string text) { table_.warnings.push_back({position_, std::move(text)}); }

    DeviceTable& table_;
    DeviceLine& line_;
    const FilePosition& position_;
    Where where_;
    std::vector<std::string_view> seen_;
    std::vector<std::string_view> further_;  // the values of server=
};

void take_device_line(DeviceTable& table, const FilePosition& position,
                      std::span<const std::string_view> words) {
    if (words.size() > 3 && has_option(words[3], Treatment::in_initramfs))
        table.lines_of_initramfs.push_back(position.line);
    const auto wrong = [&](std::string text) { table.errors.push_back({position, std::move(text)}); };
    const auto device = parse_nbd_device(words[0]);
    if (!device || device->partition != 0)
        return wrong(fmt::format("'{}' is not a device; write nbd1, nbd2, ...{}", printable(words[0]),
                                 device ? " (partitions come with their disk)" : ""));
    if (const DeviceLine* const earlier = table.find(device->index))
        return wrong(
            fmt::format("nbd{}: duplicate device, first at line {}; add a further server of the same disk "
                        "there, with server=",
                        device->index, earlier->line));
    DeviceLine line;
    line.index = device->index;
    line.line = position.line;
    if (const auto read = LineReader(table, line, position).read(words.subspan(1)); !read) {
        wrong(fmt::format("nbd{}: {}", line.index, read.error()));
        line.refused = true;
        line.servers.clear();
        line.choices = {};
    }
    table.devices.push_back(std::move(line));
}

}  // namespace

const DeviceLine* DeviceTable::find(std::uint32_t index) const {
    const auto found = std::ranges::find(devices, index, &DeviceLine::index);
    return found == devices.end() ? nullptr : &*found;
}

DeviceTable read_device_table(std::string_view file, std::string_view text) {
    DeviceTable table;
    table.file = file;
    for (FilePosition position{std::string(file), 1}; !text.empty(); ++position.line)
        if (const auto words = words_before_comment(take_line(text)); !words.empty())
            take_device_line(table, position, words);
    return table;
}

}  // namespace holdfast::client
