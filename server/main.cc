// holdfast-server: assembles the parts, in the order that privileges and forking need.

#include <fmt/core.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "common/linux/log.hh"
#include "common/linux/service_notice.hh"
#include "common/linux/standard_streams.hh"
#include "common/text/plural.hh"
#include "server/config/config_file.hh"
#include "server/config/options.hh"
#include "server/listen/inherited_sockets.hh"
#include "server/opener/disk_identity.hh"
#include "server/opener/disk_opening.hh"
#include "server/process/daemonize.hh"
#include "server/process/helper_process.hh"
#include "server/process/selinux_domain.hh"
#include "server/process/service_user.hh"
#include "server/process/system_call_filter.hh"
#include "server/server.hh"
#include "server/status/status_command.hh"

namespace holdfast::server {
namespace {

constexpr const char* program = "holdfast-server";

// Exit statuses, documented in holdfast-server(8).
enum Exit : int { good = 0, not_started = 1, bad_usage = 2, left_stuck = 3 };

void print(std::FILE* stream, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stream);
    std::fputc('\n', stream);
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

std::string lines_of(const std::vector<Remark>& remarks, std::string_view kind) {
    std::string lines;
    for (const Remark& one : remarks)
        lines += fmt::format("{}: {}: {}\n", to_string(one.place), kind, one.text);
    return lines;
}

// Findings about the disks and authfiles of a configuration, as lines.
struct Findings {
    std::string fault;  // not empty: why there are no findings
    std::size_t mistakes = 0;
    std::string remarks;
    std::string disks;
};

// Probes the disks in a child: a disk that hangs blocks the probing process, which then cannot end.
Findings find_apart(const Config& config, bool sound) {
    constexpr std::chrono::seconds patience{15};  // look_around() ends by itself before that
    const auto reply = ask_helper(
        [&] {
            (void)::dup2(STDOUT_FILENO, STDERR_FILENO);  // readers of the output must not wait for a child
            const Surroundings around = look_around(config);
            const HangingPaths hanging(around.hanging.begin(), around.hanging.end());
            OpenerAnswer answer;
            answer.packed.number(around.mistakes.size());
            answer.packed.text(lines_of(around.mistakes, "error") + lines_of(around.warnings, "warning"));
            answer.packed.text(sound ? identities(config, hanging) + cache_modes(config, hanging) : "");
            return answer;
        },
        patience);
    Findings findings;
    if (reply) {
        Unpacker from(reply->bytes);
        findings.mistakes = from.number<std::size_t>();
        findings.remarks = from.text();
        findings.disks = from.text();
        if (from.complete()) return findings;
    }
    const std::string why = reply ? "the answer was not whole" : reply.error();
    return {"the disks and authfiles were not checked: " + why, 0, {}, {}};
}

int exit_of(const std::vector<Remark>& errors) {
    const bool usage = std::ranges::any_of(errors, is_on_command_line, &Remark::place);
    return usage ? bad_usage : not_started;
}

// Returns the place of the key, or of the file if the default user or the name service is at fault.
Remark remark_of(const ServiceUserFault& fault, const Config& config, const std::string& config_path) {
    const Place& place = fault.of_group ? config.group_place : config.user_place;
    return {place.file.empty() ? Place{config_path, 0} : place, fault.text};
}

// Reports everything about the configuration, for a person or a script at a terminal.
int check(const Options& options) {
    const ConfigTexts texts = read_config_files_apart(options);
    LoadedConfig loaded = make_config(options, texts);
    const bool starts = make_config_for_start(options, texts).errors.empty();
    const std::expected<std::optional<ServiceUser>, ServiceUserFault> identity =
        find_identity(loaded.config.user, loaded.config.group);
    const Findings found = find_apart(loaded.config, loaded.errors.empty());
    if (!identity) loaded.errors.push_back(remark_of(identity.error(), loaded.config, options.config));
    std::fputs((lines_of(loaded.errors, "error") + lines_of(loaded.warnings, "warning")).c_str(), stdout);
    std::fputs(found.remarks.c_str(), stdout);
    const std::size_t mistakes = loaded.errors.size() + found.mistakes;
    if (mistakes != 0) {
        print(stdout, fmt::format("{}; holdfast-server would {}", counted(mistakes, "mistake"),
                                  loaded.errors.empty() ? "let nobody in where it needs these files"
                                  : starts && identity  ? "start without these files of the includedir"
                                                        : "not start"));
        return exit_of(loaded.errors);
    }
    if (!found.fault.empty()) {
        print(stdout, found.fault);
        return not_started;
    }
    std::fputs(found.disks.c_str(), stdout);
    print(stdout, fmt::format("good: {}", counted(loaded.config.exports.size(), "export")));
    return good;
}

// Raises the limit: each connection and volume needs a descriptor. Beyond the limit, clients are refused
// individually.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

// Makes all threads share an arena: glibc would give each its own, and an idle connection needs next to no
// heap.
void share_one_heap() { (void)::mallopt(M_ARENA_MAX, 1); }

int fail(std::string_view text) {
    log::error(text);
    return not_started;
}

Result<void> give_up_privileges(const std::optional<ServiceUser>& identity) {
    if (Result<void> closed = close_way_to_privileges(); !closed) return closed;
    if (identity) {
        if (Result<void> became = become(*identity); !became) return became;
    }
    return drop_capabilities();
}

// Moves to the confined domain. Fails if the policy forbids the move: a server meant to be confined must not
// face the network unconfined.
std::expected<void, std::string> give_up_domain() {
    const std::expected<ServingDomain, std::string> domain = enter_serving_domain();
    if (!domain) {
        return std::unexpected("SELinux does not let the server give up its domain (" + domain.error() +
                               "); is the policy module holdfast_server as new as this server?");
    }
    if (*domain == ServingDomain::unknown) {
        log::warning(
            "the policy module holdfast_server is older than this server, and has no domain of its own for "
            "the process that speaks to clients; it stays in that of the other");
    }
    return {};
}

// Finds the user to switch to. A service manager may already have switched.
std::expected<std::optional<ServiceUser>, ServiceUserFault> whom_to_become(const Config& config) {
    auto identity = find_identity(config.user, config.group);
    if (!identity) return identity;
    if (*identity && ::geteuid() != 0 && (*identity)->uid != ::geteuid()) {
        log::warning(fmt::format("user = {}: only root can become another user; the server stays user {}",
                                 (*identity)->user, ::geteuid()));
        identity->reset();
    }
    if (!*identity && ::geteuid() == 0) {
        log::warning(
            fmt::format("there is no user {}, and the configuration names none: the server stays root, "
                        "though without root's privileges",
                        default_user));
    }
    return identity;
}

// Detaches, binds, drops privileges, announces readiness, then serves.
int serve(const Options& options, Config config, InheritedSockets given, Daemonizer& daemon) {
    const std::expected<std::optional<ServiceUser>, ServiceUserFault> identity = whom_to_become(config);
    if (!identity) return fail(to_string(remark_of(identity.error(), config, options.config)));
    const std::size_t export_count = config.exports.size();
    Server server(options, std::move(config), *identity, std::move(given));
    if (const auto prepared = server.prepare(!daemon.detached()); !prepared) return fail(prepared.error());
    if (!options.pid_file.empty()) {
        const auto written = write_pid_file(options.pid_file);
        if (!written) return fail(fmt::format("--pid-file {}: {}", options.pid_file, written.error()));
    }
    if (const Result<void> given_up = give_up_privileges(*identity); !given_up)
        return fail("cannot give up the privileges: " + given_up.error().message());
    if (const auto given_up = give_up_domain(); !given_up) return fail(given_up.error());
    if (daemon.detached()) {
        if (const Result<void> ready = daemon.ready(); !ready) return fail(ready.error().message());
        log::open(program, log::Sink::syslog, options.verbose ? log::Level::debug : log::Level::info);
        log::never_wait();
    }
    // Connects before the filter, which allows no connect(2).
    const ServiceManager manager = ServiceManager::of_this_process();
    if (std::expected<Fd, std::string> refused_calls = confine_system_calls(); refused_calls) {
        server.tell_of_calls(std::move(*refused_calls));
    } else {
        log::warning("the kernel takes no filter for system calls (" + refused_calls.error() +
                     "); serving without one");
    }
    log::notice(
        fmt::format("holdfast-server {} serves {}", HOLDFAST_VERSION, counted(export_count, "export")));
    manager.tell(fmt::format("READY=1\nSTATUS=Serving {}.", counted(export_count, "export")));
    switch (server.run()) {
        case Server::Outcome::clean: log::notice("stopped"); return good;
        case Server::Outcome::bereft: return fail("stopped, without the process that opens the disks");
        case Server::Outcome::stuck: break;
    }
    // Threads blocked in the disk cannot be joined, so nothing may be destroyed.
    log::finish();
    ::_exit(left_stuck);
}

int start(const Options& options) {
    log::open(program, log::default_sink(), options.verbose ? log::Level::debug : log::Level::info);
    log::never_wait();
    LoadedConfig loaded = make_config_for_start(options, read_config_files_apart(options));
    for (const Remark& one : loaded.errors) log::error(to_string(one));
    for (const Remark& one : loaded.skipped) log::error(to_string(one));
    for (const std::string& one : loaded.left_out)
        log::error(fmt::format("{}: skipped; its exports are not served until it is mended", one));
    for (const Remark& one : loaded.warnings) log::warning(to_string(one));
    if (!loaded.errors.empty()) {
        const int code = exit_of(loaded.errors);
        log::error(fmt::format("{}{}; not started", counted(loaded.errors.size(), "mistake"),
                               code == bad_usage ? "" : " in the configuration"));
        return code;
    }
    ::signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    share_one_heap();
    std::expected<InheritedSockets, std::string> given = InheritedSockets::take();
    if (!given) return fail(given.error());
    Daemonizer daemon;
    if (!options.foreground) {
        if (const Result<void> detached = daemon.detach(); !detached) return fail(detached.error().message());
    }
    return serve(options, std::move(loaded.config), std::move(*given), daemon);
}

}  // namespace
}  // namespace holdfast::server

int main(int count, char** arguments) {
    using namespace holdfast::server;
    if (!holdfast::open_standard_streams()) return not_started;
    if (count > 1 && std::string_view(arguments[1]) == "status")
        return status_command(count - 1, arguments + 1);
    const std::expected<Options, std::string> options = parse_options(count, arguments);
    if (!options) {
        print(stderr, fmt::format("{}: {}\nTry --help.", program, options.error()));
        return bad_usage;
    }
    if (options->help) {
        std::fputs(usage(), stdout);
        return good;
    }
    if (options->version) {
        print(stdout, fmt::format("{} {}", program, HOLDFAST_VERSION));
        return good;
    }
    if (options->check) return check(*options);
    const int code = start(*options);
    holdfast::log::finish();
    return code;
}
