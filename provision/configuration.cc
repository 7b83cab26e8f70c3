// The files are those that the server reads: the main file, and the *.conf files of its includedir.

#include "provision/configuration.hh"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/linux/folder.hh"
#include "common/linux/text_file.hh"
#include "common/text/text.hh"

namespace holdfast::provision {
namespace {

constexpr std::size_t largest_file = 4U << 20;
constexpr std::string_view sections_expected = "[generic] or [EXPORT]";

struct Sections {
    std::vector<IniSection> all;
    std::vector<Remark> errors;
};

void add_file(Sections& sections, const std::string& path) {
    const Result<std::string> text = read_text_file(path, largest_file);
    if (!text) {
        sections.errors.push_back({{path, 0}, text.error().message()});
        return;
    }
    std::vector<IniSection> found = scan_ini(path, *text, sections_expected, sections.errors);
    std::ranges::move(found, std::back_inserter(sections.all));
}

std::string generic_value(const Sections& sections, std::string_view key) {
    std::string value;
    for (const IniSection& section : sections.all) {
        if (section.name != "generic") continue;
        for (const IniEntry& entry : section.entries)
            if (entry.key == key) value = entry.value;
    }
    return value;
}

Sections read_sections(const std::string& main_file) {
    Sections sections;
    add_file(sections, main_file);
    const std::string folder = generic_value(sections, "includedir");
    if (folder.empty()) return sections;
    for (const std::string& name : names_in(folder))
        if (name.ends_with(".conf")) add_file(sections, fmt::format("{}/{}", folder, name));
    return sections;
}

struct Exports {
    std::map<std::string, CreatedExport> created;
    bool has_section = false;  // the name is that of a section, with or without `create`
    std::string path;          // exportname of this section
};

std::string path_of(const IniSection& section) {
    std::string path;
    for (const IniEntry& entry : section.entries)
        if (entry.key == "exportname") path = entry.value;
    return path;
}

std::expected<Exports, std::string> read_exports(const std::string& main_file, std::string_view name) {
    const Sections sections = read_sections(main_file);
    if (!sections.errors.empty()) return std::unexpected(to_string(sections.errors.front()));
    Exports exports;
    for (const IniSection& section : sections.all) {
        if (section.name == "generic") continue;
        if (section.name == name && std::exchange(exports.has_section, true))
            return std::unexpected(fmt::format("{}: duplicate section", to_string(section.position)));
        if (section.name == name) exports.path = path_of(section);
        CreatedExportReading reading = read_created_export(section);
        if (!reading.errors.empty()) return std::unexpected(to_string(reading.errors.front()));
        if (reading.made) exports.created.emplace(section.name, std::move(*reading.made));
    }
    std::vector<const CreatedExport*> all;
    all.reserve(exports.created.size());
    for (const auto& [key, value] : exports.created) all.push_back(&value);
    if (const auto conflicts = conflicts_of(all); !conflicts.empty())
        return std::unexpected(to_string(conflicts.front()));
    return exports;
}

std::optional<FoundExport> find_by_name(std::map<std::string, CreatedExport>& created,
                                        std::string_view name) {
    for (auto& [key, config] : created) {
        if (!config.by_name()) continue;
        if (auto word = word_in(config.names, config.pattern.by, name))
            return FoundExport{std::move(config), std::move(*word)};
    }
    return std::nullopt;
}

std::expected<SnapshotTarget, std::string> target_of_host(const CreatedExport& config,
                                                          const std::string& host) {
    if (host.empty()) return std::unexpected("each host has a volume of its own; name the host with --host");
    const auto word = word_of({config, {}}, host, {}, true);
    if (!word) return std::unexpected(word.error());
    const auto volume = volume_name(config.pattern, *word);
    if (!volume) return std::unexpected(volume.error());
    return SnapshotTarget{
        config.name,
        *word,
        config.pattern.group,
        *volume,
        {"holdfast.export=" + encoded_word(config.name), "holdfast.host=" + encoded_word(*word)}};
}

}  // namespace

std::expected<FoundExport, std::string> find_export(const std::string& main_file, std::string_view name) {
    std::expected<Exports, std::string> exports = read_exports(main_file, name);
    if (!exports) return std::unexpected(exports.error());
    std::map<std::string, CreatedExport>& created = exports->created;
    if (const auto found = created.find(std::string(name)); found != created.end())
        return FoundExport{std::move(found->second), {}};
    std::optional<FoundExport> found;
    if (!exports->has_section) found = find_by_name(created, name);
    if (!found) return std::unexpected("no export of this name has create");
    return std::move(*found);
}

std::expected<std::vector<CreatedExport>, std::string> created_exports(const std::string& main_file) {
    std::expected<Exports, std::string> exports = read_exports(main_file, {});
    if (!exports) return std::unexpected(exports.error());
    std::vector<CreatedExport> all;
    for (auto& [name, config] : exports->created) all.push_back(std::move(config));
    return all;
}

std::expected<std::string, std::string> word_of(const FoundExport& found, std::string_view host,
                                                std::string_view session, bool by_root) {
    const CreatedExport& config = found.config;
    if (config.by_session()) {
        std::optional<std::string> word = host_word(HostKind::session, by_root ? host : session);
        if (word) return std::move(*word);
        return std::unexpected("not a session; holdfast-server volumes shows them");
    }
    if (!session.empty()) return std::unexpected("the export has no volumes of sessions");
    if (!config.by_name()) return std::string(host);
    if (!by_root && found.word.empty()) return std::unexpected("no host has the name of the section");
    if (!by_root) return found.word;
    if (!found.word.empty())
        return std::unexpected(
            fmt::format("this is the export of one host; write --export '{}'", config.name));
    std::optional<std::string> word = host_word(config.pattern.by, host);
    if (word) return std::move(*word);
    return std::unexpected(config.pattern.by == HostKind::mac
                               ? "the host is no MAC address"
                               : "the host is no name of lower-case letters, digits, \"-\" and \".\"");
}

std::expected<SnapshotTarget, std::string> find_snapshot_target(const std::string& main_file,
                                                                const std::string& name,
                                                                const std::string& host) {
    std::expected<Exports, std::string> exports = read_exports(main_file, name);
    if (!exports) return std::unexpected(exports.error());
    if (!exports->has_section) return std::unexpected("no export of this name is in the configuration");
    // An export with copyonwrite has snapshots of the volume that all sessions begin with.
    const auto found = exports->created.find(name);
    if (found != exports->created.end() && !found->second.by_session())
        return target_of_host(found->second, host);
    if (!host.empty()) return std::unexpected("the export has one volume for all clients; omit --host");
    std::string_view volume = exports->path;
    constexpr std::string_view folder = "/dev/";
    if (volume.starts_with(folder)) volume.remove_prefix(folder.size());
    const std::string_view group = take_until(volume, '/');
    if (!exports->path.starts_with(folder) || !is_group_name(group) || group == "mapper" ||
        !is_volume_name(volume))
        return std::unexpected(
            fmt::format("exportname {} is no logical volume /dev/GROUP/VOLUME", exports->path));
    return SnapshotTarget{name, {}, std::string(group), std::string(volume), {}};
}

std::string refusal_of(const CreatedExport& config, std::string_view host) {
    if (std::string why = why_not_for(config, host); !why.empty()) return why;
    const std::optional<Address> address = parse_address(host);
    if (config.authfile.empty() || !address) return {};
    const Result<std::string> text = read_text_file(config.authfile, largest_file);
    if (!text) return fmt::format("authfile {}: {}", config.authfile, text.error().message());
    const auto list = AccessList::parse(*text);
    if (!list) return fmt::format("authfile {} has a mistake; see holdfast-server --check", config.authfile);
    return list->allows(*address) ? std::string()
                                  : fmt::format("authfile {} does not contain this host", config.authfile);
}

std::string server_user(const std::string& main_file) {
    std::string user = generic_value(read_sections(main_file), "user");
    return user.empty() ? "holdfast-server" : user;
}

}  // namespace holdfast::provision
