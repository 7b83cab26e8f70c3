// Both formats are first read as a device with options in the words of nbdtab. The resulting line is read
// again with the table's own parser, which judges hosts, names and values.

#include "client/config/nbd_client_import.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "client/address/nbd_device.hh"
#include "client/address/uri.hh"
#include "client/config/device_table.hh"
#include "client/config/shell_assignments.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"
#include "common/text/utf8.hh"
#include "common/text/words.hh"

namespace holdfast::client {
namespace {

using Fate = NbdClientOption::Fate;

constexpr std::string_view no_tls =
    "TLS is not supported yet, and the data would be sent unencrypted; keep nbd-client for this device";

constexpr std::array options_table{
    NbdClientOption{"bs", "block-size", 'b', true, Fate::kept, ""},
    NbdClientOption{"conns", "connections", 'C', true, Fate::kept, "only one connection is used so far"},
    NbdClientOption{"timeout", "timeout", 't', true, Fate::kept,
                    "after this time the kernel drops the link, not the device; the request is repeated on "
                    "the next link"},
    NbdClientOption{"port", "", 0, true, Fate::kept, ""},
    NbdClientOption{"unix", "unix", 'u', false, Fate::kept, ""},
    NbdClientOption{"ro", "readonly", 'R', false, Fate::kept, ""},
    NbdClientOption{"name", "name", 'N', true, Fate::name, ""},
    NbdClientOption{"persist", "persist", 'p', false, Fate::needless, "a lost link is always made again"},
    NbdClientOption{"swap", "swap", 's', false, Fate::needless, "the daemon always locks its memory"},
    NbdClientOption{"systemd-mark", "systemd-mark", 'm', false, Fate::needless,
                    "the daemon always marks itself for systemd"},
    NbdClientOption{"nofork", "nofork", 'n', false, Fate::needless, "the daemon must keep running"},
    NbdClientOption{"netlink", "netlink", 0, false, Fate::needless, "netlink is always used"},
    NbdClientOption{"nonetlink", "nonetlink", 'L', false, Fate::needless,
                    "devices are attached through netlink only"},
    NbdClientOption{"no_optgo", "no-optgo", 'g', false, Fate::needless,
                    "NBD_OPT_GO is tried first, then NBD_OPT_EXPORT_NAME"},
    NbdClientOption{"dead-timeout", "dead-timeout", 0, true, Fate::needless,
                    "requests wait for the next link without a limit"},
    NbdClientOption{"preinit", "preinit", 'P', false, Fate::refused,
                    "the server must negotiate; let it do so, and remove the option"},
    NbdClientOption{"size", "size", 'B', true, Fate::refused,
                    "the server determines the size; set it there, and remove the option"},
    NbdClientOption{"sdp", "sdp", 'S', false, Fate::refused,
                    "Linux has no Socket Direct Protocol any more; remove the option to use TCP"},
    NbdClientOption{"tls", "enable-tls", 'x', false, Fate::refused, no_tls},
    NbdClientOption{"certfile", "certfile", 'F', true, Fate::refused, no_tls},
    NbdClientOption{"keyfile", "keyfile", 'K', true, Fate::refused, no_tls},
    NbdClientOption{"cacertfile", "cacertfile", 'A', true, Fate::refused, no_tls},
    NbdClientOption{"tlshostname", "tlshostname", 'H', true, Fate::refused, no_tls},
    NbdClientOption{"priority", "priority", 'y', true, Fate::refused, no_tls},
};

// Characters that separate words and options of the table.
constexpr std::string_view separators = ", \t\r\n\f\v";

const NbdClientOption* find_word(std::string_view word) {
    const auto* const found = std::ranges::find(options_table, word, &NbdClientOption::word);
    return found == options_table.end() ? nullptr : found;
}

// An option of nbd-client's command line: -b 512, -b512, --block-size=512, -block-size 512.
struct CommandLineOption {
    const NbdClientOption* option = nullptr;  // null: unknown
    std::optional<std::string_view> value;    // in the same word
};

CommandLineOption read_long_option(std::string_view name) {
    std::string_view value = name;
    const std::string_view form = take_until(value, '=');
    const auto* const found = std::ranges::find(options_table, form, &NbdClientOption::long_form);
    if (form.empty() || found == options_table.end()) return {};
    return {found, form.size() < name.size() ? std::optional(value) : std::nullopt};
}

CommandLineOption read_letter_option(std::string_view name) {
    const char letter = name.empty() ? '\0' : name.front();
    const auto* const found = std::ranges::find(options_table, letter, &NbdClientOption::letter);
    if (letter == '\0' || found == options_table.end()) return {};
    if (name.size() == 1) return {found, std::nullopt};
    return found->has_value ? CommandLineOption{found, name.substr(1)} : CommandLineOption{};
}

CommandLineOption read_command_line_option(std::string_view word) {
    const bool two_dashes = word.starts_with("--");
    const std::string_view name = word.substr(two_dashes ? 2 : 1);
    const CommandLineOption read = read_long_option(name);
    return read.option != nullptr || two_dashes ? read : read_letter_option(name);
}

}  // namespace

std::span<const NbdClientOption> nbd_client_options() noexcept { return options_table; }

// Collects the parts of a device, from either format, and adds the device to the import unless a part is
// wrong.
class DeviceImport {
public:
    DeviceImport(Import& import, FilePosition position, std::string device)
        : import_(import), position_(std::move(position)), device_(std::move(device)) {}

