// Replaces a device's daemon. The new daemon is prepared, sealed and subscribed to the kernel's events before
// it requests the device: the later steps cannot fail for lack of a resource.

#include "client/attach/takeover.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "client/attach/adoption.hh"
#include "client/attach/new_targets.hh"
#include "client/control/control_client.hh"
#include "client/control/device_record.hh"
#include "client/control/orders.hh"
#include "client/control/record_file.hh"
#include "client/control/run_directory.hh"
#include "client/daemon/daemon_setup.hh"
#include "client/kernel/kernel_module.hh"
#include "client/kernel/sysfs.hh"
#include "client/link/host_identity.hh"
#include "client/link/link_health.hh"
#include "common/linux/log.hh"
#include "common/linux/service_notice.hh"

namespace holdfast::client {
namespace {

using std::chrono::seconds;

constexpr seconds daemon_patience{5};

Failure failure(std::uint32_t index, std::string_view text) {
    return {ExitCode::failure, fmt::format("/dev/nbd{}: {}", index, text)};
}

bool nobody_listens(const SysError& error) { return error.code == ENOENT || error.code == ECONNREFUSED; }

// Reads the record from the daemon's answer or, without an answer, from the file.
std::expected<KnownDevice, Failure> known_from_file(std::uint32_t index,
                                                    const std::string* answer = nullptr) {
    if (answer != nullptr) {
        auto known = read_known_device(*answer);
        if (!known) return std::unexpected(failure(index, "the daemon's record: " + known.error()));
        return std::move(*known);
    }
    const auto text = read_state_file(index);
    if (!text)
        return std::unexpected(
            failure(index, fmt::format("the daemon has died and left no record ({}); detach the device with "
                                       "--force, or continue without a daemon",
                                       text.error().message())));
    auto known = read_known_device(*text);
    if (!known)
        return std::unexpected(failure(
            index, fmt::format("the record {}/nbd{}.state: {}", run_directory, index, known.error())));
    return std::move(*known);
}

// Opens the device, and rejects a record of another device, which would put another disk under this device.
std::expected<SysfsDevice, Failure> device_of(const KnownDevice& known, std::uint32_t index) {
    auto sysfs = SysfsDevice::open(index);
    if (!sysfs) return std::unexpected(failure(index, sysfs.error().message()));
    if (known.record.index != index || !sysfs->possibly_connected_as(known.record.identifier) ||
        sysfs->attribute("backend") != known.record.identifier)
        return std::unexpected(failure(index, "reattached since the record was written"));
    return std::move(*sysfs);
}

// A device and its daemon, before anything is changed.
struct Predecessor {
    std::optional<TakeoverCall> call;  // empty: the daemon has died
    KnownDevice known;
    SysfsDevice sysfs;
};

std::expected<Predecessor, Failure> find_predecessor(std::uint32_t index) {
    auto call = TakeoverCall::begin(index, daemon_patience);
    if (!call && !nobody_listens(call.error()))
        return std::unexpected(failure(index, describe_failure(index, call.error())));
    auto known = known_from_file(index, call ? &call->record() : nullptr);
    if (!known) return std::unexpected(known.error());
    auto sysfs = device_of(*known, index);
    if (!sysfs) return std::unexpected(sysfs.error());
    Predecessor predecessor{std::nullopt, std::move(*known), std::move(*sysfs)};
    if (call) predecessor.call = std::move(*call);
    return predecessor;
}

// Handling of the link when the servers change.
struct ServerChange {
    Target before;  // target in use so far
    std::uint32_t before_index = 0;
    std::uint32_t first = 0;  // target to use from now on
    bool keeps_link = false;  // `before` and `first` are the same target
};

// Applies the changes to the record. Empty result: the servers do not change.
std::expected<std::optional<ServerChange>, Failure> apply(const TakeoverChanges& changes, Predecessor& device,
                                                          const Notes& notes) {
    KnownDevice& known = device.known;
    known.record.policy = changed(known.record.policy, changes.choices);
    if (changes.servers.empty()) return std::nullopt;
    if (!device.call)
        return std::unexpected(failure(
            known.record.index,
            fmt::format(
                "the daemon has died; run `holdfast-client takeover nbd{}` first, then change the servers",
                known.record.index)));
    auto found = find_new_targets(changes.servers, known, device.sysfs.writes() > 0, notes);
    if (!found)
        return std::unexpected(Failure{
            found.error().code,
            fmt::format("/dev/nbd{}: {}; nothing was changed", known.record.index, found.error().text)});
    ServerChange change{known.record.targets[known.live.target], known.live.target, found->first,
                        found->keeps_link};
    known.record.targets = std::move(found->targets);
    known.live.target = change.first;
    known.live.linked_target = found->keeps_link ? change.first : no_target;
    return change;
}

std::string describe(const DeviceRecord& record) {
    std::string servers;
    for (const Target& target : record.targets)
        servers +=
            fmt::format("{}{} ({})", servers.empty() ? "" : ", then ", target.uri, target.endpoint.text);
    return fmt::format("nbd{}: servers {}; {}", record.index, servers, describe(record.policy));
}

// Ends the link to the previous server. Writes that the previous server still holds must not reach the disk
// after writes to the next server: a server that fences gets a claim, without a new link. May be used after
// the seal.
void leave_server(const ServerChange& change, const DeviceRecord& record, LiveState& live, Fd& link) {
    const bool stays = change.keeps_link && live.target == change.before_index;
    live.target = change.first;
    if (stays) return;
    if (link) live.link_socket = without(live.link_socket, name_of_socket(link.get()));
    end_link(link);
    const nbd::SessionClaim claim{record.session, 0, ++live.generation};
    const auto fenced =
        make_link(change.before.endpoint,
                  nbd::ClientHandshake(nbd::ClientHandshake::Goal::info, change.before.export_name, claim),
                  record.policy.dead_after);
    if (fenced && fenced->session) {
        // No more writes come from the old link, so another machine's server may be used at once.
        live.link_up = false;
        live.link_changed_at = std::chrono::duration_cast<Monotonic>(Clock::now().time_since_epoch());
        live.elsewhere_after = Monotonic{0};
        return;
    }
    log::warning(LineText::of("nbd{}: {} did not discard the pending requests of the old link: {}",
                              record.index, change.before.uri,
                              fenced ? LineText("it does not support fencing") : fenced.error().text));
}

// Runs the dialogue with the old daemon, which leaves at its end. The error is the reason why the old daemon
// stays. `manager`: manager of the service that the new daemon has joined, or nullptr. May be used after the
// seal.
Result<TakeoverCall::Handed> take_from(TakeoverCall& call, const ServiceManager* manager) {
    auto handed = call.take(daemon_patience);
    if (!handed) return handed;
    // Before the old daemon leaves: a service ends with its main process.
    if (manager != nullptr) manager->tell(FixedText<32>::of("MAINPID={}", ::getpid()));
    const auto confirmed = call.confirm(daemon_patience);
    if (confirmed) return handed;
    if (manager != nullptr) manager->tell(FixedText<32>::of("MAINPID={}", call.daemon()));
    return std::unexpected(confirmed.error());
}

// Returns the largest request of the server in use. Records of an older version lack it: then query the
// server, while the link is up. Otherwise, at the next outage, a server with a small maximum would be refused
// because of larger requests that the kernel may have in flight by then.
std::uint64_t known_request_limit(const KnownDevice& known) {
    if (known.live.request_limit != 0 || !known.live.link_up) return known.live.request_limit;
    return ask_request_limit(known.record.targets[known.live.target], known.record);
}

// Completes a record of an older version, which lacks the host.
void add_host(DeviceRecord& record) {
    const bool writable = (record.server_flags & nbd::flag_read_only) == 0;
    if (!record.host && writable) record.host = new_attachment(record.index);
}

// Joins the service of the old daemon, if it belongs to one.
bool join_service(ControlGroup group, const std::optional<TakeoverCall>& call) {
    return group == ControlGroup::system && call && call->daemon() > 0 && join_service_of(call->daemon());
}

// Receives the link and its state from the old daemon, which leaves. May be used after the seal.
Result<Fd> receive_link(TakeoverCall& call, const ServiceManager* manager, LiveState& live) {
    auto handed = take_from(call, manager);
    if (!handed) return std::unexpected(handed.error());
    const std::uint64_t limit = live.request_limit;
    take_lines(live, handed->lines);
    if (live.request_limit == 0) live.request_limit = limit;
    return std::move(handed->link);
}

// Returns the line for the log about a changed device; empty if nothing changes.
LineText news_of(const TakeoverChanges& changes, const DeviceRecord& record) {
    return changes.servers.empty() && changes.choices == Choices{} ? LineText() : LineText(describe(record));
}

void log_takeover(std::uint32_t index, bool from_daemon, const LineText& news) {
    log::notice(LineText::of(
        "nbd{}: {}", index,
        from_daemon ? "taken over from the previous daemon" : "adopted: the previous daemon had died"));
    if (!news.empty()) log::notice(news);
}

// Runs in the child. A successor joins the service's control group.
std::expected<void, Failure> stay_instead(std::uint32_t index, ControlGroup group,
                                          const TakeoverChanges& changes, ProcessTitle& title,
                                          Report& report) {
    auto turn = take_turn(index);
    if (!turn) return std::unexpected(turn.error());
    auto netlink = open_netlink();
    if (!netlink) return std::unexpected(failure(index, netlink.error()));
    auto device = find_predecessor(index);
    if (!device) return std::unexpected(device.error());
    const auto notes = [&](std::string_view line, bool is_error) {
        is_error ? report.error(line) : report.note(line);
    };
    device->known.live.request_limit = known_request_limit(device->known);
    const auto change = apply(changes, *device, notes);
    if (!change) return std::unexpected(change.error());

    add_host(device->known.record);
    std::optional<TakeoverCall> call = std::move(device->call);
    LiveState live = device->known.live;
    const DeviceRecord record = device->known.record;
    const LineText news = news_of(changes, record);
    const bool joined = join_service(group, call);
    const ServiceManager manager = ServiceManager::of_the_system();
    DaemonSetup setup(std::move(*netlink), std::move(device->sysfs), std::move(device->known.record), live);
    if (auto prepared = setup.prepare(title, joined ? ControlGroup::service : group); !prepared)
        return std::unexpected(failure(index, prepared.error().message()));
    Daemon& daemon = setup.seal();
    Fd link;
    if (call) {
        auto received = receive_link(*call, joined ? &manager : nullptr, live);
        if (!received) {
            daemon.abandon();
            report.error(
                LineText::of("/dev/nbd{}: the old daemon stays: {}", index, received.error().text()));
            report.failed(ExitCode::failure);
            return {};
        }
        link = std::move(*received);
    }
    if (*change) leave_server(**change, record, live, link);
    daemon.start(std::move(link), live);
    daemon.announce();
    turn->reset();
    log_takeover(index, call.has_value(), news);
    report.ready(index, live.size, 0);
    report.close();
    daemon.run();
    return {};
}

std::expected<Ready, ExitCode> run(std::uint32_t index, ControlGroup group, const TakeoverChanges& changes,
                                   ProcessTitle& title, const Notes& notes) {
    return run_in_background(
        [&](Report& report) { return stay_instead(index, group, changes, title, report); }, notes);
}

// Queries the servers, and changes nothing.
ExitCode check_changes(std::uint32_t index, const TakeoverChanges& changes, const Notes& notes) {
    auto device = find_predecessor(index);
    const auto change = device ? apply(changes, *device, notes) : std::unexpected(device.error());
    if (!change) {
        notes(change.error().text, true);
        return change.error().code;
    }
    notes(describe(device->known.record), false);
    return ExitCode::ok;
}

}  // namespace

std::expected<Fd, Failure> take_turn(std::uint32_t index) {
    if (const auto made = make_run_directory(); !made)
        return std::unexpected(failure(index, made.error().message() + root_hint(made.error().code)));
    const std::string path = fmt::format("{}/nbd{}.lock", run_directory, index);
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file) {
        const SysError error{errno, "open the lock file"};
        return std::unexpected(failure(index, error.message() + root_hint(error.code)));
    }
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return std::unexpected(failure(index, sys_error("lock the lock file").error().message()));
        Failure busy =
            failure(index, "another holdfast-client is attaching it or taking over its daemon; try again");
        busy.code = ExitCode::busy;
        return std::unexpected(std::move(busy));
    }
    return file;
}

