// A table has all options, with the commands that accept them. getopt_long(3) splits the words.

#include "netboot/command/options.hh"

#include <fmt/core.h>
#include <getopt.h>

#include <algorithm>
#include <utility>

#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"
#include "netboot/loader/kernel_words.hh"
#include "netboot/loader/loader_files.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

using Taken = Read<void>;
using Take = Taken (*)(Options& options, const std::string& value);

struct OptionRow {
    const char* name;
    char letter;  // 0: none
    bool has_value;
    std::string_view commands;  // separated by blanks
    Take take;
};

// Stores the value that `read` accepts.
template <class Target>
Taken store(Target& target, Read<std::string> value) {
    if (!value) return unexpected(value.error());
    target = std::move(*value);
    return {};
}

// Adds to a repeatable option; an empty value clears the setting.
Taken add(std::optional<std::vector<std::string>>& target, const std::string& word,
          Read<std::string> (*read)(std::string_view)) {
    if (!target) target.emplace();
    if (word.empty()) return {};
    auto value = read(word);
    if (!value) return unexpected(value.error());
    target->push_back(std::move(*value));
    return {};
}

template <bool Options::*Flag>
Taken set(Options& options, const std::string&) {
    options.*Flag = true;
    return {};
}

template <bool Value>
Taken set_shared(Options& options, const std::string&) {
    options.shared = Value;
    return {};
}

// Value that may be empty, to clear the setting.
Read<std::string> or_empty(const std::string& word, Read<std::string> (*read)(std::string_view)) {
    return word.empty() ? Read<std::string>("") : read(word);
}

Taken add_tree(Options& options, Read<std::string> tree) {
    if (!tree) return unexpected(tree.error());
    if (std::ranges::count(options.trees, *tree) == 0) options.trees.push_back(*tree);
    options.tree = std::move(*tree);
    return {};
}

Taken add_server(Options& options, Read<std::string> server) {
    if (!server) return unexpected(server.error());
    options.servers.push_back(*server);
    options.server = std::move(*server);
    return {};
}

Read<std::string> read_path(const std::string& option, std::string_view word) {
    if (word.empty() || word.find_first_of("\n\r\",") != std::string_view::npos || trimmed(word) != word)
        return unexpected(
            fmt::format("{} {}: invalid path; use one without commas, quotes, line breaks, and "
                        "blanks at its ends",
                        option, printable(word)));
    return std::string(word);
}

Read<std::string> read_http(std::string_view word) {
    const bool good = word.starts_with("http://") && word.size() > std::string_view("http://").size() &&
                      word.find_first_of(" \t\n\r\"'\\,;") == std::string_view::npos;
    if (!good)
        return unexpected(
            fmt::format("--http {}: invalid URL; write for example http://192.0.2.1", printable(word)));
    while (word.ends_with('/')) word.remove_suffix(1);
    return std::string(word);
}

// An address without a length.
Read<std::string> read_address(std::string_view word) {
    auto address = read_ip(word);
    if (address && address->contains('/'))
        return unexpected(
            fmt::format("--address {}: this is a network; write the address of this boot server", *address));
    return address;
}

// Only the address of the network is of use; a length is checked, and may be any.
Read<std::string> read_network(std::string_view word) {
    std::string_view length = word;
    auto network = read_ip(take_until(length, '/'));
    const auto bits = number_of<unsigned>(length);
    if (!network || (word.contains('/') && (!bits || *bits > 32)))
        return unexpected(
            fmt::format("--proxy {}: invalid network; write for example 192.0.2.0", printable(word)));
    return network;
}

Taken take_xen(Options& options, const std::string& value) {
    return store(options.xen, value.empty() ? Read<std::string>("") : read_path("--xen", value));
}

Taken take_dhcp(Options& options, const std::string& value) {
    options.dhcp = dhcp_server_of(value);
    if (!options.dhcp)
        return unexpected(
            fmt::format("--dhcp {}: unknown DHCP server; use dnsmasq, isc or kea", printable(value)));
    return {};
}

Taken take_loaders(Options& options, const std::string& value) {
    options.loaders.emplace();
    for (std::string_view rest = value; !rest.empty();) {
        const std::string_view kind = take_until(rest, ',');
        if (std::ranges::none_of(loader_files, [&](const LoaderFile& file) { return file.kind == kind; }))
            return unexpected(fmt::format("--loaders {}: unknown kind of loader; use bios, uefi, xen or ipxe",
                                          printable(kind)));
        options.loaders->emplace_back(kind);
    }
    return {};
}

constexpr std::string_view changes = "init add remove default";
constexpr std::string_view can_keep = "init add remove default take";
constexpr std::string_view all = "init add remove default take list check";

