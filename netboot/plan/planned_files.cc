// A file for each key and loader, with the whole text: no loader follows all of links, includes and
// redirections.

#include "netboot/plan/planned_files.hh"

#include <fmt/core.h>

#include <algorithm>

#include "netboot/loader/kernel_words.hh"
#include "netboot/loader/loader_texts.hh"
#include "netboot/loader/named_disks.hh"
#include "netboot/name/server_name.hh"

namespace holdfast::netboot {
namespace {

// iPXE writes the digits of addresses in lower case.
std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](char c) {
        return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return text;
}

constexpr std::size_t digits_of_address = 8;

// True for the file of a network, which iPXE cannot look for.
bool is_network(const std::string& file_name) { return file_name.size() < digits_of_address; }

std::optional<SerialLine> serial_line_of_host(const Host& host) {
    for (const std::string& console : host.consoles)
        if (const auto serial = serial_line_of(console)) return serial;
    return std::nullopt;
}

std::string words_of_kernel(const TreeSettings& settings, const Host& host, bool xen) {
    return command_line_of({host.root, server_of(settings, host), host.export_name, host.consoles,
                            host.append, host.shared, xen});
}

BootEntry entry_of(const TreeSettings& settings, const Host& host, const KernelCopy& kernel,
                   std::string label) {
    BootEntry entry{std::move(label),
                    fmt::format("{}, {}", host.name, title_of(kernel)),
                    folder_of(host, kernel),
                    words_of_kernel(settings, host, kernel.xen),
                    {}};
    if (kernel.xen) entry.xen = xen_words_of(host.consoles, host.xen_append);
    return entry;
}

BootEntry entry_without_xen(const TreeSettings& settings, const Host& host, KernelCopy kernel) {
    kernel.xen = false;
    BootEntry entry = entry_of(settings, host, kernel, "plain");
    entry.title += " without Xen";
    return entry;
}

bool is_disk_of(const TreeSettings& settings, const Host& host, const NamedDisk& disk) {
    const std::string server = plain_server(server_of(settings, host));
    const std::string_view port = port_in(server);
    const bool is_named = std::ranges::count(disk.exports, host.export_name) != 0;
    // A port of its own has one export.
    const bool is_default = disk.may_be_default && !port.empty();
    return (is_named && disk.is_any_server) ||
           ((is_named || is_default) && std::ranges::any_of(disk.servers, [&](const std::string& named) {
                const std::string plain = plain_server(named);
                return plain == server || (disk.is_any_server && port_in(plain) == port);
            }));
}

// A planned text, and the host whose machine gets it; empty: of the tree.
struct Plan {
    std::string host;
    std::string text;
};

std::map<std::string, Plan> plans_of(const TreeSettings& settings, const std::vector<Host>& hosts) {
    std::map<std::string, Plan> plans;
    for (auto& [path, text] : files_of(settings, hosts)) plans[path] = {"", text};
    for (const Host& host : hosts)
        for (auto& [path, text] : files_of(settings, host)) plans[path] = {host.name, text};
    return plans;
}

Texts default_files(const BootMenu& menu) {
    return {{"pxelinux.cfg/default", pxelinux_text(menu)},
            {"grub/default.cfg", grub_text(menu)},
            {"ipxe/default.ipxe", ipxe_text(menu)}};
}

}  // namespace

std::string server_of(const TreeSettings& settings, const Host& host) {
    return host.server.empty() ? settings.server : host.server;
}

std::string command_line_of(const TreeSettings& settings, const Host& host) {
    return words_of_kernel(settings, host, host.kernel && host.kernel->xen);
}

BootMenu menu_of(const TreeSettings& settings, const Host& host, std::string owner) {
    BootMenu menu{std::move(owner), {}, serial_line_of_host(host), {}};
    if (host.kernel) menu.entries.push_back(entry_of(settings, host, *host.kernel, "current"));
    if (host.kernel && host.previous)
        menu.entries.push_back(entry_of(settings, host, *host.previous, "previous"));
    if (host.kernel && host.kernel->xen)
        menu.entries.push_back(entry_without_xen(settings, host, *host.kernel));
    return menu;
}

