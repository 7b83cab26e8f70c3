// import-config: shows the lines of /etc/holdfast/devices that take the place of nbd-client's configuration,
// and appends them on request. Never changes nbd-client's files.

#include <fmt/core.h>

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/command/commands.hh"
#include "client/config/config_files.hh"
#include "client/config/nbd_client_import.hh"
#include "common/text/json.hh"
#include "common/text/plural.hh"

namespace holdfast::client {
namespace {

struct Source {
    std::optional<std::string> named;
    const char* default_file;
    void (NbdClientImporter::*add)(std::string_view file, std::string_view text);
};

// Reads the files that the user has named, or else the default files that exist. The error is a line.
std::expected<Import, std::string> read_sources(const ImportConfigOptions& options) {
    const bool any_named = options.script || options.nbdtab;
    NbdClientImporter importer;
    for (const Source& source : {Source{options.nbdtab, "/etc/nbdtab", &NbdClientImporter::add_nbdtab},
                                 Source{options.script, "/etc/nbd-client", &NbdClientImporter::add_script}}) {
        if (any_named && !source.named) continue;
        const auto text = read_config_text(source.named, source.default_file);
        if (!text) return std::unexpected(text.error());
        (importer.*source.add)(source.named.value_or(source.default_file), *text);
    }
    return importer.result();
}

void complain_all(const std::vector<Remark>& remarks, std::string_view kind) {
    for (const Remark& remark : remarks) complain(fmt::format("{}{}", kind, to_string(remark)));
}

// The output is a fragment of the table, with the remaining work as comments.
std::string as_text(const Import& import, const TableAddition& addition) {
    std::string text;
    for (const ImportedDevice& device : addition.added)
        text += fmt::format("# {}\n{}\n", to_string(device.position), device.line);
    const std::vector<std::string> steps = steps_after(import);
    if (!steps.empty()) text += "#\n# Next steps:\n";
    for (const std::string& step : steps) text += fmt::format("#   {}\n", step);
    return text;
}

std::string as_json(const std::vector<Remark>& remarks) {
    std::string text = "[";
    for (const Remark& remark : remarks)
        text +=
            fmt::format("{}{{\"file\":{},\"line\":{},\"text\":{}}}", text.size() > 1 ? "," : "",
                        json_string(remark.position.file), remark.position.line, json_string(remark.text));
    return text + "]";
}

std::string as_json(const Import& import, const TableAddition& addition, bool written) {
    std::string text = "{\"devices\":[";
    for (const ImportedDevice& device : import.devices)
        text += fmt::format("{}{{\"device\":\"/dev/nbd{}\",\"file\":{},\"line\":{},\"entry\":{}}}",
                            text.ends_with('[') ? "" : ",", device.index, json_string(device.position.file),
                            device.position.line, json_string(device.line));
    text += fmt::format("],\"present\":{},\"conflicts\":{},\"errors\":{},\"notes\":{},\"steps\":[",
                        as_json(addition.present), as_json(addition.conflicts), as_json(import.errors),
                        as_json(import.notes));
    for (const std::string& step : steps_after(import))
        text += (text.ends_with('[') ? "" : ",") + json_string(step);
    return text + fmt::format("],\"written\":{}}}\n", written);
}

// Returns whether the table was changed; complains about a failure.
std::expected<bool, ExitCode> write(const std::string& file, const TableAddition& addition) {
    if (addition.added.empty()) return false;
    if (auto written = replace_config_file(file, addition.text); !written) {
        complain(fmt::format("{}: {}; nothing was written", file, written.error().message()));
        return std::unexpected(ExitCode::failure);
    }
    complain(fmt::format("{}: {} appended", file, counted(addition.added.size(), "line")));
    return true;
}

bool is_faulty(const Import& import, const TableAddition& addition) {
    return !import.errors.empty() || !addition.conflicts.empty();
}

void report(const Import& import, const TableAddition& addition) {
    complain_all(import.notes, "note: ");
    complain_all(addition.present, "note: ");
    complain_all(import.errors, "");
    complain_all(addition.conflicts, "");
    if (import.devices.empty()) complain("no devices to import");
}

void complain_unwritten(const TableAddition& addition) {
    complain(fmt::format("nothing was written, because of the errors; correct them{}",
                         addition.added.empty() ? "" : ", or append the lines below yourself"));
}

}  // namespace

ExitCode run_import_config(const ImportConfigOptions& options) {
    const std::string table_file = options.table.value_or(default_device_table);
    const auto import = read_sources(options);
    const auto table = read_config_text(std::nullopt, table_file);
    if (!import || !table) {
        complain(import ? table.error() : import.error());
        return ExitCode::usage;
    }
    const TableAddition addition = add_to_table(*import, table_file, *table);
    if (!options.json) report(*import, addition);
    const bool faulty = is_faulty(*import, addition);
    if (options.write && faulty) complain_unwritten(addition);
    const std::expected<bool, ExitCode> written =
        options.write && !faulty ? write(table_file, addition) : std::expected<bool, ExitCode>{false};
    if (!written) return written.error();
    say(options.json ? as_json(*import, addition, *written) : as_text(*import, addition));
    return faulty ? ExitCode::usage : ExitCode::ok;
}

}  // namespace holdfast::client
