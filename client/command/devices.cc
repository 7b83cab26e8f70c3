// devices: prints the table of further devices for users, the systemd generator and the init script.

#include <fmt/core.h>

#include "client/address/uri.hh"
#include "client/command/commands.hh"
#include "client/config/config_files.hh"
#include "common/text/json.hh"

namespace holdfast::client {
namespace {

// Prints the device, auto or noauto, and the servers; scripts read the first two words.
std::string as_text(const DeviceTable& table) {
    std::string text;
    for (const DeviceLine& line : table.devices) {
        text += fmt::format("nbd{} {}", line.index, line.at_boot ? "auto" : "noauto");
        for (const ServerAddress& server : line.servers) text += " " + to_uri(server);
        text += line.refused ? " -\n" : "\n";
    }
    return text;
}

std::string as_json(const DeviceTable& table) {
    std::string text = "[";
    for (const DeviceLine& line : table.devices) {
        text +=
            fmt::format("{}{{\"device\":\"/dev/nbd{}\",\"line\":{},\"auto\":{},\"refused\":{},\"servers\":[",
                        text.size() > 1 ? "," : "", line.index, line.line, line.at_boot, line.refused);
        for (const ServerAddress& server : line.servers)
            text += (text.ends_with('[') ? "" : ",") + json_string(to_uri(server));
        text += "]}";
    }
    return text + "]\n";
}

}  // namespace

ExitCode run_devices(const DevicesOptions& options) {
    const auto table = load_device_table(options.file);
    if (!table) {
        complain(table.error());
        return ExitCode::usage;
    }
    for (const Remark& warning : table->warnings) complain("warning: " + to_string(warning));
    for (const Remark& error : table->errors) complain(to_string(error));
    if (!options.check_only)
        say(options.json ? as_json(*table) : as_text(*table));
    else if (table->errors.empty())
        say(table->file + ": good\n");
    return table->errors.empty() ? ExitCode::ok : ExitCode::usage;
}

}  // namespace holdfast::client