bool is_ours(std::uint32_t index) {
    const auto sysfs = SysfsDevice::open(index);
    return sysfs && sysfs->connected() && is_identifier(sysfs->attribute("backend"));
}

bool is_orphan(std::uint32_t index) {
    if (!is_ours(index)) return false;
    const auto answer = ask(index, Order::status, daemon_patience);
    return !answer && nobody_listens(answer.error());
}

ExitCode take_over(std::uint32_t index, const TakeoverChanges& changes, ProcessTitle& title,
                   const Notes& notes) {
    const auto sysfs = SysfsDevice::open(index);
    if (!sysfs || !sysfs->connected()) {
        notes(fmt::format("/dev/nbd{}: not attached", index), true);
        return ExitCode::not_attached;
    }
    if (!is_identifier(sysfs->attribute("backend"))) {
        notes(fmt::format("/dev/nbd{}: attached by another program", index), true);
        return ExitCode::failure;
    }
    if (changes.only_check) return check_changes(index, changes, notes);
    const auto ready = run(index, ControlGroup::system, changes, title, notes);
    return ready ? ExitCode::ok : ready.error();
}

std::expected<Ready, ExitCode> adopt(std::uint32_t index, const std::vector<ServerAddress>& servers,
                                     const Choices& chosen, ControlGroup group, ProcessTitle& title,
                                     const Notes& notes) {
    const auto known = known_from_file(index);
    if (!known) {
        notes(known.error().text, true);
        return std::unexpected(known.error().code);
    }
    const auto names_it = [&](const ServerAddress& server) {
        return is_known(server, known->record.targets);
    };
    if (!servers.empty() && !std::ranges::any_of(servers, names_it)) {
        notes(fmt::format("/dev/nbd{}: already attached, to {}", index,
                          known->record.targets[known->live.target].uri),
              true);
        return std::unexpected(ExitCode::busy);
    }
    for (const std::string& ignored : ignored_by_adoption(servers, chosen, known->record))
        notes(fmt::format("/dev/nbd{}: {}", index, ignored), false);
    notes(
        is_orphan(index)
            ? fmt::format("/dev/nbd{}: already attached, but its daemon has died; starting a new one", index)
            : fmt::format("/dev/nbd{}: already attached; taking over its daemon for this service", index),
        false);
    return run(index, group, {}, title, notes);
}

}  // namespace holdfast::client
