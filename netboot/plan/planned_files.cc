// A file for each key and loader, with the whole text: no loader follows all of links, includes and
// redirections.

#include "netboot/plan/planned_files.hh"

#include <fmt/core.h>

#include <algorithm>

#include "netboot/loader/kernel_words.hh"
#include "netboot/loader/loader_texts.hh"

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

Texts default_files(const BootMenu& menu) {
    return {{"pxelinux.cfg/default", pxelinux_text(menu)},
            {"grub/default.cfg", grub_text(menu)},
            {"ipxe/default.ipxe", ipxe_text(menu)}};
}

}  // namespace

std::string command_line_of(const TreeSettings& settings, const Host& host) {
    return command_line_of({host.root, host.server.empty() ? settings.server : host.server, host.export_name,
                            host.consoles, host.append});
}

BootMenu menu_of(const TreeSettings& settings, const Host& host, std::string owner) {
    BootMenu menu{std::move(owner), {}, serial_line_of_host(host)};
    const std::string words = command_line_of(settings, host);
    if (host.kernel)
        menu.entries.push_back({"current", fmt::format("{}, Linux {}", host.name, host.kernel->release),
                                folder_of(host, *host.kernel), words});
    if (host.kernel && host.previous)
        menu.entries.push_back({"previous", fmt::format("{}, Linux {}", host.name, host.previous->release),
                                folder_of(host, *host.previous), words});
    return menu;
}

Texts files_of(const TreeSettings& settings, const Host& host) {
    if (!host.kernel) return {};
    const BootMenu menu = menu_of(settings, host, "the host " + host.name);
    Texts texts;
    for (const std::string& name : file_names_of(host.keys)) {
        texts["pxelinux.cfg/" + name] = pxelinux_text(menu);
        texts["grub/grub.cfg-" + name] = grub_text(menu);
        if (!is_network(name)) texts["ipxe/" + lower(name) + ".ipxe"] = ipxe_text(menu);
    }
    return texts;
}

Texts files_of(const TreeSettings& settings, const std::vector<Host>& hosts) {
    const auto found = std::ranges::find(hosts, settings.default_host, &Host::name);
    Texts texts =
        default_files(found == hosts.end() ? BootMenu{"machines without an entry", {}, std::nullopt}
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