constexpr OptionRow rows[] = {
    {"tree", 't', true, all,
     [](Options& o, const std::string& v) { return add_tree(o, read_path("--tree", v)); }},
    {"dry-run", 'n', false, changes, set<&Options::dry_run>},
    {"keep", 0, false, can_keep, set<&Options::keep>},
    {"force", 0, false, can_keep, set<&Options::force>},
    {"json", 'j', false, "list take", set<&Options::json>},
    {"all", 0, false, "take", set<&Options::all>},
    {"spool", 0, true, "take",
     [](Options& o, const std::string& v) { return store(o.spool, read_path("--spool", v)); }},
    {"none", 0, false, "default", set<&Options::none>},
    {"dhcp", 'd', true, "init", take_dhcp},
    {"dhcp-file", 0, true, "init",
     [](Options& o, const std::string& v) { return store(o.dhcp_file, read_path("--dhcp-file", v)); }},
    {"address", 0, true, "init",
     [](Options& o, const std::string& v) { return store(o.address, read_address(v)); }},
    {"http", 0, true, "init", [](Options& o, const std::string& v) { return store(o.http, read_http(v)); }},
    {"proxy", 0, true, "init",
     [](Options& o, const std::string& v) { return store(o.proxy, read_network(v)); }},
    {"loaders", 0, true, "init", take_loaders},
    {"from", 0, true, "init check",
     [](Options& o, const std::string& v) { return store(o.from, read_path("--from", v)); }},
    {"server", 's', true, "init add take",
     [](Options& o, const std::string& v) { return add_server(o, or_empty(v, read_server)); }},
    {"export", 'e', true, "add",
     [](Options& o, const std::string& v) { return store(o.export_name, read_export(v)); }},
    {"root", 'r', true, "add", [](Options& o, const std::string& v) { return store(o.root, read_root(v)); }},
    {"append", 'a', true, "add",
     [](Options& o, const std::string& v) { return store(o.append, read_append(v)); }},
    {"xen-append", 0, true, "add",
     [](Options& o, const std::string& v) { return store(o.xen_append, read_append(v)); }},
    {"xen", 'x', true, "add", take_xen},
    {"console", 'c', true, "add",
     [](Options& o, const std::string& v) { return add(o.consoles, v, read_console); }},
    {"mac", 'm', true, "add check",
     [](Options& o, const std::string& v) { return add(o.macs, v, read_mac); }},
    {"uuid", 'u', true, "add check",
     [](Options& o, const std::string& v) { return store(o.uuid, or_empty(v, read_uuid)); }},
    {"ip", 'i', true, "add check", [](Options& o, const std::string& v) { return add(o.ips, v, read_ip); }},
    {"shared", 0, false, "add", set_shared<true>},
    {"no-shared", 0, false, "add", set_shared<false>},
    {"kernel", 'k', true, "add",
     [](Options& o, const std::string& v) { return store(o.kernel, read_path("--kernel", v)); }},
    {"initrd", 0, true, "add",
     [](Options& o, const std::string& v) { return store(o.initrd, read_path("--initrd", v)); }},
};

constexpr int help_value = static_cast<int>(std::size(rows));
constexpr int first_value = 1000;  // for the row 0 in getopt's form

// Words of a command in getopt's form.
class Table {
public:
    explicit Table(std::string_view command) : letters_(":h") {
        for (int at = 0; const OptionRow& row : rows) {
            if (std::ranges::count(names(row.commands), command) != 0) {
                options_.push_back(
                    {row.name, row.has_value ? required_argument : no_argument, nullptr, first_value + at});
                if (row.letter != 0) letters_ += std::string(1, row.letter) + (row.has_value ? ":" : "");
            }
            ++at;
        }
        options_.push_back({"help", no_argument, nullptr, first_value + help_value});
        options_.push_back({});
    }

    [[nodiscard]] const char* letters() const { return letters_.c_str(); }
    [[nodiscard]] const option* options() const { return options_.data(); }

private:
    static std::vector<std::string_view> names(std::string_view text) {
        std::vector<std::string_view> list;
        while (!text.empty()) list.push_back(take_until(text, ' '));
        return list;
    }

    std::string letters_;
    std::vector<option> options_;
};

// Row of the option that getopt found; nullptr for --help.
const OptionRow* row_of(int found) {
    if (found >= first_value + help_value || found == 'h') return nullptr;
    if (found >= first_value) return &rows[found - first_value];
    return std::ranges::find_if(rows, [&](const OptionRow& row) { return row.letter == found; });
}

