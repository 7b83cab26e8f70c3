// Creates the session. A digest of the session is the kernel's identifier for the device: a later adopter
// compares the identifier with the record.

#include "client/attach/attach.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <expected>
#include <utility>

#include "client/attach/device_settling.hh"
#include "client/attach/given_up.hh"
#include "client/attach/second_writer.hh"
#include "client/attach/takeover.hh"
#include "client/control/control_client.hh"
#include "client/control/orders.hh"
#include "client/daemon/daemon_setup.hh"
#include "client/kernel/block_size.hh"
#include "client/kernel/kernel_module.hh"
#include "client/kernel/netlink.hh"
#include "client/kernel/sysfs.hh"
#include "client/lease/lease_socket.hh"
#include "client/link/host_identity.hh"
#include "client/link/link_health.hh"
#include "client/process/hardening.hh"
#include "common/linux/log.hh"
#include "common/linux/pause.hh"
#include "common/text/plural.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Time to wait for another program that has the device open (udev probes every device, at times slowly).
constexpr seconds open_patience{15};
constexpr milliseconds pause_between_opens{250};
constexpr seconds detach_patience{10};

// Unique ID of this attachment. Secret: with it another program could fence the link.
nbd::Uuid random_session() {
    nbd::Uuid session{};
    if (::getrandom(session.data(), session.size(), GRND_NONBLOCK) == static_cast<ssize_t>(session.size()))
        return session;
    const auto now = static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
    for (std::size_t i = 0; i < session.size(); ++i)
        session[i] = static_cast<std::uint8_t>((now >> (i % 8 * 8)) ^
                                               static_cast<std::uint64_t>(::getpid() >> (i % 4)));
    return session;
}

Failure attached_already(std::uint32_t index, const SysfsDevice& sysfs) {
    return {ExitCode::busy, fmt::format("/dev/nbd{}: already attached (by process {}); detach it first with "
                                        "`holdfast-client detach nbd{}`, or use another device",
                                        index, sysfs.attribute("pid"), index)};
}

Failure connect_failure(const SysError& error, const DeviceConfiguration& configuration) {
    const std::string device =
        configuration.index ? fmt::format("/dev/nbd{}", *configuration.index) : "an nbd device";
    if (error.code == EPERM)
        return {ExitCode::failure, fmt::format("{}: the kernel denied permission; run as root", device)};
    if (error.code == EINVAL && configuration.index)
        return {ExitCode::failure, fmt::format("{}: the kernel rejected the device (its number may be too "
                                               "large for the nbd module's max_part, or it is being removed)",
                                               device)};
    if (error.code != EBUSY || !configuration.index)
        return {ExitCode::failure, fmt::format("{}: {}", device, error.message())};
    const auto sysfs = SysfsDevice::open(*configuration.index);
    if (!sysfs || !sysfs->connected())
        return {
            ExitCode::busy,
            fmt::format("{}: held open by another program; close it there, or use another device", device)};
    return attached_already(*configuration.index, *sysfs);
}

// A device to attach, reserved from before the claim at a server until the device is connected: the claim
// fences every earlier attachment of this machine there, which must not be a device in use.
struct Reserved {
    std::uint32_t index = 0;
    Fd turn;
};

bool is_connected(std::uint32_t index) {
    const auto sysfs = SysfsDevice::open(index);
    return sysfs && sysfs->connected();
}

std::expected<Reserved, Failure> reserve(std::uint32_t index) {
    auto turn = take_turn(index);
    if (!turn) return std::unexpected(turn.error());
    if (is_connected(index)) {
        DeviceConfiguration configuration;
        configuration.index = index;
        return std::unexpected(connect_failure({EBUSY, "connect"}, configuration));
    }
    return Reserved{index, std::move(*turn)};
}

// Reserves the lowest free device from `first` on; if all are in use, a device that the kernel will create.
std::expected<Reserved, Failure> reserve_any(std::uint32_t first) {
    std::uint32_t next = first;
    for (const std::uint32_t index : nbd_devices()) {
        if (index < first) continue;
        auto reserved = reserve(index);
        if (reserved || reserved.error().code != ExitCode::busy) return reserved;
        next = index + 1;
    }
    return reserve(next);
}

// Waits while another command has reserved the device and has not attached it: that command may fail, or take
// another device.
std::expected<Reserved, Failure> reserve_until(std::uint32_t index, Clock::time_point end,
                                               const Report& report) {
    for (;;) {
        auto reserved = reserve(index);
        if (reserved || reserved.error().code != ExitCode::busy || is_connected(index)) return reserved;
        if (Clock::now() >= end || report.abandoned()) return reserved;
        pause_for(milliseconds{100});
    }
}

