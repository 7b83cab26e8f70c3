// A child probes the disks; everything else is read here.

#include "server/check.hh"

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "common/text/plural.hh"
#include "server/config/config_file.hh"
#include "server/exit_status.hh"
#include "server/opener/disk_identity.hh"
#include "server/opener/disk_opening.hh"
#include "server/opener/disk_uses.hh"
#include "server/process/helper_process.hh"
#include "server/process/service_user.hh"

namespace holdfast::server {
namespace {

void print_line(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fputc('\n', stdout);
}

// Formats a line for each export with the identity that clients see, for comparison with another server.
// Identities of a virtual export differ by client; a missing or hanging path has been warned of.
std::string identities(const Config& config, const HangingPaths& hanging) {
    std::string lines;
    for (const ExportConfig& one : config.exports) {
        if (hanging.contains(one.path)) continue;
        const Result<std::string> identity = one.identity.empty() && !one.is_virtual()
                                                 ? disk_identity(one.path)
                                                 : Result<std::string>(one.identity);
        if (identity && !identity->empty()) lines += fmt::format("[{}]: {}\n", one.name, *identity);
    }
    return lines;
}

// Formats a line for each export with its cache mode. Omits virtual exports, whose mode depends on the
// client.
std::string cache_modes(const Config& config, const HangingPaths& hanging) {
    std::string lines;
    for (const ExportConfig& one : config.exports) {
        if (one.is_virtual() || hanging.contains(one.path)) continue;
        const auto direct = find_direct({one.path, !one.readonly, 0, one.direct()});
        if (!direct) continue;
        lines +=
            fmt::format("[{}]: cache = {}{}\n", one.name, word_of(cache_mode(*direct, one.durable_writes())),
                        one.cache ? "" : " (default)");
    }
    return lines;
}

// Formats a line for each valid key that nbd-server documents, but does not read: here the key has an effect.
std::string differences(const Config& config) {
    std::string lines;
    for (const ExportConfig& one : config.exports)
        if (one.timeout.count() != 0)
            lines += fmt::format(
                "{}: note: [{}]: timeout: clients that are idle for {} s are disconnected; nbd-server "
                "ignores this key\n",
                to_string(one.position), one.name, one.timeout.count());
    return lines;
}

std::string lines_of(const std::vector<Remark>& remarks, std::string_view kind) {
    std::string lines;
    for (const Remark& one : remarks)
        lines += fmt::format("{}: {}: {}\n", to_string(one.position), kind, one.text);
    return lines;
}

// Findings about the disks and authfiles of a configuration, as lines.
struct Findings {
    std::string fault;  // not empty: why there are no findings
    std::size_t mistakes = 0;
    std::size_t refusing = 0;  // exports whose clients are refused at present
    std::string remarks;
    std::string disks;
};

// Probes the disks in a child: a disk that hangs blocks the probing process, which then cannot end.
Findings find_apart(const Config& config, bool sound) {
    constexpr std::chrono::seconds patience{15};  // look_around() ends by itself before that
    const auto reply = ask_helper(
        [&] {
            (void)::dup2(STDOUT_FILENO, STDERR_FILENO);  // readers of the output must not wait for a child
            Surroundings around = look_around(config);
            add_uses(config, {}, around);
            const HangingPaths hanging(around.hanging.begin(), around.hanging.end());
            OpenerAnswer answer;
            answer.packed.number(around.mistakes.size());
            answer.packed.number(around.refusing.size());
            answer.packed.text(lines_of(around.mistakes, "error") + lines_of(around.warnings, "warning"));
            answer.packed.text(sound ? identities(config, hanging) + cache_modes(config, hanging) : "");
            return answer;
        },
        patience);
    Findings findings;
    if (reply) {
        Unpacker from(reply->bytes);
        findings.mistakes = from.number<std::size_t>();
        findings.refusing = from.number<std::size_t>();
        findings.remarks = from.text();
        findings.disks = from.text();
        if (from.complete()) return findings;
    }
    const std::string why = reply ? "incomplete answer" : reply.error();
    return {"the disks and authfiles were not checked: " + why, 0, 0, {}, {}};
}

}  // namespace

int check(const Options& options) {
    const ConfigTexts texts = read_config_files_apart(options);
    LoadedConfig loaded = make_config(options, texts);
    const bool starts = make_config_for_start(options, texts).errors.empty();
    const std::expected<std::optional<ServiceUser>, ServiceUserFault> identity =
        find_identity(loaded.config.user, loaded.config.group);
    const Findings found = find_apart(loaded.config, loaded.errors.empty());
    if (!identity) loaded.errors.push_back(remark_of(identity.error(), loaded.config, options.config));
    std::fputs((lines_of(loaded.errors, "error") + lines_of(loaded.warnings, "warning")).c_str(), stdout);
    std::fputs((found.remarks + differences(loaded.config)).c_str(), stdout);
    const std::size_t mistakes = loaded.errors.size() + found.mistakes;
    if (mistakes != 0) {
        const bool skips_files = !loaded.errors.empty() && starts && identity;
        print_line(fmt::format("{}; holdfast-server would {}", counted(mistakes, "error"),
                               loaded.errors.empty()
                                   ? "refuse all clients of the exports that need these files"
                               : skips_files ? "start without these files of the includedir"
                                             : "not start"));
        if (loaded.errors.empty()) return exports_refused;
        return skips_files ? files_skipped : exit_of(loaded.errors);
    }
    if (!found.fault.empty()) {
        print_line(found.fault);
        return exports_refused;
    }
    std::fputs(found.disks.c_str(), stdout);
    const Counted exports = counted(loaded.config.exports.size(), "export");
    print_line(found.refusing == 0
                   ? fmt::format("good: {}", exports)
                   : fmt::format("no errors: {}, {} of which {} clients now; see the warnings", exports,
                                 found.refusing, found.refusing == 1 ? "refuses" : "refuse"));
    return good;
}

}  // namespace holdfast::server
