// Turns sections into exports and listeners. The effects of single keys are in config_keys.cc.

#include "server/config/config.hh"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "common/access/access.hh"
#include "common/text/lower_case.hh"
#include "common/text/number.hh"
#include "common/text/text.hh"
#include "server/config/config_keys.hh"
#include "server/config/config_value.hh"

namespace holdfast::server {
namespace {

constexpr std::string_view command_line = "command line";
constexpr std::string_view known_sections = "[generic] or [EXPORT]";

std::string whereabouts(const FilePosition& position) {
    return is_on_command_line(position) ? "on the command line" : "at " + to_string(position);
}

template <class Keys>
std::vector<std::string_view> names_of(const Keys& keys) {
    std::vector<std::string_view> names;
    for (const auto& key : keys) names.push_back(key.name);
    return names;
}

template <class Keys>
bool knows(const Keys& keys, std::string_view name) {
    return std::ranges::any_of(keys, [&](const auto& key) { return key.name == name; });
}

// Formats "unknown key" with the nearest known key.
template <class Keys, class Others>
std::string unknown_key(std::string_view name, const Keys& keys, const Others& others,
                        std::string_view other_section) {
    if (knows(others, name)) return fmt::format("{}: this key belongs in {}", name, other_section);
    const std::string_view nearest = nearest_word(name, names_of(keys));
    if (nearest.empty()) return fmt::format("{}: unknown key", name);
    return fmt::format("{}: unknown key; did you mean {}?", name, nearest);
}

// Applies a section's keys by their table. The last of several equal keys counts, as in nbd-server.
template <class Keys, class Target>
void apply_keys(const IniSection& section, const Keys& keys, Target& target, std::vector<Remark>& errors,
                std::vector<Remark>& warnings, const auto& describe_unknown) {
    std::map<std::string_view, const IniEntry*> last;
    for (const IniEntry& entry : section.entries) {
        const auto [earlier, first] = last.try_emplace(entry.key, &entry);
        if (first) continue;
        warnings.push_back({entry.position, fmt::format("{}: overrides the one at {}", entry.key,
                                                        to_string(earlier->second->position))});
        earlier->second = &entry;
    }
    for (const IniEntry& entry : section.entries) {
        if (last[entry.key] != &entry) continue;
        const auto key = std::ranges::find_if(keys, [&](const auto& one) { return one.name == entry.key; });
        if (key == keys.end()) {
            errors.push_back({entry.position, describe_unknown(entry.key)});
            continue;
        }
        ConfigValue value(entry, errors, warnings);
        key->apply(target, value);
    }
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
        text.replace(at, what.size(), with);
    }
}

std::expected<Endpoint, std::string_view> parse_unix_endpoint(std::string_view path) {
    constexpr std::size_t longest = 107;
    if (!path.starts_with('/') || path.size() > longest)
        return std::unexpected("a socket path must begin with \"/\" and have at most 107 bytes");
    return Endpoint{.host = {}, .port = 0, .unix_path = std::string(path)};
}

// Parses the value of --listen. The error says how to correct the value.
std::expected<Endpoint, std::string_view> parse_endpoint(std::string_view text) {
    constexpr std::string_view unix_scheme = "unix:";
    if (text.starts_with(unix_scheme)) return parse_unix_endpoint(text.substr(unix_scheme.size()));
    const std::size_t colon = text.rfind(':');
    const auto port =
        colon == std::string_view::npos ? std::nullopt : number_of<std::uint16_t>(text.substr(colon + 1));
    if (port.value_or(0) == 0) return std::unexpected("write ADDRESS:PORT, [IPV6]:PORT, :PORT or unix:PATH");
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return std::unexpected("enclose an IPv6 address in brackets: [2001:db8::1]:10809");
    }
    if (host == "*") host = {};
    if (!host.empty() && !is_host(host)) return std::unexpected("not an address");
    return Endpoint{.host = std::string(host), .port = *port, .unix_path = {}};
}

