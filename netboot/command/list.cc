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
    return fmt::format("{{\"folder\":{},\"release\":{},\"xen\":{}}}", json_string(folder_of(host, *kernel)),
                       json_string(kernel->release), kernel->xen);
}

std::string json_of(const TreeSettings& settings, const Host& host) {
    const std::string refused = reason_of_refusal(host);
    return fmt::format(
        "{{\"host\":{},\"export\":{},\"server\":{},\"uuid\":{},\"macs\":{},\"ips\":{},\"default\":{},"
        "\"shared\":{},\"kernel\":{},"
        "\"previous\":{},\"refused\":{},\"command_line\":{}}}",
        json_string(host.name), json_string(host.export_name), json_string(server_of(settings, host)),
        host.keys.uuid.empty() ? "null" : json_string(host.keys.uuid), json_array(host.keys.macs),
        json_array(host.keys.ips), host.name == settings.default_host, host.shared,
        json_of(host, host.kernel), json_of(host, host.previous),
        refused.empty() ? "null" : json_string(refused), json_string(command_line_of(settings, host)));
}

std::string line_of(const TreeSettings& settings, const Host& host) {
    std::string keys;
    for (const auto& list : {host.keys.macs, host.keys.ips})
        for (const std::string& key : list) keys += " " + key;
    if (!host.keys.uuid.empty()) keys += " " + host.keys.uuid;
    const std::string fallback =
        host.kernel && host.previous ? ", fallback " + title_of(*host.previous) : std::string();
    const std::string refused = reason_of_refusal(host);
    return fmt::format("{}: {} of {}{}, {}{}{}{}{}\n", host.name, host.export_name, server_of(settings, host),
                       host.shared ? ", shared" : "", host.kernel ? title_of(*host.kernel) : "no kernel",
                       fallback, keys.empty() ? "" : "," + keys,
                       host.name == settings.default_host ? ", default" : "",
                       refused.empty() ? "" : ", refused: " + refused);
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