std::string fault_with_xen(const Host& host) {
    const auto has_xen = [](const auto& kernel) { return kernel && kernel->xen; };
    if (!has_xen(host.kernel) && !has_xen(host.previous)) return "";
    const std::string which = has_xen(host.kernel) ? "" : ", which the previous kernel still has";
    if (has_separator(host.append) || has_separator(host.xen_append))
        return fmt::format("mboot.c32 takes --- as the end of a command line; omit it with Xen{}", which);
    constexpr unsigned ports_of_xen = 2;
    for (const std::string& console : host.consoles)
        if (const auto serial = serial_line_of(console); serial && serial->port >= ports_of_xen)
            return fmt::format(
                "--console {}: Xen has only the serial lines ttyS0 and ttyS1; use one of them{}", console,
                which.empty() ? "" : " with Xen" + which);
    return "";
}

Texts files_of(const TreeSettings& settings, const Host& host) {
    if (!host.kernel) return {};
    BootMenu menu = menu_of(settings, host, "the host " + host.name);
    const bool has_one_card = host.keys.macs.size() == 1 && !is_for_many(settings, host);
    const std::string only_card = has_one_card ? file_name_of_mac(host.keys.macs[0]) : "";
    Texts texts;
    for (const std::string& name : file_names_of(host.keys)) {
        menu.card = name.starts_with("01-") ? name : only_card;
        texts["pxelinux.cfg/" + name] = pxelinux_text(menu);
        texts["grub/grub.cfg-" + name] = grub_text(menu);
        if (!is_network(name)) texts["ipxe/" + lower(name) + ".ipxe"] = ipxe_text(menu);
    }
    return texts;
}

Texts files_of(const TreeSettings& settings, const std::vector<Host>& hosts) {
    const auto found = std::ranges::find(hosts, settings.default_host, &Host::name);
    Texts texts =
        default_files(found == hosts.end() ? BootMenu{"machines without an entry", {}, std::nullopt, {}}
                                           : menu_of(settings, *found, "machines without an entry"));
    texts["grub/grub.cfg"] = grub_search_text();
    texts["boot.ipxe"] = ipxe_search_text();
    return texts;
}

std::optional<Clash> clash_of(const Host& host, const std::vector<Host>& hosts) {
    const std::vector<std::string> ours = file_names_of(host.keys);
    for (const Host& other : hosts) {
        if (other.name == host.name) continue;
        for (const std::string& name : file_names_of(other.keys))
            if (std::ranges::find(ours, name) != ours.end()) return Clash{other.name, name};
    }
    return std::nullopt;
}

bool is_for_many(const TreeSettings& settings, const Host& host) {
    const auto& ips = host.keys.ips;
    return settings.default_host == host.name ||
           std::ranges::any_of(ips, [](const std::string& ip) { return ip.contains('/'); });
}

const Host* other_on_disk(const TreeSettings& settings, const Host& host, const std::vector<Host>& hosts) {
    for (const Host& other : hosts)
        if (other.name != host.name && !(host.shared && other.shared) &&
            other.export_name == host.export_name &&
            plain_server(server_of(settings, other)) == plain_server(server_of(settings, host)))
            return &other;
    return nullptr;
}

std::vector<Writer> writers_by_hand(const TreeSettings& settings, const std::vector<Host>& hosts,
                                    const Texts& texts) {
    const auto plans = plans_of(settings, hosts);
    std::vector<Writer> writers;
    for (const auto& [path, text] : texts) {
        const auto plan = plans.find(path);
        if (plan != plans.end() && plan->second.text == text) continue;
        for (const NamedDisk& disk : disks_named_in(path, text)) {
            for (const Host& host : hosts) {
                const bool is_own = plan != plans.end() && plan->second.host == host.name;
                if (!disk.writes || (is_own && !host.shared) || !is_disk_of(settings, host, disk)) continue;
                const Writer writer{path, host.name, is_own};
                if (std::ranges::count(writers, writer) == 0) writers.push_back(writer);
            }
        }
    }
    return writers;
}

std::optional<Found> find_host(const Keys& machine, const std::vector<Host>& hosts) {
    for (const std::string& tried : names_tried_for(machine))
        for (const Host& host : hosts) {
            const std::vector<std::string> names = file_names_of(host.keys);
            if (host.kernel && std::ranges::find(names, tried) != names.end())
                return Found{&host, "pxelinux.cfg/" + tried};
        }
    return std::nullopt;
}

}  // namespace holdfast::netboot