// Takes the options of the command; returns the other words, or nothing after --help.
Read<std::optional<std::vector<std::string>>> take_options(Options& options, std::vector<std::string> words) {
    const Table table(options.command);
    std::vector<char*> pointers;
    pointers.reserve(words.size() + 1);
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    ::optind = 0;  // GNU: starts anew
    ::opterr = 0;
    for (;;) {
        const int found = ::getopt_long(static_cast<int>(words.size()), pointers.data(), table.letters(),
                                        table.options(), nullptr);
        if (found == -1) break;
        if (found == ':' || found == '?')
            return unexpected(fmt::format("{}: {}; see `holdfast-netboot help {}`",
                                          printable(pointers[static_cast<std::size_t>(::optind - 1)]),
                                          found == ':' ? "needs a value" : "unknown option",
                                          options.command));
        const OptionRow* const row = row_of(found);
        if (row == nullptr) return std::nullopt;
        if (auto taken = row->take(options, ::optarg != nullptr ? ::optarg : ""); !taken)
            return unexpected(taken.error());
    }
    return std::vector<std::string>(pointers.begin() + ::optind, pointers.end() - 1);
}

Taken take_hosts(Options& options, const std::vector<std::string>& rest) {
    for (const std::string& word : rest) {
        auto host = read_host_name(word);
        if (!host) return unexpected(host.error());
        if (std::ranges::count(options.hosts, *host) == 0) options.hosts.push_back(std::move(*host));
    }
    if (options.hosts.empty() != options.all)
        return unexpected("take: name one or several hosts, or use --all; see `holdfast-netboot help take`");
    return {};
}

Taken take_arguments(Options& options, const std::vector<std::string>& rest) {
    const bool takes_one = options.command != "list";
    if (rest.size() > (takes_one ? 1U : 0U))
        return unexpected(fmt::format("{}: unexpected argument; see `holdfast-netboot help {}`",
                                      printable(rest[takes_one ? 1 : 0]), options.command));
    const bool has_one = !rest.empty();
    if (options.command == "init" && has_one) return store(options.tree, read_path("init", rest[0]));
    const bool needs_host = options.command == "add" || options.command == "remove" ||
                            (options.command == "default" && !options.none);
    if (needs_host && !has_one)
        return unexpected(
            fmt::format("{}: missing host; name one, for example workstation0", options.command));
    return has_one ? store(options.host, read_host_name(rest[0])) : Taken();
}

Taken check_trees(const Options& options) {
    if (options.trees.size() < 2 || options.all) return {};
    return unexpected(options.command == "take"
                          ? "--tree: several trees need --all, because a host belongs to one; name one tree"
                          : "--tree: used more than once; name one tree");
}

Taken check_pairs(const Options& options) {
    if (options.keep && options.force) return unexpected("--keep and --force: use one of them");
    if (options.none && !options.host.empty()) return unexpected("default: use a host or --none");
    if (options.kernel.empty() != options.initrd.empty())
        return unexpected("--kernel and --initrd: use both, of the same version");
    if (options.xen && options.kernel.empty())
        return unexpected("--xen: no kernel is named; use --kernel and --initrd, too");
    if (!options.proxy.empty() && options.dhcp != DhcpServer::dnsmasq)
        return unexpected("--proxy: only dnsmasq can be a proxyDHCP server; use --dhcp dnsmasq");
    if (!options.dhcp_file.empty() && !options.dhcp)
        return unexpected("--dhcp-file: no DHCP server is named; use --dhcp");
    return {};
}

Taken check_together(const Options& options) {
    auto checked = check_trees(options);
    return checked ? check_pairs(options) : checked;
}

// Command that the first word means.
std::string command_of(const std::string& word) {
    if (word == "--help" || word == "-h") return "help";
    if (word == "--version" || word == "-V") return "version";
    return word;
}

// Argument of `help`; empty: the overview.
std::string command_to_explain(const std::vector<std::string>& words) {
    return words.size() > 1 && words[1] != "help" ? words[1] : "";
}

}  // namespace

Read<Options> read_options(const std::vector<std::string>& words) {
    Options options;
    options.command = words.empty() ? "help" : command_of(words[0]);
    if (options.command == "version") return options;
    const bool is_help = options.command == "help";
    if (is_help) options.host = command_to_explain(words);
    const std::string& named = is_help ? options.host : options.command;
    if (help_text(named).empty())
        return unexpected(fmt::format("{}: unknown command; see `holdfast-netboot help`", printable(named)));
    if (is_help) return options;
    const auto rest = take_options(options, words);
    if (!rest) return unexpected(rest.error());
    if (!*rest) {
        options.host = std::exchange(options.command, "help");
        return options;
    }
    const auto take = options.command == "take" ? take_hosts : take_arguments;
    if (auto taken = take(options, **rest); !taken) return unexpected(taken.error());
    if (auto checked = check_together(options); !checked) return unexpected(checked.error());
    return options;
}

}  // namespace holdfast::netboot
