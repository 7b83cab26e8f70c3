// The new daemon is whole, sealed and subscribed to the kernel's events before it asks for the device: what
// follows cannot fail for want of anything.

#include "client/takeover.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "client/control.hh"
#include "client/kernel_module.hh"
#include "client/record.hh"
#include "client/resident.hh"
#include "client/state_file.hh"
#include "client/sysfs.hh"
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

std::expected<KnownDevice, Failure> known_from_file(std::uint32_t index) {
    const auto text = read_state_file(index);
    if (!text)
        return std::unexpected(
            failure(index, fmt::format("its daemon has died and left no record ({}); detach it with "
                                       "--force, or go on without a daemon",
                                       text.error().message())));
    auto known = read_known_device(*text);
    if (!known)
        return std::unexpected(failure(
            index, fmt::format("the record {}/nbd{}.state: {}", run_directory, index, known.error())));
    return std::move(*known);
}

// A record that is not this device's would put another disk under it.
std::expected<SysfsDevice, Failure> device_of(const KnownDevice& known, std::uint32_t index) {
    auto sysfs = SysfsDevice::open(index);
    if (!sysfs) return std::unexpected(failure(index, sysfs.error().message()));
    if (known.record.index != index || !sysfs->may_be(known.record.identifier) ||
        sysfs->attribute("backend") != known.record.identifier)
        return std::unexpected(failure(index, "it was attached anew since its record was written"));
    return std::move(*sysfs);
}

// One at a time: of two that found the daemon dead, or left to them, both would act.
std::expected<Fd, Failure> take_turn(std::uint32_t index) {
    if (::mkdir(run_directory, 0700) != 0 && errno != EEXIST)
        return std::unexpected(failure(index, sys_error("mkdir /run/holdfast").error().message()));
    const std::string path = fmt::format("{}/nbd{}.lock", run_directory, index);
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file) return std::unexpected(failure(index, sys_error("open its lock").error().message()));
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
        return std::unexpected(failure(index, "another daemon is about to take its place already"));
    return file;
}

// The child. A service keeps its daemon: who takes its place goes where it is.
std::expected<void, Failure> stay_instead(std::uint32_t index, Home home, ProcessTitle& title,
                                          Report& report) {
    auto turn = take_turn(index);
    if (!turn) return std::unexpected(turn.error());
    auto netlink = open_netlink();
    if (!netlink) return std::unexpected(failure(index, netlink.error()));
    auto call = TakeoverCall::begin(index, daemon_patience);
    if (!call && !nobody_listens(call.error()))
        return std::unexpected(failure(index, "its daemon: " + call.error().message()));
    const auto answered =
        call ? read_known_device(call->record()) : std::expected<KnownDevice, std::string>{};
    if (call && !answered) return std::unexpected(failure(index, "its daemon's record: " + answered.error()));
    auto known = call ? std::expected<KnownDevice, Failure>(*answered) : known_from_file(index);
    if (!known) return std::unexpected(known.error());
    auto sysfs = device_of(*known, index);
    if (!sysfs) return std::unexpected(sysfs.error());

    LiveState live = known->live;
    const pid_t before = call ? call->daemon() : 0;
    const bool joined = home == Home::system && before > 0 && join_service_of(before);
    const ServiceManager manager = ServiceManager::of_the_system();
    Resident resident(std::move(*netlink), std::move(*sysfs), std::move(known->record), live);
    if (auto prepared = resident.prepare(title, joined ? Home::service : home); !prepared)
        return std::unexpected(failure(index, prepared.error().message()));
    Daemon& daemon = resident.seal();
    Fd link;
    if (call) {
        auto handed = call->take(daemon_patience);
        // Before the old one leaves: a service ends with its main process.
        if (handed && joined) manager.tell(FixedText<32>::of("MAINPID={}", ::getpid()));
        const auto confirmed = handed ? call->confirm(daemon_patience) : Result<void>{};
        if (!handed || !confirmed) {
            if (handed && joined) manager.tell(FixedText<32>::of("MAINPID={}", before));
            daemon.abandon();
            report.error(LineText::of("/dev/nbd{}: its daemon stays: {}", index,
                                      (handed ? confirmed.error() : handed.error()).text()));
            report.failed(ExitCode::failure);
            return {};
        }
        take_lines(live, handed->lines);
        link = std::move(handed->link);
    }
    daemon.take_charge(std::move(link), live);
    daemon.announce();
    turn->reset();
    log::notice(LineText::of("nbd{}: {}", index,
                             call ? "taken over from the daemon before" : "adopted: its daemon had died"));
    report.ready(index, live.size);
    report.close();
    daemon.run();
    return {};
}

std::expected<Ready, ExitCode> run(std::uint32_t index, Home home, ProcessTitle& title, const Notes& notes) {
    return run_in_background([&](Report& report) { return stay_instead(index, home, title, report); }, notes);
}

}  // namespace

bool is_ours(std::uint32_t index) {
    const auto sysfs = SysfsDevice::open(index);
    return sysfs && sysfs->connected() && session_in(sysfs->attribute("backend"));
}

bool is_orphan(std::uint32_t index) {
    if (!is_ours(index)) return false;
    const auto answer = ask(index, Order::status, daemon_patience);
    return !answer && nobody_listens(answer.error());
}

ExitCode take_over(std::uint32_t index, ProcessTitle& title, const Notes& notes) {
    const auto sysfs = SysfsDevice::open(index);
    if (!sysfs || !sysfs->connected()) {
        notes(fmt::format("/dev/nbd{}: not attached", index), true);
        return ExitCode::not_attached;
    }
    if (!session_in(sysfs->attribute("backend"))) {
        notes(fmt::format("/dev/nbd{}: another program has attached it", index), true);
        return ExitCode::failure;
    }
    const auto ready = run(index, Home::system, title, notes);
    return ready ? ExitCode::ok : ready.error();
}

std::expected<Ready, ExitCode> adopt(std::uint32_t index, const std::vector<ServerAddress>& servers,
                                     Home home, ProcessTitle& title, const Notes& notes) {
    const auto known = known_from_file(index);
    if (!known) {
        notes(known.error().text, true);
        return std::unexpected(known.error().code);
    }
    const auto names_it = [&](const ServerAddress& server) {
        return std::ranges::any_of(known->record.targets, [uri = to_uri(server)](const Target& target) {
            return target.uri == uri;
        });
    };
    if (!servers.empty() && !std::ranges::any_of(servers, names_it)) {
        notes(fmt::format("/dev/nbd{}: attached already, to {}", index,
                          known->record.targets[known->live.target].uri),
              true);
        return std::unexpected(ExitCode::busy);
    }
    notes(is_orphan(index)
              ? fmt::format(
                    "/dev/nbd{}: attached already, and its daemon has died; a new one takes its place", index)
              : fmt::format("/dev/nbd{}: attached already; its daemon becomes this service's", index),
          false);
    return run(index, home, title, notes);
}

}  // namespace holdfast::client