std::string path_of_created(const ExportConfig& config, std::string_view client) {
    if (config.by_session() && config.host_word.empty()) return config.path;
    const bool by_word = config.by_name() || config.by_session();
    const auto name = volume_name(config.created->pattern, by_word ? config.host_word : client);
    return name ? fmt::format("/dev/{}/{}", config.created->pattern.group, *name) : std::string();
}

}  // namespace

bool is_on_command_line(const FilePosition& position) { return position.file == command_line; }

std::string to_string(const Endpoint& endpoint) {
    if (!endpoint.unix_path.empty()) return "unix:" + endpoint.unix_path;
    if (endpoint.host.empty()) return fmt::format("all addresses, port {}", endpoint.port);
    if (endpoint.host.find(':') != std::string::npos)
        return fmt::format("[{}]:{}", endpoint.host, endpoint.port);
    return fmt::format("{}:{}", endpoint.host, endpoint.port);
}

bool ExportConfig::is_virtual() const {
    if (created) return true;
    return virtstyle != VirtStyle::none && path.find("%s") != std::string::npos;
}

// A section of the name itself goes first, so that a host can have a section of its own.
const ExportConfig* Config::find(std::string_view name) const {
    const auto own = std::ranges::find_if(
        exports, [&](const ExportConfig& one) { return one.name == name && !one.by_name(); });
    if (own != exports.end()) return &*own;
    for (const ExportConfig& section : exports) {
        if (!section.by_name()) continue;
        const auto word = [&](std::string_view text) {
            return word_in(section.created->names, section.created->pattern.by, text);
        };
        const auto wanted = word(name);
        if (!wanted) continue;
        const auto is_wanted = [&](std::string_view text) { return word(text) == wanted; };
        const auto spelt = std::ranges::find_if(
            exports, [&](const ExportConfig& one) { return !one.by_name() && is_wanted(one.name); });
        if (spelt != exports.end()) return &*spelt;
        return left_out_unknown || std::ranges::any_of(left_out, is_wanted) ? nullptr : &section;
    }
    return nullptr;
}

std::optional<ExportConfig> Config::export_for(std::string_view name) const {
    const ExportConfig* const found = find(name);
    if (found == nullptr) return std::nullopt;
    return found->by_name() ? export_of_host(*found, name) : std::optional(*found);
}

std::optional<ExportConfig> export_of_host(const ExportConfig& section, std::string_view name) {
    if (!section.by_name()) return std::nullopt;
    const CreatedExport& created = *section.created;
    const std::optional<std::string> word = word_in(created.names, created.pattern.by, name);
    if (!word) return std::nullopt;
    ExportConfig made = section;
    made.name = name_for(created.names, created.pattern.by, *word);
    made.host_word = *word;
    made.path = path_for_client(made, {});
    return made;
}

std::optional<ExportConfig> export_of_session(const ExportConfig& config, std::string_view word) {
    if (!config.by_session()) return std::nullopt;
    std::optional<std::string> sound = host_word(HostKind::session, word);
    if (!sound) return std::nullopt;
    ExportConfig made = config;
    made.host_word = std::move(*sound);
    return made;
}