// Reserves a named device for the whole search, an unnamed device only for each attempt, so that other
// commands need not wait for it.
class Reservation final : public Claimant {
public:
    Reservation(const AttachRequest& request, const Report& report) : request_(request), report_(report) {}

    std::expected<Identity, Failure> take() override {
        if (device_) return draw();
        // An attempt of another command is over by then.
        const auto end = begin_ + std::max<Clock::duration>(request_.search.patience, attempt_patience);
        auto reserved = request_.index ? reserve_until(*request_.index, end, report_) : reserve_any(first_);
        if (!reserved) return std::unexpected(reserved.error());
        device_ = std::move(*reserved);
        return draw();
    }
    void release() noexcept override {
        if (!request_.index) device_.reset();
    }
    // Makes the next search take another device.
    void pass_over() noexcept {
        first_ = device_->index + 1;
        device_.reset();
    }
    [[nodiscard]] std::uint32_t index() const noexcept { return device_->index; }
    [[nodiscard]] Reserved give() noexcept { return std::move(*device_); }

private:
    // Creates a new session for each attempt: a refused session has written nothing, and the next session
    // must not get reports of earlier writers' losses.
    Identity draw() const {
        Identity identity;
        identity.session = random_session();
        if (!request_.read_only) identity.host = new_attachment(device_->index);
        return identity;
    }

    const AttachRequest& request_;
    const Report& report_;
    Clock::time_point begin_ = Clock::now();
    std::uint32_t first_ = 0;
    std::optional<Reserved> device_;
};

std::expected<std::uint32_t, Failure> connect_device(Netlink& netlink,
                                                     const DeviceConfiguration& configuration, int socket) {
    const auto end = Clock::now() + open_patience;
    for (;;) {
        auto index = netlink.connect(configuration, {&socket, 1});
        if (index) return *index;
        bool in_use = true;
        if (index.error().code == EBUSY && configuration.index)
            if (const auto sysfs = SysfsDevice::open(*configuration.index)) in_use = sysfs->connected();
        if (in_use || Clock::now() > end)
            return std::unexpected(connect_failure(index.error(), configuration));
        pause_for(pause_between_opens);
    }
}

DeviceConfiguration configuration_for(const AttachRequest& request, std::uint32_t index, const Found& found) {
    DeviceConfiguration configuration;
    configuration.index = index;
    configuration.size = whole_blocks(found.link.offer.size, found.block_size);
    configuration.block_size = found.block_size;
    configuration.server_flags = found.link.offer.flags;
    if (request.read_only) configuration.server_flags |= nbd::flag_read_only;
    configuration.request_timeout = request.policy.request_timeout;
    configuration.identifier = identifier_of(found.claim.session);
    return configuration;
}

// A device whose largest request was lowered for a server.
struct LimitedDevice {
    std::uint32_t index = 0;
    std::uint64_t before = 0;  // previous queue/max_sectors_kb; 0: unchanged
};

LimitedDevice limit_device(std::uint32_t index, const SysfsDevice& sysfs, std::uint64_t request_limit) {
    const std::uint64_t before = sysfs.largest_request();
    if (before <= request_limit || !sysfs.limit_requests(request_limit)) return {index, 0};
    return {index, before / 1024};
}

// Lowers the limit before the connection, while the device is unused: on Linux 6.11 and later the change
// would wait for requests in flight. The kernel picks the first unused device. If the kernel picks another
// device, or creates a device with the connection, settle_in_time() sets the limit.
std::optional<LimitedDevice> limit_before_connection(std::optional<std::uint32_t> wanted,
                                                     std::uint64_t request_limit) {
    const auto candidates = wanted ? std::vector{*wanted} : nbd_devices();
    for (const std::uint32_t index : candidates)
        if (const auto sysfs = SysfsDevice::open(index); sysfs && !sysfs->connected())
            return limit_device(index, *sysfs, request_limit);
    return std::nullopt;
}

// Returns queue/max_sectors_kb of the connected device from before it was lowered, or the present value if it
// is still to be lowered; 0 if the value suits the server.
std::uint64_t limit_to_restore(const std::optional<LimitedDevice>& limited, std::uint32_t index,
                               const SysfsDevice& sysfs, std::uint64_t request_limit) {
    if (limited && limited->index == index && limited->before != 0) return limited->before;
    const std::uint64_t now = sysfs.largest_request();
    return now > request_limit ? now / 1024 : 0;
}

Monotonic now_since_boot() { return std::chrono::duration_cast<Monotonic>(Clock::now().time_since_epoch()); }

