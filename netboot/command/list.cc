// list: the hosts, for people and as JSON.

#include <fmt/core.h>

#include "common/text/json.hh"
#include "netboot/command/update.hh"
#include "netboot/plan/planned_files.hh"

namespace holdfast::netboot {
namespace {

std::string json_array(const std::vector<std::string>& texts) {
    std::string json = "[";
    for (const std::string& text : texts) json += (json.size() > 1 ? "," : "") + json_string(text);
    return json + "]";
}

std::string json_of(const Host& host, const std::optional<KernelCopy>& kernel) {
    if (!kernel) return "null";
    return fmt::format("{{\"folder\":{},\"release\":{}}}", json_string(folder_of(host, *kernel)),
                       json_string(kernel->release));
}

std::string json_of(const TreeSettings& settings, const Host& host) {
    return fmt::format(
        "{{\"host\":{},\"export\":{},\"server\":{},\"uuid\":{},\"macs\":{},\"ips\":{},\"default\":{},"
        "\"kernel\":{},"
        "\"previous\":{},\"command_line\":{}}}",
        json_string(host.name), json_string(host.export_name),
        json_string(host.server.empty() ? settings.server : host.server),
        host.keys.uuid.empty() ? "null" : json_string(host.keys.uuid), json_array(host.keys.macs),
        json_array(host.keys.ips), host.name == settings.default_host, json_of(host, host.kernel),
        json_of(host, host.previous), json_string(command_line_of(settings, host)));
}

std::string line_of(const TreeSettings& settings, const Host& host) {
    std::string keys;
    for (const auto& list : {host.keys.macs, host.keys.ips})
        for (const std::string& key : list) keys += " " + key;
    if (!host.keys.uuid.empty()) keys += " " + host.keys.uuid;
    return fmt::format("{}: {} of {}, {}{}{}\n", host.name, host.export_name,
                       host.server.empty() ? settings.server : host.server,
                       host.kernel ? "Linux " + host.kernel->release : "no kernel",
                       keys.empty() ? "" : "," + keys, host.name == settings.default_host ? ", default" : "");
}

}  // namespace

ExitCode run_list(const Options& options) {
    const auto open = open_tree(options);
    if (!open) return fail(open.error());
    const TreeState& state = open->state;
    std::string text = options.json ? "[" : "";
    for (const Host& host : state.hosts) {
        if (options.json)
            text += (text.size() > 1 ? ",\n" : "") + json_of(state.settings, host);
        else
            text += line_of(state.settings, host);
    }
    say(options.json ? text + "]\n" : text);
    return ExitCode::ok;
}

}  // namespace holdfast::netboot
