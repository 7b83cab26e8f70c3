// Every mistake names its line: a volume that is created wrongly is noticed late.

#include "common/golden/created_export.hh"

#include <fmt/core.h>

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "common/text/number.hh"
#include "common/text/text.hh"

namespace holdfast {
namespace {

constexpr std::string_view create_forms =
    "write \"snapshot of GROUP/VOLUME\", \"copy of GROUP/VOLUME\", \"empty 20G\" or \"empty 20G in "
    "GROUP/POOL\"";

constexpr std::string_view size_form = "a size is a number and K, M, G or T, at least 1M, for example 20G";

// Reads "20G": K, M, G and T are powers of 1024.
std::optional<std::uint64_t> size_of(std::string_view text) {
    constexpr std::string_view units = "KMGT";
    constexpr std::uint64_t least = 1U << 20;
    if (text.empty()) return std::nullopt;
    const std::size_t unit = units.find(text.back());
    if (unit == units.npos) return std::nullopt;
    const auto number = number_of<std::uint64_t>(text.substr(0, text.size() - 1));
    const unsigned bits = 10 * (static_cast<unsigned>(unit) + 1);
    if (!number || *number > (static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) >> bits))
        return std::nullopt;
    const std::uint64_t size = *number << bits;
    return size < least ? std::nullopt : std::optional(size);
}

struct VolumeWord {
    std::string group;
    std::string volume;
};

std::optional<VolumeWord> volume_word(std::string_view text) {
    const std::string_view group = take_until(text, '/');
    if (!is_group_name(group) || !is_volume_name(text)) return std::nullopt;
    return VolumeWord{std::string(group), std::string(text)};
}

std::expected<CreateRule, std::string> parse_empty(std::string_view rest, std::string_view group) {
    CreateRule rule;
    rule.kind = CreateRule::Kind::empty;
    const std::optional<std::uint64_t> size = size_of(take_word(rest));
    if (!size) return std::unexpected(std::string(size_form));
    rule.size = *size;
    const std::string_view in = take_word(rest);
    if (in.empty()) return rule;
    const std::optional<VolumeWord> pool = volume_word(take_word(rest));
    if (in != "in" || !pool || !trimmed(rest).empty()) return std::unexpected(std::string(create_forms));
    if (pool->group != group)
        return std::unexpected(fmt::format("the pool {}/{} is in another group than exportname, {}",
                                           pool->group, pool->volume, group));
    rule.pool = pool->volume;
    return rule;
}

// Finds the last entry of the key.
const IniEntry* entry_of(const IniSection& section, std::string_view key) {
    const IniEntry* found = nullptr;
    for (const IniEntry& one : section.entries)
        if (one.key == key) found = &one;
    return found;
}

class Reading {
public:
    explicit Reading(const IniSection& section) : section_(section) {}

    CreatedExportReading read() {
        const IniEntry* const create = entry_of(section_, "create");
        const IniEntry* const copies = entry_of(section_, "copyonwrite");
        const bool by_session = copies != nullptr && is_true(*copies);
        if (by_session && create != nullptr) {
            error(*copies, "excludes create; remove one of them");
        } else if (by_session && is_set("readonly")) {
            result_.warnings.push_back({copies->position, "copyonwrite: has no effect with readonly = true"});
            refuse_without_create();
        } else if (by_session) {
            read_made(*copies, true);
        } else if (create != nullptr) {
            read_made(*create, false);
        } else {
            refuse_without_create();
        }
        return std::move(result_);
    }

private:
    void error(const IniEntry& entry, std::string_view text) {
        result_.errors.push_back({entry.position, fmt::format("{}: {}", entry.key, text)});
    }

    // Any other value than these is false, or a mistake that the server reports.
    static bool is_true(const IniEntry& entry) {
        return entry.value == "true" || entry.value == "yes" || entry.value == "1";
    }
    bool is_set(std::string_view key) const {
        const IniEntry* const entry = entry_of(section_, key);
        return entry != nullptr && is_true(*entry);
    }

    // `rule`: the entry of `create`, or of `copyonwrite` if `by_session`.
    void read_made(const IniEntry& rule, bool by_session) {
        CreatedExport made;
        made.name = section_.name;
        made.position = rule.position;
        constexpr std::size_t longest_tag = 200;  // bytes; LVM's limit is 1024
        if (encoded_word(made.name).size() > longest_tag)
            error(rule, "the export's name is too long for a tag of LVM; shorten it");
        if (by_session) {
            read_session_pattern(made, rule);
        } else {
            read_pattern(made, rule);
            refuse_without_sessions();
        }
        read_keep(made);
        read_limit(made, rule);
        read_largest(made, rule);
        read_clients(made);
        if (const IniEntry* const authfile = entry_of(section_, "authfile")) made.authfile = authfile->value;
        warn_of_strangers(made, rule);
        if (result_.errors.empty()) result_.made = std::move(made);
    }