// Returns the lease of the link's local address, if `leases` has it.
std::optional<GrantedLease> lease_of(const std::vector<GrantedLease>& leases, int socket, Report& report) {
    const auto address = local_address(socket);
    const auto found = std::ranges::find(
        leases, address, [](const GrantedLease& lease) { return std::optional(lease.record.address); });
    if (found == leases.end()) return std::nullopt;
    GrantedLease lease = *found;
    if (auto read = read_hardware_address(lease.record); !read) {
        report.note(fmt::format("the DHCP lease of {} will not be renewed: {}", lease.record.interface,
                                read.error().message()));
        return std::nullopt;
    }
    return lease;
}

DeviceRecord record_for(const AttachRequest& request, const DeviceConfiguration& configuration,
                        std::uint32_t index, Found& found) {
    DeviceRecord record;
    record.index = index;
    record.identifier = configuration.identifier;
    record.session = found.claim.session;
    record.block_size = configuration.block_size;
    record.server_flags = configuration.server_flags;
    record.policy = request.policy;
    record.policy.connections = 1;
    record.carries_root = request.carries_root;
    record.may_be_lost = request.may_be_lost;
    record.targets = std::move(found.targets);
    record.attached_at = now_since_boot();
    record.host = found.claim.host;
    return record;
}

LiveState live_for(const DeviceConfiguration& configuration, const Found& found) {
    LiveState live;
    live.size = configuration.size;
    live.target = static_cast<std::uint32_t>(found.target);
    live.linked_target = live.target;
    live.generation = found.claim.generation;
    live.session_known = found.link.session.has_value();
    if (found.link.session) {
        live.writes_stable = found.link.session->writes_stable;
        live.boot_identity = found.link.session->boot_identity;
        live.export_identity = found.link.session->export_identity;
        live.host_fenced = found.link.session->host_fenced;
    }
    live.request_limit = found.request_limit;
    live.link_changed_at = now_since_boot();
    return live;
}

struct Connected {
    Reserved device;
    Fd writers_turn;  // second_writer.hh; empty if not needed
    Found found;
    DeviceConfiguration configuration;
    std::optional<LimitedDevice> limited;
};

// Takes the turn among writers of the same disk, and makes the server fence links that were given up.
std::expected<Fd, Failure> prepare_writing(Found& found) {
    auto turn = take_writers_turn(found);
    if (!turn) return turn;
    if (const auto fenced = fence_given_up(found); !fenced) return std::unexpected(fenced.error());
    return turn;
}

std::expected<Connected, Failure> connect_to_server(const AttachRequest& request, Netlink& netlink,
                                                    Report& report) {
    SearchRequest searched = request.search;
    searched.dead_after = request.policy.dead_after;
    Reservation reservation(request, report);
    constexpr int most_tries = 16;
    for (int tries = 1;; ++tries) {
        auto found = search(searched, reservation, report);
        if (!found) return std::unexpected(found.error());
        const bool writes = !request.read_only && (found->link.offer.flags & nbd::flag_read_only) == 0;
        Fd writers_turn;
        if (writes) {
            auto turn = prepare_writing(*found);
            if (!turn) return std::unexpected(turn.error());
            writers_turn = std::move(*turn);
        } else if (!request.read_only) {
            report.note(fmt::format("{}: the server permits no writing; the device is read-only",
                                    found->targets[found->target].uri));
        }
        DeviceConfiguration configuration = configuration_for(request, reservation.index(), *found);
        hold_signals();
        if (report.abandoned())
            return std::unexpected(Failure{ExitCode::failure, "canceled: the calling process has ended"});
        const auto limited = limit_before_connection(configuration.index, found->request_limit);
        auto index = connect_device(netlink, configuration, found->link.socket.get());
        if (index)
            return Connected{reservation.give(), std::move(writers_turn), std::move(*found),
                             std::move(configuration), limited};
        // Another program has the unconnected device open, or has connected it first.
        if (request.index || index.error().code != ExitCode::busy || tries == most_tries)
            return std::unexpected(index.error());
        reservation.pass_over();
    }
}

// Reports choices that cannot be kept.
void note_connections(const AttachRequest& request, Report& report) {
    if (request.policy.connections > 1)
        report.note(
            fmt::format("connections={}: only one connection is used; see CONNECTIONS in holdfast-client(8)",
                        request.policy.connections));
}

// Reports the end of the export that is cut off.
void note_size(const DeviceConfiguration& configuration, std::uint64_t offered, std::string_view uri,
               Report& report) {
    if (offered == configuration.size) return;
    report.note(fmt::format(
        "{}: the export's size, {}, is not a multiple of the block size {}; the last {} cannot be accessed",
        uri, counted(offered, "byte"), configuration.block_size,
        counted(offered - configuration.size, "byte")));
}

