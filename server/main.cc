// holdfast-server: assembles the parts, in the order that privileges and forking need.

#include <fmt/core.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "common/linux/log.hh"
#include "common/linux/service_notice.hh"
#include "common/linux/standard_streams.hh"
#include "common/text/plural.hh"
#include "server/check.hh"
#include "server/config/config_file.hh"
#include "server/config/options.hh"
#include "server/exit_status.hh"
#include "server/listen/inherited_sockets.hh"
#include "server/process/daemonize.hh"
#include "server/process/selinux_domain.hh"
#include "server/process/service_user.hh"
#include "server/process/system_call_filter.hh"
#include "server/server.hh"
#include "server/status/snapshot_command.hh"
#include "server/status/status_command.hh"
#include "server/status/volumes_command.hh"

namespace holdfast::server {
namespace {

constexpr const char* program = "holdfast-server";

void print(std::FILE* stream, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stream);
    std::fputc('\n', stream);
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
        return std::unexpected("SELinux denied the transition to the serving domain (" + domain.error() +
                               "); install the policy module holdfast_server of this version");
    }
    if (*domain == ServingDomain::unknown) {
        log::warning(
            "the policy module holdfast_server is older than this server and has no separate domain for the "
            "process that serves clients; that process stays in the domain of the opener process");
    }
    return {};
}

// Finds the user to switch to. A service manager may already have switched.
std::expected<std::optional<ServiceUser>, ServiceUserFault> whom_to_become(const Config& config) {
    auto identity = find_identity(config.user, config.group);
    if (!identity) return identity;
    if (*identity && ::geteuid() != 0 && (*identity)->uid != ::geteuid()) {
        log::warning(fmt::format("user = {}: only root can change the user; staying user {}",
                                 (*identity)->user, ::geteuid()));
        identity->reset();
    }
    if (!*identity && ::geteuid() == 0) {
        log::warning(
            fmt::format("no user {} exists, and none is configured; the server keeps uid 0, with all "
                        "capabilities dropped",
                        default_user));
    }
    return identity;
}

// Gives up the user, the capabilities and the SELinux domain of the start. The error says which of them
// stayed.
std::expected<void, std::string> give_up(const std::optional<ServiceUser>& identity) {
    if (const Result<void> given_up = give_up_privileges(identity); !given_up)
        return std::unexpected("cannot drop the privileges: " + given_up.error().message());
    return give_up_domain();
}

std::expected<void, std::string> write_pid_file_of(const Options& options) {
    if (options.pid_file.empty()) return {};
    const auto written = write_pid_file(options.pid_file);
    if (written) return {};
    return std::unexpected(fmt::format("--pid-file {}: {}", options.pid_file, written.error()));
}

// Logs to syslog from here on, and lets the caller of this command continue, who may then read the lines
// before.
Result<void> finish_detaching(Daemonizer& daemon, const Options& options) {
    if (!daemon.detached()) return {};
    log::finish();
    log::open(program, log::Sink::syslog, options.verbose ? log::Level::debug : log::Level::info);
    log::never_wait();
    return daemon.ready();
}

void confine(Server& server) {
    if (std::expected<Fd, std::string> refused_calls = confine_system_calls(); refused_calls) {
        server.tell_of_calls(std::move(*refused_calls));
    } else {
        log::warning("the kernel rejected the system call filter (" + refused_calls.error() +
                     "); serving without one");
    }
}

// Detaches, binds, drops privileges, announces readiness, then serves.
int serve(const Options& options, Config config, InheritedSockets given, Daemonizer& daemon) {
    const std::expected<std::optional<ServiceUser>, ServiceUserFault> identity = whom_to_become(config);
    if (!identity) return fail(to_string(remark_of(identity.error(), config, options.config)));
    const Counted exports = counted(config.exports.size(), "export");
    Server server(options, std::move(config), *identity, std::move(given));
    if (const auto prepared = server.prepare(!daemon.detached()); !prepared) return fail(prepared.error());
    if (const auto written = write_pid_file_of(options); !written) return fail(written.error());
    if (const auto given_up = give_up(*identity); !given_up) return fail(given_up.error());
    if (const Result<void> detached = finish_detaching(daemon, options); !detached)
        return fail(detached.error().message());
    // Connects before the filter, which allows no connect(2).
    const ServiceManager manager = ServiceManager::of_this_process();
    confine(server);
    log::notice(fmt::format("holdfast-server {} serves {}", HOLDFAST_VERSION, exports));
    manager.tell(fmt::format("READY=1\nSTATUS=Serving {}.", exports));
    switch (server.run()) {
        case Server::Outcome::clean: log::notice("stopped"); return good;
        case Server::Outcome::bereft: return fail("stopped, because the opener process ended");
        case Server::Outcome::stuck: break;
    }
    // Threads blocked in the disk cannot be joined, so nothing may be destroyed.
    log::finish();
    ::_exit(left_stuck);
}

void log_findings(const LoadedConfig& loaded) {
    for (const Remark& one : loaded.errors) log::error(to_string(one));
    for (const Remark& one : loaded.skipped) log::error(to_string(one));
    for (const std::string& one : loaded.left_out)
        log::error(fmt::format("{}: skipped; its exports are not served until it is fixed", one));
    const auto by_name = std::ranges::find_if(loaded.config.exports, &ExportConfig::by_name);
    if (loaded.config.left_out_unknown && by_name != loaded.config.exports.end())
        log::error(
            fmt::format("[{}]: serves no host until all files are read: a skipped one could have a section "
                        "of the host's own; mend them and reload",
                        by_name->name));
    for (const Remark& one : loaded.warnings) log::warning(to_string(one));
}

int start(const Options& options) {
    log::open(program, log::default_sink(), options.verbose ? log::Level::debug : log::Level::info);
    log::never_wait();
    LoadedConfig loaded = make_config_for_start(options, read_config_files_apart(options));
    log_findings(loaded);
    if (!loaded.errors.empty()) {
        const int code = exit_of(loaded.errors);
        log::error(fmt::format("{}{}; not started", counted(loaded.errors.size(), "error"),
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

// Runs the command that the first word names; nullopt: it names none.
std::optional<int> run_command(int count, char** arguments) {
    using Command = int (*)(int, char**);
    constexpr std::array<std::pair<std::string_view, Command>, 5> commands{{
        {"status", status_command},
        {"volumes", volumes_command},
        {"snapshot", snapshot_command},
        {"snapshots", snapshots_command},
        {"restore", restore_command},
    }};
    if (count < 2) return std::nullopt;
    for (const auto& [name, command] : commands)
        if (name == arguments[1]) return command(count - 1, arguments + 1);
    return std::nullopt;
}

}  // namespace
}  // namespace holdfast::server

int main(int count, char** arguments) {
    using namespace holdfast::server;
    if (!holdfast::open_standard_streams()) return not_started;
    if (const auto status = run_command(count, arguments)) return *status;
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
