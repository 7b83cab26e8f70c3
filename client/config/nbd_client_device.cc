// Writes a line of the table of devices, and reads the line again with the table's own parser.

#include "client/config/nbd_client_device.hh"

#include <fmt/core.h>

#include <algorithm>

#include "client/address/nbd_device.hh"
#include "client/address/uri.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/utf8.hh"

namespace holdfast::client {
namespace {

using Fate = NbdClientOption::Fate;

// Characters that separate words and options of the table.
constexpr std::string_view separators = ", \t\r\n\f\v";

}  // namespace

void NbdClientDevice::take_option(const FilePosition& position, const NbdClientOption& option,
                                  std::string_view shown, std::optional<std::string_view> value) {
    const auto remark = [&](std::string_view text) {
        return Remark{position,
                      fmt::format("{}: option '{}': {}", printable(device_), printable(shown), text)};
    };
    if (option.has_value != value.has_value())
        return fail(remark(value ? "takes no value; remove it" : "missing value; give one"));
    if (value && option.fate == Fate::kept && value->find_first_of(separators) != std::string_view::npos)
        return fail(remark("a value has neither blanks nor commas; correct it"));
    switch (option.fate) {
        case Fate::kept:
            if (!option.reason.empty()) import_.notes.push_back(remark(option.reason));
            options_.emplace_back(option.word, std::string(value.value_or("")));
            break;
        case Fate::needless:
            import_.notes.push_back(remark(fmt::format("left out: {}", option.reason)));
            break;
        case Fate::refused: fail(remark(option.reason)); break;
        case Fate::name:
            take_name(*value,
                      remark(fmt::format("the export is also named {}; remove one", printable(name_))));
            break;
    }
}

void NbdClientDevice::note(const FilePosition& position, std::string_view text) {
    import_.notes.push_back({position, fmt::format("{}: {}", printable(device_), text)});
}

void NbdClientDevice::error(const FilePosition& position, std::string_view text) {
    fail({position, fmt::format("{}: {}", printable(device_), text)});
}

void NbdClientDevice::finish() {
    if (failed_) return;
    const std::string line = as_line();
    const DeviceTable table = read_device_table("", line);
    if (!is_in(table) || !is_printable(line)) {
        import_.errors.push_back(
            {position_,
             table.errors.empty()
                 ? fmt::format("'{}' cannot be a line of the table of devices; correct it", printable(line))
                 : table.errors.front().text});
        return;
    }
    add({table.devices.front().index, line, position_});
}

void NbdClientDevice::fail(Remark remark) {
    failed_ = true;
    import_.errors.push_back(std::move(remark));
}

void NbdClientDevice::take_name(std::string_view name, const Remark& duplicate) {
    if (!name_.empty() && name_ != name) return fail(duplicate);
    name_ = name;
}

std::string_view NbdClientDevice::value_of(std::string_view option) const {
    const auto found = std::ranges::find(options_, option, &Option::first);
    return found == options_.end() ? std::string_view{} : std::string_view{found->second};
}

bool NbdClientDevice::has(std::string_view option) const {
    return std::ranges::find(options_, option, &Option::first) != options_.end();
}

// The fields of the table cannot hold such a name; a URI can.
bool NbdClientDevice::needs_uri() const {
    return name_.empty() || name_.starts_with('#') || name_.find_first_of(separators) != std::string::npos;
}

ServerAddress NbdClientDevice::address() const {
    ServerAddress address;
    address.export_name = name_;
    if (has("unix")) {
        address.kind = ServerAddress::Kind::unix_socket;
        address.socket_path = host_;
        return address;
    }
    const bool bracketed = host_.starts_with('[') && host_.ends_with(']');
    address.host = bracketed ? host_.substr(1, host_.size() - 2) : host_;
    if (const auto port = number_of<std::uint16_t>(value_of("port"))) address.port = *port;
    address.port_given = has("port");
    return address;
}

std::string NbdClientDevice::as_line() const {
    std::string options;
    for (const auto& [word, value] : options_) {
        if (needs_uri() && (word == "port" || word == "unix")) continue;
        options += fmt::format("{}{}{}{}", options.empty() ? "" : ",", word, value.empty() ? "" : "=", value);
    }
    const std::string device = device_.starts_with("/dev/") ? device_.substr(5) : device_;
    if (needs_uri())
        return fmt::format("{}  {}{}{}", device, to_uri(address()), options.empty() ? "" : "  -  ", options);
    return fmt::format("{}  {}  {}{}{}", device, host_, name_, options.empty() ? "" : "  ", options);
}

// Whether the table reads the line as this device.
bool NbdClientDevice::is_in(const DeviceTable& table) const {
    if (table.devices.size() != 1 || !table.errors.empty() || !table.warnings.empty()) return false;
    const DeviceLine& line = table.devices.front();
    return line.servers.size() == 1 && line.servers.front() == address();
}

void NbdClientDevice::add(ImportedDevice made) {
    const auto other = std::ranges::find(import_.devices, made.index, &ImportedDevice::index);
    if (other == import_.devices.end()) {
        import_.devices.push_back(std::move(made));
    } else if (other->line == made.line) {
        note(made.position, fmt::format("the same as at {}", to_string(other->position)));
    } else {
        error(made.position, fmt::format("duplicate device, first at {}; remove one of the two",
                                         to_string(other->position)));
    }
}

}  // namespace holdfast::client