// Runs in the child. Returns only on failure; a daemon ends here.
std::expected<void, Failure> attach_and_stay(const AttachRequest& request, ProcessTitle& title,
                                             Report& report) {
    auto netlink = open_netlink();
    if (!netlink) return std::unexpected(Failure{ExitCode::failure, netlink.error()});
    note_connections(request, report);
    auto connected = connect_to_server(request, *netlink, report);
    if (!connected) return std::unexpected(connected.error());
    auto& [device, writers_turn, found, configuration, limited] = *connected;
    const std::uint32_t index = device.index;
    const std::string uri = found.targets[found.target].uri;
    note_size(configuration, found.link.offer.size, uri, report);
    Fd link = std::move(found.link.socket);
    const auto failed = [&](Netlink& kernel, const SysError& error) {
        end_link(link);
        [[maybe_unused]] const auto done = kernel.disconnect(index);
        return std::unexpected(
            Failure{ExitCode::failure, fmt::format("/dev/nbd{}: {}", index, error.message())});
    };
    if (report.abandoned() || was_to_end()) return failed(*netlink, SysError{EINTR, "attach"});
    auto sysfs = SysfsDevice::open(index);
    if (!sysfs) return failed(*netlink, sysfs.error());

    LiveState live = live_for(configuration, found);
    live.sectors_before = limit_to_restore(limited, index, *sysfs, live.request_limit);
    const auto lease = lease_of(request.leases, link.get(), report);
    if (lease) live.lease = lease->state;
    DeviceRecord record = record_for(request, configuration, index, found);
    if (lease) record.lease = lease->record;
    DaemonSetup setup(std::move(*netlink), std::move(*sysfs), std::move(record), live);
    if (auto prepared = setup.prepare(title, request.control_group); !prepared) {
        // The device is not in use yet.
        if (auto again = open_netlink()) return failed(*again, prepared.error());
        return std::unexpected(Failure{ExitCode::failure, prepared.error().message()});
    }
    Daemon& daemon = setup.seal();
    daemon.start(std::move(link), live);
    daemon.announce();
    device.turn.reset();
    writers_turn.reset();
    log::write(request.notes_on_console ? log::Level::debug : log::Level::notice,
               LineText::of("nbd{}: attached to {}, {} bytes", index, uri, live.size));
    report.ready(index, live.size, live.request_limit);
    report.close();
    daemon.run();
    return {};
}

// Runs in the parent. A device that does not become ready is detached again: it is not in use yet.
AttachOutcome when_attached(const AttachRequest& request, const Ready& ready, const Notes& notes) {
    const std::uint32_t index = ready.index;
    const Settings settings{ready.size, ready.request_limit, request.policy.request_timeout.count() == 0};
    const std::string problem = settle_in_time(index, settings, notes);
    if (problem.empty()) return {ExitCode::ok, index, ready.daemon};
    notes(problem, true);
    const auto sysfs = SysfsDevice::open(index);
    const std::string backend = sysfs ? sysfs->attribute("backend") : std::string();
    if (const auto answer = ask(index, Order::detach_forced, detach_patience); !answer || *answer != "ok\n")
        notes(fmt::format(
                  "/dev/nbd{}: still attached; run `holdfast-client detach --force nbd{}` to give it up",
                  index, index),
              true);
    else if (const std::string unfenced = fence_released(index, backend); !unfenced.empty())
        notes(unfenced, true);
    return {ExitCode::failure, index, 0};
}

}  // namespace

AttachOutcome attach(const AttachRequest& request, ProcessTitle& title, const Notes& notes) {
    if (request.index && (request.control_group == ControlGroup::service ? is_ours(*request.index)
                                                                         : is_orphan(*request.index))) {
        const auto ready = adopt(*request.index, request.search.servers, request.chosen,
                                 request.control_group, title, notes);
        return ready ? AttachOutcome{ExitCode::ok, ready->index, ready->daemon}
                     : AttachOutcome{ready.error(), *request.index, 0};
    }
    // No server can change this, so none is contacted.
    if (request.index)
        if (const auto sysfs = SysfsDevice::open(*request.index); sysfs && sysfs->connected()) {
            const Failure failure = attached_already(*request.index, *sysfs);
            notes(failure.text, true);
            return {failure.code, *request.index, 0};
        }
    const auto ready =
        run_in_background([&](Report& report) { return attach_and_stay(request, title, report); }, notes);
    if (!ready) return {ready.error(), 0, 0};
    return when_attached(request, *ready, notes);
}

}  // namespace holdfast::client