    void set_host(std::string_view host) { host_ = host; }
    void set_name(std::string_view name) { name_ = name; }

    // `shown`: the option as the file has it.
    void take_option(const FilePosition& position, const NbdClientOption& option, std::string_view shown,
                     std::optional<std::string_view> value) {
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
            case Fate::name: take_name(*value, remark); break;
        }
    }

    void keep_word(std::string_view word) { options_.emplace_back(word, ""); }
    void note(const FilePosition& position, std::string_view text) {
        import_.notes.push_back({position, fmt::format("{}: {}", printable(device_), text)});
    }
    void error(const FilePosition& position, std::string_view text) {
        fail({position, fmt::format("{}: {}", printable(device_), text)});
    }

    void finish() {
        if (failed_) return;
        const std::string line = as_line();
        const DeviceTable table = read_device_table("", line);
        if (!is_in(table) || !is_printable(line)) {
            import_.errors.push_back(
                {position_, table.errors.empty()
                                ? fmt::format("'{}' cannot be a line of the table of devices; correct it",
                                              printable(line))
                                : table.errors.front().text});
            return;
        }
        add({table.devices.front().index, line, position_});
    }

private:
    using Option = std::pair<std::string, std::string>;  // word and value; an empty value: none

    void fail(Remark remark) {
        failed_ = true;
        import_.errors.push_back(std::move(remark));
    }

    void take_name(std::string_view name, const auto& remark) {
        if (!name_.empty() && name_ != name)
            return fail(remark(fmt::format("the export is also named {}; remove one", printable(name_))));
        name_ = name;
    }

    [[nodiscard]] std::string_view value_of(std::string_view option) const {
        const auto found = std::ranges::find(options_, option, &Option::first);
        return found == options_.end() ? std::string_view{} : std::string_view{found->second};
    }

    [[nodiscard]] bool has(std::string_view option) const {
        return std::ranges::find(options_, option, &Option::first) != options_.end();
    }

    // The fields of the table cannot hold such a name; a URI can.
    [[nodiscard]] bool needs_uri() const {
        return name_.empty() || name_.starts_with('#') ||
               name_.find_first_of(separators) != std::string::npos;
    }

