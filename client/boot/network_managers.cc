// ifupdown has no configuration folder in /run, only /run/network/ifstate, its list of the interfaces that it
// brought up: every ifup leaves a listed interface alone, but `ifdown -a` takes it down. Therefore, under
// systemd, drop-ins exclude the interface from the units; under sysvinit the shutdown script that would run
// `ifdown -a` does nothing while /dev/nbd* is mounted.
//
// A bridge that ifupdown makes of such an interface is brought up, but not taken down with the machine: that
// would take the interface down, too.
//
// ifupdown-ng has /run/ifstate for the same purpose (its ifstate(5)), but no list of exclusions for `ifdown
// -a`. Therefore its unit is configured to take nothing down.

#include "client/boot/network_managers.hh"

#include <fmt/core.h>
#include <fnmatch.h>

#include <algorithm>

#include "common/text/ini.hh"
#include "common/text/words.hh"

namespace holdfast::client {
namespace {

constexpr std::string_view ifdown_command = "/sbin/ifdown -a --read-environment --exclude=lo";  // its unit's
constexpr const char* head = "# Made by holdfast-client: the root disk uses this interface.\n";

bool contains(const std::vector<std::string>& interfaces, std::string_view name) {
    return std::ranges::find(interfaces, name) != interfaces.end();
}

std::string joined(const std::vector<std::string>& words, std::string_view before, std::string_view between) {
    std::string text;
    for (const std::string& word : words)
        text += fmt::format("{}{}{}", text.empty() ? "" : between, before, word);
    return text;
}

// Calls `visit` with each line's number and text.
template <class Visit>
void for_each_line(std::string_view text, Visit visit) {
    for (unsigned number = 1; !text.empty(); ++number) {
        const std::size_t end = text.find('\n');
        visit(number, text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
}

// EnvironmentFile= is a cumulative list: the last file read takes precedence. The exclusions of the
// environment would also keep `ifup -a` from the bridges.
std::string networking_drop_in(const std::vector<std::string>& above) {
    std::string text = fmt::format("{}[Service]\nEnvironmentFile=-/run/holdfast/networking.env\n", head);
    if (!above.empty())
        text += fmt::format("ExecStop=\nExecStop={} {}\n", ifdown_command, joined(above, "--exclude=", " "));
    return text;
}

std::vector<RunFile> against_ifupdown(Init init, const std::vector<std::string>& interfaces,
                                      const Ifupdown& ifupdown) {
    std::vector<RunFile> files;
    std::string state;
    for (const std::string& name : interfaces) state += fmt::format("{0}={0}\n", name);
    files.push_back({"/run/network/ifstate", state, true});
    std::string all = ifupdown.excluded;
    for (const std::string& name : interfaces) all += (all.empty() ? "" : " ") + name;
    files.push_back(
        {"/run/holdfast/networking.env", fmt::format("{}EXCLUDE_INTERFACES=\"{}\"\n", head, all)});
    if (init != Init::systemd) return files;
    files.push_back(
        {"/run/systemd/system/networking.service.d/holdfast.conf", networking_drop_in(ifupdown.above)});
    for (const auto& names : {interfaces, ifupdown.above})
        for (const std::string& name : names)
            files.push_back({fmt::format("/run/systemd/system/ifup@{}.service.d/holdfast.conf", name),
                             fmt::format("{}[Service]\nExecStop=\n", head)});
    return files;
}

std::vector<RunFile> against_ifupdown_ng(Init init, const std::vector<std::string>& interfaces) {
    std::string state;
    for (const std::string& name : interfaces) state += fmt::format("{0}={0} 1 explicit\n", name);
    std::vector<RunFile> files{{"/run/ifstate", state, true}};
    if (init == Init::systemd)
        files.push_back({"/run/systemd/system/networking.service.d/holdfast.conf",
                         fmt::format("{}[Service]\nExecStop=\n", head)});
    return files;
}

// An interface without management counts for nothing in systemd-networkd-wait-online: see
// network-hooks/wait-online.
std::vector<RunFile> against_networkd(const std::vector<std::string>& interfaces) {
    return {{fmt::format("/run/systemd/network/{}", network_file_name),
             fmt::format("{}[Match]\nName={}\n\n[Link]\nUnmanaged=yes\n", head, joined(interfaces, "", " "))},
            {"/run/systemd/system/systemd-networkd-wait-online.service.d/holdfast.conf",
             fmt::format("{}[Service]\nExecCondition=/bin/sh /usr/libexec/holdfast/wait-online\n", head)}};
}

}  // namespace

std::vector<RunFile> files_against(NetworkOwner owner, Init init, const std::vector<std::string>& interfaces,
                                   const Ifupdown& ifupdown) {
    if (interfaces.empty()) return {};
    switch (owner) {
        case NetworkOwner::ifupdown:
            return ifupdown.is_ng ? against_ifupdown_ng(init, interfaces)
                                  : against_ifupdown(init, interfaces, ifupdown);
        case NetworkOwner::networkd:
            if (init != Init::systemd) return {};
            return against_networkd(interfaces);
        case NetworkOwner::network_manager:
            return {{fmt::format("/run/NetworkManager/conf.d/{}", network_manager_file_name),
                     fmt::format("{}[device-holdfast]\nmatch-device={}\nmanaged=0\n", head,
                                 joined(interfaces, "interface-name:=", ","))}};
    }
    return {};
}

std::string excluded_interfaces(std::string_view text) {
    std::string value;
    for_each_line(text, [&value](unsigned, std::string_view line) {
        constexpr std::string_view key = "EXCLUDE_INTERFACES=";
        if (!line.starts_with(key)) return;
        value.clear();
        for (const char c : line.substr(key.size()))
            if (c != '"' && c != '\'') value += c;
    });
    return value;
}

std::vector<std::string> interfaces_above(std::string_view text, const std::vector<std::string>& interfaces) {
    const std::vector<std::string> keys{"bridge_ports", "bridge-ports", "bond-slaves", "bond_slaves",
                                        "slaves"};
    std::vector<std::string> above;
    std::string name;
    for_each_line(text, [&](unsigned, std::string_view line) {
        const std::vector<std::string_view> words = words_of(line);
        if (words.size() < 2) return;
        if (words[0] == "iface") name = words[1];
        if (!contains(keys, words[0]) || name.empty() || contains(above, name)) return;
        const bool has_port = std::ranges::any_of(words, [&](std::string_view word) {
            return contains(interfaces, word) || contains(above, word) || word == "all" || word == "regex";
        });
        if (has_port) above.push_back(name);
    });
    return above;
}

std::optional<std::string> place_in_interfaces(std::string_view file, std::string_view text,
                                               const std::vector<std::string>& interfaces) {
    std::optional<std::string> place;
    for_each_line(text, [&](unsigned number, std::string_view line) {
        const std::vector<std::string_view> words = words_of(line);
        if (!place && words.size() > 1 && words[0] == "iface" && contains(interfaces, words[1]))
            place = fmt::format("{}:{}", file, number);
    });
    return place;
}

std::optional<std::string> place_in_network_file(std::string_view file, std::string_view text,
                                                 const std::vector<std::string>& interfaces) {
    std::vector<Remark> ignored;
    for (const IniSection& section : scan_ini(file, text, "", ignored)) {
        if (section.name != "Match") continue;
        for (const IniEntry& entry : section.entries) {
            if (entry.key != "Name") continue;
            for (const std::string_view pattern : words_of(entry.value))
                for (const std::string& name : interfaces)
                    if (::fnmatch(std::string(pattern).c_str(), name.c_str(), 0) == 0)
                        return to_string(entry.position);
        }
    }
    return std::nullopt;
}

std::optional<std::string> place_in_keyfile(std::string_view file, std::string_view text,
                                            const std::vector<std::string>& interfaces) {
    std::vector<Remark> ignored;
    for (const IniSection& section : scan_ini(file, text, "", ignored))
        for (const IniEntry& entry : section.entries)
            if (section.name == "connection" && entry.key == "interface-name" &&
                contains(interfaces, entry.value))
                return to_string(entry.position);
    return std::nullopt;
}

}  // namespace holdfast::client