std::string_view nearest_word(std::string_view word, const std::vector<std::string_view>& known) {
    std::string lower(word);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    });
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
    for (const std::string_view candidate : known) {
        const std::size_t distance = edit_distance(lower, candidate);
        if (distance < best_distance && distance < candidate.size()) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

std::string path_for_client(const ExportConfig& config, std::string_view client) {
    if (config.created) return path_of_created(config, client);
    std::string path = config.path;
    if (!config.is_virtual()) return path;
    std::string replacement(client);
    switch (config.virtstyle) {
        case VirtStyle::none:
        case VirtStyle::ip_literal: break;
        case VirtStyle::ip_hash: replace_all(replacement, ".", "/"); break;
        case VirtStyle::cidr_hash:
            if (const std::optional<Address> address = parse_address(client)) {
                const unsigned longest = address->is_v4() ? 32 : 128;
                const Address network = network_of(*address, std::min(config.virt_prefix, longest));
                replacement = to_string(network) + "/" + replacement;
            }
            break;
    }
    replace_all(path, "%s", replacement);
    return path;
}

void ConfigReader::add_error(FilePosition position, std::string text) {
    errors_.push_back({std::move(position), std::move(text)});
}

void ConfigReader::add_main(std::string_view file, std::string_view text) {
    main_file_ = file;
    for (const IniSection& section : scan_ini(file, text, known_sections, errors_)) {
        if (section.name == "generic") {
            take_generic(section);
        } else {
            take_export(section);
        }
    }
    includedir_ = generic_.includedir;
}

void ConfigReader::add_included(std::string_view file, std::string_view text) {
    for (const IniSection& section : scan_ini(file, text, known_sections, errors_)) {
        if (section.name == "generic") {
            add_error(section.position, "[generic]: valid in the main configuration file only");
        } else {
            take_export(section);
        }
    }
}

void ConfigReader::take_generic(const IniSection& section) {
    if (generic_position_) {
        return add_error(section.position,
                         fmt::format("[generic]: duplicate section, first {}; merge the two",
                                     whereabouts(*generic_position_)));
    }
    generic_position_ = section.position;
    apply_keys(section, generic_keys(), generic_, errors_, warnings_, [](std::string_view name) {
        return unknown_key(name, generic_keys(), export_keys(), "an export's section, not in [generic]");
    });
}

void ConfigReader::take_export(const IniSection& section) {
    ExportConfig made;
    made.name = section.name;
    made.position = section.position;
    const std::size_t errors_before = errors_.size();
    apply_keys(section, export_keys(), made, errors_, warnings_, [](std::string_view name) {
        return unknown_key(name, export_keys(), generic_keys(), "[generic], not in an export's section");
    });
    if (made.path.empty() && !nearest_word(in_lower_case(made.name), {"generic"}).empty()) {
        add_error(made.position, fmt::format("[{}]: missing exportname; did you mean [generic]?", made.name));
    } else if (made.path.empty() && errors_.size() == errors_before) {
        add_error(made.position,
                  fmt::format("[{}]: missing exportname; name the file or device to export", made.name));
    }
    if (made.listenaddr && made.port == 0) {
        const auto entry = std::ranges::find(section.entries, "listenaddr", &IniEntry::key);
        warnings_.push_back(
            {entry->position, "listenaddr: has no effect unless the export has its own port"});
    }
    CreatedExportReading created = read_created_export(section);
    std::ranges::move(created.errors, std::back_inserter(errors_));
    std::ranges::move(created.warnings, std::back_inserter(warnings_));
    made.created = std::move(created.made);
    if (!made.identity.empty() && made.is_virtual()) {
        const auto entry = std::ranges::find(section.entries, "identity", &IniEntry::key);
        add_error(entry->position,
                  "identity: exportname gives each client its own file, and these are not the same disk");
    }
    add_export(std::move(made));
}

void ConfigReader::add_export(ExportConfig made) {
    if (made.name.empty() || made.name.size() > nbd::longest_string) {
        return add_error(made.position,
                         fmt::format("an export name must have 1 to {} bytes", nbd::longest_string));
    }
    const auto [earlier, first] = sections_.try_emplace(made.name, made.position);
    if (!first) {
        return add_error(made.position, fmt::format("[{}]: duplicate section, first {}; rename or remove one",
                                                    made.name, whereabouts(earlier->second)));
    }
    generic_.config.exports.push_back(std::move(made));
}

void ConfigReader::add_export_argument(std::string_view argument) {
    const FilePosition position{std::string(command_line), 0};
    const std::size_t equals = argument.find('=');
    if (equals == std::string_view::npos) {
        return add_error(position,
                         fmt::format("--export {}: write NAME=PATH or NAME=PATH,readonly", argument));
    }
    ExportConfig made;
    made.position = position;
    made.name = argument.substr(0, equals);
    std::string_view path = argument.substr(equals + 1);
    constexpr std::string_view readonly = ",readonly";
    if (path.ends_with(readonly)) {
        made.readonly = true;
        path.remove_suffix(readonly.size());
    }
    made.path = path;
    if (!path.starts_with('/')) {
        return add_error(position, fmt::format("--export {}: the path must begin with \"/\"", argument));
    }
    add_export(std::move(made));
}

void ConfigReader::add_listen_argument(std::string_view argument) {
    const FilePosition position{std::string(command_line), 0};
    std::expected<Endpoint, std::string_view> endpoint = parse_endpoint(argument);
    if (!endpoint) return add_error(position, fmt::format("--listen {}: {}", argument, endpoint.error()));
    Listen listen;
    listen.endpoint = std::move(*endpoint);
    listen.position = position;
    listen.every_export = true;
    listen_arguments_.push_back(std::move(listen));
}

// Adds an address, or merges it: an export's own port may also be a port of all exports.
void ConfigReader::add_listen(Listen listen) {
    std::vector<Listen>& listens = generic_.config.listens;
    for (Listen& other : listens) {
        if (other.endpoint.unix_path.empty() != listen.endpoint.unix_path.empty()) continue;
        if (other.endpoint == listen.endpoint) {
            if (!other.default_export.empty() && !listen.default_export.empty()) {
                return add_error(
                    listen.position,
                    fmt::format("[{}]: port {} already belongs to [{}]; give each export its own port",
                                listen.default_export, listen.endpoint.port, other.default_export));
            }
            if (other.default_export.empty()) other.default_export = listen.default_export;
            return;
        }
        const bool overlap = listen.endpoint.unix_path.empty() &&
                             other.endpoint.port == listen.endpoint.port &&
                             (other.endpoint.host.empty() || listen.endpoint.host.empty());
        if (overlap) {
            return add_error(
                listen.position,
                fmt::format("port {} is used on all addresses and on {}; use another", listen.endpoint.port,
                            other.endpoint.host.empty() ? listen.endpoint.host : other.endpoint.host));
        }
    }
    listens.push_back(std::move(listen));
}

void ConfigReader::make_listens() {
    const auto add_hosts = [&](const std::vector<std::string>& hosts, const Listen& pattern) {
        static const std::vector<std::string> everywhere{""};
        for (const std::string& host : hosts.empty() ? everywhere : hosts) {
            Listen listen = pattern;
            listen.endpoint.host = host;
            add_listen(std::move(listen));
        }
    };
    if (!listen_arguments_.empty()) {
        for (Listen& listen : listen_arguments_) add_listen(std::move(listen));
    } else {
        if (!generic_.unixsock.empty()) {
            add_listen({{.host = {}, .port = 0, .unix_path = generic_.unixsock},
                        generic_.unixsock_position,
                        true,
                        {}});
        }
        if (generic_.unixsock.empty() || generic_.duallisten) {
            const Listen pattern{
                {.host = {}, .port = generic_.port, .unix_path = {}}, generic_.listenaddr_position, true, {}};
            add_hosts(generic_.listenaddr, pattern);
        }
    }
    for (const ExportConfig& one : generic_.config.exports) {
        if (one.port == 0) continue;
        const Listen pattern{{.host = {}, .port = one.port, .unix_path = {}}, one.position, false, one.name};
        add_hosts(one.listenaddr.value_or(generic_.listenaddr), pattern);
    }
}

// A writable volume is opened once, either through the page cache or around it. An export without `cache`
// follows an export that has it.
void ConfigReader::check_cache_modes() {
    std::map<std::string_view, const ExportConfig*> writers;
    for (const ExportConfig& one : generic_.config.exports) {
        if (one.readonly || !one.cache) continue;
        const ExportConfig& other = *writers.try_emplace(one.path, &one).first->second;
        if (one.direct() == other.direct()) continue;
        add_error(one.position,
                  fmt::format("[{}] and [{}] both export {} for writing, one with and one without "
                              "the page cache; set the same cache for both",
                              other.name, one.name, one.path));
    }
    for (ExportConfig& one : generic_.config.exports) {
        const auto other = one.readonly || one.cache ? writers.end() : writers.find(one.path);
        if (other != writers.end()) one.cache = cache_mode(*other->second->direct(), false);
    }
}

void ConfigReader::check_flush() {
    for (const ExportConfig& one : generic_.config.exports) {
        if (one.flush || one.readonly) continue;
        warnings_.push_back(
            {one.position,
             fmt::format("[{}]: flush = false: clients consider a write durable once it is answered, so each "
                         "one waits for the disk; flush = true is faster and as safe",
                         one.name)});
    }
}

// The files are stored by export, so an export that gives each client its own disk cannot take them.
void ConfigReader::check_boot_files() {
    for (const ExportConfig& one : generic_.config.exports) {
        if (!one.bootfiles) continue;
        if (one.is_virtual())
            add_error(one.position,
                      fmt::format("[{}]: bootfiles = yes: each client gets its own file ({}); "
                                  "write a section for each host",
                                  one.name, one.by_session() ? "copyonwrite" : "%s, %n or %m in exportname"));
        else if (one.readonly)
            add_error(one.position, fmt::format("[{}]: bootfiles = yes: only clients that write may hand in "
                                                "boot files; remove readonly or bootfiles",
                                                one.name));
    }
}

namespace {

// Whether a client of the section could name the volume of the export. The export of a host's own is not
// meant: the section does not serve its name.
bool serves_volume(const CreatedExport& section, const ExportConfig& one) {
    std::string_view volume = one.path;
    constexpr std::string_view folder = "/dev/";
    if (!volume.starts_with(folder)) return false;
    volume.remove_prefix(folder.size());
    const std::string_view group = take_until(volume, '/');
    if (!may_be_of(section.pattern, group, volume)) return false;
    const auto word = word_in(section.names, section.pattern.by, one.name);
    return !word || volume_name(section.pattern, *word) != std::string(volume);
}

}  // namespace

void ConfigReader::check_created() {
    std::vector<const CreatedExport*> created;
    for (const ExportConfig& one : generic_.config.exports)
        if (one.created) created.push_back(&*one.created);
    std::ranges::move(conflicts_of(created), std::back_inserter(errors_));
    for (const ExportConfig& one : generic_.config.exports) {
        if (one.created) continue;
        const auto other = std::ranges::find_if(created, [&](const CreatedExport* section) {
            return section->by_name() && serves_volume(*section, one);
        });
        if (other != created.end())
            warnings_.push_back(
                {one.position,
                 fmt::format("[{}]: clients of [{}] can use {}, too, by its name there; rename the "
                             "volume, or use one authfile",
                             one.name, (*other)->name, one.path)});
    }
}

Config ConfigReader::finish() {
    if (generic_.config.exports.empty() && errors_.empty()) {
        add_error({main_file_, 0}, "no export defined; add a section such as [root] with an exportname");
    }
    make_listens();
    check_cache_modes();
    check_flush();
    check_boot_files();
    check_created();
    // Exports of the command line are not secret, so clients may list them; a single export needs no name.
    const bool from_arguments = std::ranges::all_of(
        generic_.config.exports, [](const ExportConfig& one) { return is_on_command_line(one.position); });
    if (from_arguments) generic_.config.allowlist = true;
    // The socket at the default path belongs to the system service.
    if (!from_arguments && generic_.config.statussocket_is_default)
        generic_.config.statussocket = default_status_socket;
    if (from_arguments && generic_.config.exports.size() == 1) {
        for (Listen& listen : generic_.config.listens)
            listen.default_export = generic_.config.exports.front().name;
    }
    return std::move(generic_.config);
}

}  // namespace holdfast::server
