// The process of a request goes on when its asker has left: the host comes again, and finds its volume.

#include "provision/service.hh"

#include <fmt/ranges.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "common/golden/provision_protocol.hh"
#include "common/linux/log.hh"
#include "common/text/printable.hh"
#include "provision/configuration.hh"
#include "provision/session_sweep.hh"
#include "provision/snapshot_maker.hh"
#include "provision/volume_maker.hh"

namespace holdfast::provision {
namespace {

constexpr std::string_view nothing_to_sweep = "no volume of a lost session to remove";

// Processes at the same time; each may be a copy, or wait for its turn.
constexpr std::size_t most_requests = 512;

void answer(const Fd& asker, const ProvisionAnswer& given) {
    const std::vector<std::uint8_t> bytes = pack(given);
    (void)::send(asker.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::optional<ProvisionRequest> receive(const Fd& asker) {
    constexpr int patience_ms = 5000;
    std::array<std::uint8_t, longest_provision_request + 1> bytes{};
    pollfd wait{asker.get(), POLLIN, 0};
    if (::poll(&wait, 1, patience_ms) <= 0) return std::nullopt;
    const ssize_t count = ::recv(asker.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count <= 0) return std::nullopt;
    return unpack_provision_request(std::span(bytes).first(static_cast<std::size_t>(count)));
}

bool is_of_server(ProvisionCall call) {
    return call == ProvisionCall::make || call == ProvisionCall::end_session;
}

// Root may ask for everything; the server's user, under which systemd runs the opener, for a volume only, and
// for the end of a session, whose volume the server could overwrite, too.
bool may_ask(uid_t user, ProvisionCall call, const std::string& config) {
    if (user == 0) return true;
    if (!is_of_server(call)) return false;
    const passwd* const server = ::getpwnam(server_user(config).c_str());
    return server != nullptr && server->pw_uid == user;
}

ProvisionAnswer refused(std::string why) { return {false, std::move(why)}; }

Outcome<std::string> carry_out(const ProvisionRequest& request, VolumeMaker& maker) {
    switch (request.call) {
        case ProvisionCall::make: return request.only_say ? std::unexpected("not a question") : maker.make();
        case ProvisionCall::reset: return maker.reset(request.only_say);
        case ProvisionCall::remove: return maker.remove(request.only_say);
        case ProvisionCall::promote: return maker.promote(request.only_say);
        case ProvisionCall::end_session:
            return request.only_say ? std::unexpected("not a question") : maker.end_session();
        default: break;
    }
    return std::unexpected("unknown request");
}

// The plan for a volume in use is said, too.
ProvisionAnswer answer_for(const Outcome<std::string>& outcome, const std::string& in_use) {
    if (!outcome) return {false, outcome.error(), !in_use.empty()};
    if (in_use.empty()) return {true, *outcome, false};
    return {false, fmt::format("{} {}; once it is free, {}", in_use, text_of_use, *outcome), true};
}

ProvisionAnswer answer_about_snapshot(const ProvisionRequest& request, const Service::Setup& setup,
                                      int asker) {
    auto target = find_snapshot_target(setup.config, request.name, request.host);
    if (!target) return refused(target.error());
    const Lvm lvm;
    const VolumeLocks locks(setup.lock_folder);
    SnapshotMaker maker(lvm, locks, std::move(*target), asker);
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const SnapshotsKept kept{request.keep_count, std::chrono::days(request.keep_days)};
    const Outcome<std::string> outcome =
        request.call == ProvisionCall::snapshot
            ? maker.take(request.snapshot, request.automatic, kept, now, request.only_say)
        : request.call == ProvisionCall::restore ? maker.restore(request.snapshot, now, request.only_say)
                                                 : maker.remove(request.snapshot, request.only_say);
    return answer_for(outcome, maker.in_use());
}

ProvisionAnswer answer_to_sweep(const ProvisionRequest& request, const Service::Setup& setup) {
    const auto exports = created_exports(setup.config);
    if (!exports) return refused(exports.error());
    const Lvm lvm;
    const VolumeLocks locks(setup.lock_folder);
    const SessionSweep::Swept swept =
        SessionSweep(lvm, locks, use_of_device).sweep(*exports, since_boot(), request.only_say);
    std::string text(nothing_to_sweep);
    if (!swept.removed.empty())
        text = fmt::format("{} {}", request.only_say ? "would be removed:" : "removed",
                           fmt::join(swept.removed, ", "));
    if (swept.errors.empty()) return {true, std::move(text)};
    return refused(fmt::format("{}; {}", text, fmt::join(swept.errors, "; ")));
}

ProvisionAnswer answer_to(const ProvisionRequest& request, const Service::Setup& setup, int asker) {
    if (request.call == ProvisionCall::sweep_sessions) return answer_to_sweep(request, setup);
    if (is_of_snapshots(request.call)) return answer_about_snapshot(request, setup, asker);
    const auto found = find_export(setup.config, request.name);
    if (!found) return refused(found.error());
    const CreatedExport& config = found->config;
    const bool by_client = is_of_server(request.call);
    const auto word = word_of(*found, request.host, request.session, !by_client);
    if (!word) return refused(word.error());
    // The administrator names a host by its address only if the volumes are those of addresses.
    const bool by_address =
        request.call == ProvisionCall::make ||
        (request.call == ProvisionCall::reset && !config.by_name() && !config.by_session());
    if (const std::string why = by_address ? refusal_of(config, request.host) : std::string(); !why.empty())
        return refused(why);
    const Lvm lvm;
    const VolumeLocks locks(setup.lock_folder);
    VolumeMaker maker(lvm, locks, config, *word, asker);
    const Outcome<std::string> outcome = carry_out(request, maker);
    return answer_for(outcome, maker.in_use());
}

// Runs in a process of its own.
void serve(const Fd& asker, uid_t user, const Service::Setup& setup) {
    const std::optional<ProvisionRequest> request = receive(asker);
    if (!request) return;
    if (!may_ask(user, request->call, setup.config)) {
        log::warning(fmt::format("refused a request of user {}", user));
        return answer(asker, refused("only root, and the server for a new volume, may ask"));
    }
    const ProvisionAnswer given = answer_to(*request, setup, asker.get());
    const std::string host = request->host.empty() ? std::string("all") : printable_ascii(request->host, 64);
    const std::string who =
        request->call == ProvisionCall::sweep_sessions
            ? std::string("sweep")
            : fmt::format("export {}, host {}", printable_ascii(request->name, 100), host);
    if (!request->only_say && given.text != nothing_to_sweep) {
        const std::string line = fmt::format("{}: {}", who, given.text);
        if (given.done)
            log::notice(line);
        else
            log::error(line);
    }
    answer(asker, given);
}

// Reads the request first: a socket that is closed with unread data takes the answer back.
void turn_away(const Fd& asker, const std::string& why) {
    std::array<std::uint8_t, longest_provision_request + 1> bytes{};
    (void)::recv(asker.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    log::error("refused a request: " + why);
    answer(asker, refused(why));
}

}  // namespace

void Service::take_connection() {
    const Fd asker(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!asker) return;
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(asker.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
    if (children_.size() >= most_requests)
        return turn_away(asker, "too many volumes are being made; connect again later");
    const pid_t child = ::fork();
    if (child < 0) return turn_away(asker, SysError{errno, "fork"}.message());
    if (child > 0) {
        children_.insert(child);
        return;
    }
    listening_.reset();
    ::signal(SIGTERM, SIG_DFL);
    sigset_t all;
    ::sigemptyset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
    serve(asker, peer.uid, setup_);
    ::_exit(0);
}

void Service::reap() {
    for (;;) {
        const pid_t ended = ::waitpid(-1, nullptr, WNOHANG);
        if (ended <= 0) return;
        children_.erase(ended);
    }
}

// Ends copies. A command of LVM is no child of this process, and ends by itself.
void Service::end_children() {
    for (const pid_t child : children_) (void)::kill(child, SIGTERM);
}

void Service::run() {
    sigset_t waited;
    ::sigemptyset(&waited);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) ::sigaddset(&waited, signal);
    ::sigprocmask(SIG_BLOCK, &waited, nullptr);
    const Fd signals(::signalfd(-1, &waited, SFD_CLOEXEC | SFD_NONBLOCK));
    constexpr int idle_ms = 60'000;
    for (;;) {
        std::array<pollfd, 2> wait{pollfd{listening_.get(), POLLIN, 0}, pollfd{signals.get(), POLLIN, 0}};
        const int count = ::poll(wait.data(), wait.size(), setup_.ends_when_idle ? idle_ms : -1);
        if (count == 0 && children_.empty()) return;
        signalfd_siginfo info{};
        while (::read(signals.get(), &info, sizeof info) > 0)
            if (info.ssi_signo != SIGCHLD) return end_children();
        reap();
        if (wait[0].revents != 0) take_connection();
    }
}

}  // namespace holdfast::provision