    [[nodiscard]] ServerAddress address() const {
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

    [[nodiscard]] std::string as_line() const {
        std::string options;
        for (const auto& [word, value] : options_) {
            if (needs_uri() && (word == "port" || word == "unix")) continue;
            options +=
                fmt::format("{}{}{}{}", options.empty() ? "" : ",", word, value.empty() ? "" : "=", value);
        }
        const std::string device = device_.starts_with("/dev/") ? device_.substr(5) : device_;
        if (needs_uri())
            return fmt::format("{}  {}{}{}", device, to_uri(address()), options.empty() ? "" : "  -  ",
                               options);
        return fmt::format("{}  {}  {}{}{}", device, host_, name_, options.empty() ? "" : "  ", options);
    }

    // Whether the table reads the line as this device.
    [[nodiscard]] bool is_in(const DeviceTable& table) const {
        if (table.devices.size() != 1 || !table.errors.empty() || !table.warnings.empty()) return false;
        const DeviceLine& line = table.devices.front();
        return line.servers.size() == 1 && line.servers.front() == address();
    }

    void add(ImportedDevice made) {
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

    Import& import_;
    FilePosition position_;
    std::string device_;
    std::string host_;
    std::string name_;
    std::vector<Option> options_;
    bool failed_ = false;
};

namespace {

// --- nbdtab ---

void take_nbdtab_option(DeviceImport& device, const FilePosition& position, std::string_view option) {
    if (option.empty()) return;
    if (option.starts_with('_')) return device.keep_word(option);  // reserved for other programs by nbdtab(5)
    std::string_view value = option;
    const std::string_view word = take_until(value, '=');
    const NbdClientOption* const known = find_word(word);
    // nbd-client ignores `ro` and `name` in nbdtab.
    if (known == nullptr || word == "ro" || word == "name")
        return device.note(position,
                           fmt::format("option '{}': left out: nbd-client does not know it, and ignores "
                                       "it",
                                       printable(option)));
    device.take_option(position, *known, option,
                       word.size() < option.size() ? std::optional(value) : std::nullopt);
}

void import_nbdtab_line(Import& import, const FilePosition& position, std::string_view line) {
    std::vector<std::string_view> words = words_of(line);
    words.erase(std::ranges::find_if(words, [](std::string_view word) { return word.starts_with('#'); }),
                words.end());
    if (words.empty()) return;
    DeviceImport device(import, position, std::string(words[0]));
    if (words.size() < 3)
        return device.error(position, "incomplete line; write DEVICE HOST EXPORT [OPTION,...]");
    if (words.size() > 4)
        return device.error(position, fmt::format("unexpected word '{}'; separate options by commas only",
                                                  printable(words[4])));
    device.set_host(words[1]);
    device.set_name(words[2]);
    if (words.size() == 4)
        for (std::string_view rest = words[3]; !rest.empty();)
            take_nbdtab_option(device, position, take_until(rest, ','));
    device.finish();
}

// --- /etc/nbd-client ---

struct Variable {
    std::string_view name;
    std::string_view reason;
};
// Variables without an index, and the reason why no counterpart is needed.
constexpr std::array needless_variables{
    Variable{"AUTO_GEN", "no program rewrites the table of devices"},
    Variable{"KILLALL", "only devices that Holdfast has attached are detached at shutdown"},
    Variable{"OMITKILL", "each daemon enters itself in /run/sendsigs.omit.d"},
};
constexpr std::array<std::string_view, 6> device_variables{"NBD_DEVICE", "NBD_TYPE", "NBD_HOST",
                                                           "NBD_PORT",   "NBD_NAME", "NBD_EXTRA"};

// Elements of the arrays with one index.
using Entry = std::map<std::string_view, const Assignment*>;

std::string_view value_of(const Entry& entry, std::string_view name) {
    const auto found = entry.find(name);
    return found == entry.end() ? std::string_view{} : std::string_view{found->second->value};
}

class ScriptImport {
public:
    explicit ScriptImport(Import& import) : import_(import) {}

    void read(std::string_view file, std::string_view text) {
        Assignments assignments = read_assignments(file, text);
        std::ranges::move(assignments.errors, std::back_inserter(import_.errors));
        for (const Assignment& one : assignments.all) take(one);
        const auto last = std::ranges::find_if(entries_, [this](const auto& entry) {
            return value_of(entry.second, "NBD_TYPE").empty() || gap(entry.first);
        });
        for (auto entry = entries_.begin(); entry != last; ++entry) import_entry(entry->second);
        if (last != entries_.end()) note_end(last->first, last->second);
    }

private:
    // Bash takes NAME for NAME[0].
    void take(const Assignment& one) {
        const auto known = std::ranges::find(device_variables, std::string_view{one.name});
        if (known != device_variables.end()) {
            const auto [element, first] = entries_[one.index.value_or(0)].try_emplace(*known, &one);
            if (!first) {
                note(one, fmt::format("overrides the one at {}", to_string(element->second->position)));
                element->second = &one;
            }
            return;
        }
        const auto* const needless = std::ranges::find(needless_variables, one.name, &Variable::name);
        note(one, needless == needless_variables.end() ? "left out: nbd-client does not know this variable"
                                                       : fmt::format("left out: {}", needless->reason));
    }

    void note(const Assignment& one, std::string_view text) {
        import_.notes.push_back({one.position, fmt::format("{}: {}", one.name, text)});
    }

    [[nodiscard]] bool gap(unsigned index) const { return index != 0 && !entries_.contains(index - 1); }

    // nbd-client's script stopped at the first index without NBD_TYPE.
    void note_end(unsigned index, const Entry& entry) {
        import_.notes.push_back(
            {entry.begin()->second->position,
             fmt::format(
                 "left out, like all entries from here on: nbd-client stops at the first index without "
                 "NBD_TYPE, which is {}",
                 gap(index) ? entries_before(index) : index)});
    }

    [[nodiscard]] unsigned entries_before(unsigned index) const {
        return static_cast<unsigned>(std::distance(entries_.begin(), entries_.find(index)));
    }

    void import_entry(const Entry& entry) {
        const Assignment& type = *entry.at("NBD_TYPE");
        const auto named = entry.find("NBD_DEVICE");
        const FilePosition& position = named == entry.end() ? type.position : named->second->position;
        DeviceImport device(import_, position, std::string(value_of(entry, "NBD_DEVICE")));
        for (const std::string_view name : {"NBD_DEVICE", "NBD_HOST"}) {
            const std::string_view value = value_of(entry, name);
            if (value.empty() || words_of(value).size() != 1 || words_of(value)[0].size() != value.size())
                return device.error(position, fmt::format("{} must be one word; set it", name));
        }
        device.set_host(value_of(entry, "NBD_HOST"));
        device.set_name(value_of(entry, "NBD_NAME"));
        if (!value_of(entry, "NBD_PORT").empty()) take_port(device, *entry.at("NBD_PORT"));
        if (value_of(entry, "NBD_NAME").empty() && value_of(entry, "NBD_PORT").empty())
            device.error(position, "NBD_NAME and NBD_PORT are empty; set one");
        take_type(device, type);
        if (const auto extra = entry.find("NBD_EXTRA"); extra != entry.end())
            take_extra(device, *extra->second);
        device.finish();
    }

    static void take_port(DeviceImport& device, const Assignment& port) {
        if (!number_of<std::uint16_t>(port.value))
            return device.error(port.position, fmt::format("NBD_PORT '{}' is not a number; write one",
                                                           printable(port.value)));
        device.take_option(port.position, *find_word("port"), "NBD_PORT", port.value);
    }

    static void take_type(DeviceImport& device, const Assignment& type) {
        if (type.value == "r") return;
        if (type.value == "s")
            return device.note(
                type.position,
                "NBD_TYPE s: nbd-client runs mkswap and swapon; run mkswap once, and give swap a "
                "line in /etc/fstab with sw,_netdev,nofail");
        if (type.value == "f")
            return device.note(
                type.position,
                "NBD_TYPE f: nbd-client mounts it; its line in /etc/fstab needs _netdev,nofail in "
                "place of noauto");
        device.note(type.position,
                    fmt::format("NBD_TYPE '{}' is none of r, s, f; taken for r", printable(type.value)));
    }

    // Splits NBD_EXTRA at blanks, as the unquoted variable of nbd-client's script.
    static void take_extra(DeviceImport& device, const Assignment& extra) {
        const std::vector<std::string_view> words = words_of(extra.value);
        for (auto word = words.begin(); word != words.end(); ++word) {
            if (!word->starts_with('-') || word->size() < 2)
                return device.error(extra.position, fmt::format("NBD_EXTRA: unexpected word '{}'; remove it",
                                                                printable(*word)));
            CommandLineOption read = read_command_line_option(*word);
            if (read.option == nullptr)
                return device.error(extra.position,
                                    fmt::format("NBD_EXTRA: unknown option '{}'; write it in full, as "
                                                "in nbd-client(8), or remove it",
                                                printable(*word)));
            const std::string_view shown = *word;
            if (read.option->has_value && !read.value && word + 1 != words.end()) read.value = *++word;
            device.take_option(extra.position, *read.option, shown, read.value);
        }
    }

    Import& import_;
    std::map<unsigned, Entry> entries_;
};

bool is_same(const DeviceLine& one, const DeviceLine& other) {
    return !one.refused && one.servers == other.servers && one.choices == other.choices &&
           one.at_boot == other.at_boot;
}

}  // namespace

void NbdClientImporter::add_nbdtab(std::string_view file, std::string_view text) {
    for (FilePosition position{std::string(file), 1}; !text.empty(); ++position.line) {
        const std::string_view line = take_line(text);
        if (line.size() <= longest_script_line) {
            import_nbdtab_line(import_, position, line);
        } else {
            import_.errors.push_back(
                {position, fmt::format("longer than {} bytes; shorten the line", longest_script_line)});
        }
    }
}

void NbdClientImporter::add_script(std::string_view file, std::string_view text) {
    ScriptImport(import_).read(file, text);
}

TableAddition add_to_table(const Import& import, std::string_view table_file, std::string_view table) {
    TableAddition addition;
    addition.text = table;
    const DeviceTable present = read_device_table(table_file, table);
    for (const ImportedDevice& device : import.devices) {
        const DeviceTable one = read_device_table("", device.line);
        const DeviceLine* const there = present.find(device.index);
        if (there == nullptr) {
            if (!addition.text.empty() && !addition.text.ends_with('\n')) addition.text += '\n';
            addition.text += device.line + "\n";
            addition.added.push_back(device);
            continue;
        }
        FilePosition position{std::string(table_file), there->line};
        if (is_same(*there, one.devices.at(0))) {
            addition.present.push_back(
                {std::move(position), fmt::format("nbd{}: is there already", device.index)});
        } else {
            addition.conflicts.push_back(
                {std::move(position), fmt::format("nbd{}: differs from {}; make this line '{}', or remove it",
                                                  device.index, to_string(device.position), device.line)});
        }
    }
    return addition;
}

std::vector<std::string> steps_after(const Import& import) {
    if (import.devices.empty()) return {};
    std::string units, started;
    for (const ImportedDevice& device : import.devices) {
        units += fmt::format(" nbd@nbd{}.service", device.index);
        started += fmt::format(" holdfast@nbd{}.service", device.index);
    }
    return {
        "stop using the devices: unmount their file systems, swapoff",
        fmt::format("systemd: systemctl disable --now{}", units),
        "System V init: service nbd-client stop, then update-rc.d nbd-client disable",
        "remove the devices from nbd-client's file, or the package nbd-client: its scripts would disconnect "
        "them",
        fmt::format("systemd: systemctl daemon-reload, then systemctl start{}", started),
        "System V init: service holdfast-client start",
        "the lines of /etc/fstab stay as they are; they need the option _netdev, and with noauto in the "
        "table "
        "of devices a device is attached on demand only",
    };
}

}  // namespace holdfast::client