    void warn_of_strangers(const CreatedExport& made, const IniEntry& rule) {
        if (!made.authfile.empty()) return;
        std::string_view text;
        if (made.by_name())
            text =
                "every client may use the volume of every host, because clients choose the names; set "
                "authfile";
        else if (made.clients.empty())
            text = "every client may have a volume created; set createclients or authfile";
        if (!text.empty()) result_.warnings.push_back({rule.position, fmt::format("{}: {}", rule.key, text)});
    }

    void refuse_without_create() {
        for (const char* key : {"createlimit", "createclients", "createmaxsize"}) {
            if (const IniEntry* const entry = entry_of(section_, key))
                error(*entry, "has no effect without create; add create, or remove the key");
        }
        refuse_without_sessions();
    }

    void refuse_without_sessions() {
        if (const IniEntry* const entry = entry_of(section_, "copyonwritekeep"))
            error(*entry, "has no effect without copyonwrite = true; remove the key");
    }

    void read_session_pattern(CreatedExport& made, const IniEntry& copies) {
        const IniEntry* const path = entry_of(section_, "exportname");
        if (path == nullptr) return;  // the server reports this mistake of every export
        auto pattern = parse_session_pattern(path->value);
        if (!pattern) return error(copies, pattern.error());
        made.pattern = std::move(*pattern);
        made.rule.origin_group = made.pattern.group;
        made.rule.origin = origin_of_sessions(made.pattern);
        if (section_.name.find('*') != section_.name.npos)
            error(copies, "a name with * needs create, with %n or %m in exportname");
        refuse_keys({"filesize", "identity"}, "copyonwrite");
    }

    void read_keep(CreatedExport& made) {
        const IniEntry* const entry = made.by_session() ? entry_of(section_, "copyonwritekeep") : nullptr;
        if (entry == nullptr) return;
        constexpr std::uint32_t least = 60;  // a reconnect takes some time
        constexpr std::uint32_t most = 366 * 86'400;
        const auto keep = number_of<std::uint32_t>(entry->value);
        if (!keep || *keep < least || *keep > most)
            return error(*entry, fmt::format("\"{}\" is not a number of seconds from {} to {}", entry->value,
                                             least, most));
        made.keep = std::chrono::seconds(*keep);
    }

    void read_pattern(CreatedExport& made, const IniEntry& create) {
        const IniEntry* const path = entry_of(section_, "exportname");
        if (path == nullptr) return error(create, "missing exportname; write /dev/GROUP/NAME-%s");
        auto pattern = parse_volume_pattern(path->value);
        if (!pattern) return error(*path, fmt::format("with create, {}", pattern.error()));
        made.pattern = std::move(*pattern);
        read_names(made);
        auto rule = parse_create_rule(create.value, made.pattern.group);
        if (!rule) return error(create, rule.error());
        made.rule = std::move(*rule);
        if (may_be_of(made.pattern, made.rule.origin_group, made.rule.origin))
            error(create, "exportname could give a host the golden volume itself; rename one of them");
        refuse_others();
    }

    void read_names(CreatedExport& made) {
        if (!made.by_name()) {
            if (section_.name.find('*') != section_.name.npos)
                result_.errors.push_back(
                    {section_.position,
                     fmt::format("[{}]: a name with * needs %n or %m in exportname", section_.name)});
            return;
        }
        auto names = parse_name_pattern(section_.name);
        if (names)
            made.names = std::move(*names);
        else
            result_.errors.push_back(
                {section_.position, fmt::format("[{}]: {}", section_.name, names.error())});
    }

    void refuse_others() {
        const IniEntry* const style = entry_of(section_, "virtstyle");
        if (style != nullptr && style->value != "ipliteral")
            error(*style, "with create, only ipliteral gives each host a volume of its own");
        refuse_keys({"filesize", "identity"}, "create");
    }

    void refuse_keys(std::initializer_list<const char*> keys, std::string_view with) {
        for (const char* key : keys) {
            if (const IniEntry* const entry = entry_of(section_, key))
                error(*entry, fmt::format("has no meaning together with {}; remove one of them", with));
        }
    }

    void read_limit(CreatedExport& made, const IniEntry& create) {
        constexpr std::uint32_t most = 10'000;
        constexpr std::uint32_t for_sessions = 100;  // nbd-server has no such key
        const IniEntry* const entry = entry_of(section_, "createlimit");
        if (entry == nullptr && made.by_session()) {
            made.limit = for_sessions;
            return;
        }
        if (entry == nullptr)
            return error(create, "missing createlimit; set the largest number of volumes, for example 100");
        const auto limit = number_of<std::uint32_t>(entry->value);
        if (!limit || *limit == 0 || *limit > most)
            return error(*entry, fmt::format("\"{}\" is not a number from 1 to {}", entry->value, most));
        made.limit = *limit;
    }

    void read_largest(CreatedExport& made, const IniEntry& create) {
        const IniEntry* const entry = entry_of(section_, "createmaxsize");
        if (entry == nullptr) return;
        const std::optional<std::uint64_t> size = size_of(entry->value);
        if (!size) return error(*entry, size_form);
        made.largest = *size;
        if (const std::string why = why_too_large(made, made.rule.size); !why.empty())
            error(create, "the volumes would have " + why);
    }

    void read_clients(CreatedExport& made) {
        const IniEntry* const entry = entry_of(section_, "createclients");
        if (entry == nullptr) return;
        std::string_view rest = entry->value;
        if (trimmed(rest).empty())
            return error(*entry, "empty; name addresses or networks, or remove the key");
        while (!rest.empty()) {
            const auto network = parse_network(trimmed(take_until(rest, ',')));
            if (!network) return error(*entry, network.error());
            made.clients.push_back(*network);
        }
    }

    const IniSection& section_;
    CreatedExportReading result_;
};

// Sessions have random words: those of two exports of the same volume do not meet.
bool may_share_volume(const CreatedExport& one, const CreatedExport& other) {
    return !(one.by_session() && other.by_session()) && may_collide(one.pattern, other.pattern);
}

}  // namespace

std::expected<CreateRule, std::string> parse_create_rule(std::string_view text, std::string_view group) {
    const std::string_view kind = take_word(text);
    if (kind == "empty") return parse_empty(text, group);
    CreateRule rule;
    if (kind != "snapshot" && kind != "copy") return std::unexpected(std::string(create_forms));
    rule.kind = kind == "copy" ? CreateRule::Kind::copy : CreateRule::Kind::snapshot;
    const std::string_view of = take_word(text);
    std::optional<VolumeWord> golden = volume_word(take_word(text));
    if (of != "of" || !golden || !trimmed(text).empty()) return std::unexpected(std::string(create_forms));
    if (rule.kind == CreateRule::Kind::snapshot && golden->group != group)
        return std::unexpected(fmt::format("a snapshot of {}/{} is in the same group; exportname has {}",
                                           golden->group, golden->volume, group));
    rule.origin_group = std::move(golden->group);
    rule.origin = std::move(golden->volume);
    return rule;
}

CreatedExportReading read_created_export(const IniSection& section) { return Reading(section).read(); }

std::vector<Remark> conflicts_of(const std::vector<const CreatedExport*>& exports) {
    std::vector<Remark> found;
    for (std::size_t i = 0; i < exports.size(); ++i) {
        const CreatedExport& one = *exports[i];
        for (std::size_t j = 0; j < exports.size(); ++j) {
            const CreatedExport& other = *exports[j];
            if (j < i && may_share_volume(one, other))
                found.push_back(
                    {one.position, fmt::format("[{}] and [{}] could give two hosts the same volume; use "
                                               "names that differ in a character before %s",
                                               other.name, one.name)});
            if (j < i && one.by_name() && other.by_name() && may_both_match(one.names, other.names))
                found.push_back(
                    {one.position, fmt::format("[{}] and [{}] could match the same name; use names "
                                               "that differ in a character before the *",
                                               other.name, one.name)});
            if (j != i && may_be_of(one.pattern, other.rule.origin_group, other.rule.origin))
                found.push_back(
                    {other.position, fmt::format("create: exportname of [{}] could give a host the "
                                                 "golden volume {}/{}; rename one of them",
                                                 one.name, other.rule.origin_group, other.rule.origin)});
        }
    }
    return found;
}

std::string why_too_large(const CreatedExport& config, std::uint64_t size) {
    if (config.largest == 0 || size <= config.largest) return {};
    return fmt::format("{} bytes, more than createmaxsize = {} bytes", size, config.largest);
}

std::string why_not_for(const CreatedExport& config, std::string_view host) {
    const std::optional<Address> address = parse_address(host);
    if (host != "unix" && (!address || to_string(*address) != host)) return "the host is no address";
    if (config.clients.empty()) return {};
    if (address &&
        std::ranges::any_of(config.clients, [&](const Network& one) { return one.contains(*address); }))
        return {};
    return "createclients does not contain this host";
}

}  // namespace holdfast
