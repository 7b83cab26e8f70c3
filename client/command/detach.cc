// detach: checks that the device is unused, flushes it, then has it disconnected.
//
// The flush runs in a child process: on a dead link it sleeps uninterruptibly, and this command must still
// end. The child holds the device open exclusively until the device is disconnected, so that no mount comes
// in between. The child also holds the device's flock, which udev respects: a udev probe in that moment would
// only leave read errors in the kernel's log.

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "client/attach/given_up.hh"
#include "client/command/commands.hh"
#include "client/control/control_client.hh"
#include "client/control/device_record.hh"
#include "client/control/device_status.hh"
#include "client/control/orders.hh"
#include "client/control/record_file.hh"
#include "client/control/run_directory.hh"
#include "client/kernel/device_users.hh"
#include "client/kernel/forced_disconnect.hh"
#include "client/kernel/kernel_module.hh"
#include "client/kernel/socket_diagnostics.hh"
#include "client/kernel/sysfs.hh"
#include "client/kernel/udev_settling.hh"
#include "client/link/link.hh"
#include "common/linux/pause.hh"
#include "common/linux/service_notice.hh"

namespace holdfast::client {
namespace {

constexpr std::chrono::seconds daemon_patience{10};
// Limit for the kernel to load a module, whose disk may be the very disk to detach.
constexpr std::chrono::seconds module_patience{10};
constexpr std::chrono::seconds udev_patience{5};
constexpr std::chrono::seconds flush_patience{60};
constexpr std::chrono::seconds opener_patience{5};
constexpr std::chrono::seconds end_patience{15};
constexpr std::chrono::seconds user_patience{10};  // at a service's stop
// With --force, users keep the device open; do not wait for them.
constexpr std::chrono::seconds forced_end_patience{1};

std::string path_of(std::uint32_t index) { return fmt::format("/dev/nbd{}", index); }

// Child that has the device open exclusively and flushed, during this object's lifetime.
class Claim {
public:
    explicit Claim(std::uint32_t index) {
        std::array<int, 2> report{};
        std::array<int, 2> hold{};
        if (::pipe2(report.data(), O_CLOEXEC) != 0) return;
        report_.reset(report[0]);
        const Fd report_end(report[1]);
        if (::pipe2(hold.data(), O_CLOEXEC) != 0) return;
        const Fd hold_end(hold[0]);
        hold_.reset(hold[1]);
        child_ = ::fork();
        if (child_ == 0) {
            hold_.reset();
            hold_device(path_of(index), report_end.get(), hold_end.get());
        }
    }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    ~Claim() {
        hold_.reset();
        // A child that still sleeps in the flush stays behind until the disconnected device wakes it.
        if (child_ > 0) ::waitpid(child_, nullptr, done_ ? 0 : WNOHANG);
    }

    [[nodiscard]] pid_t child() const noexcept { return child_; }
    // Returns 0, an errno value, or ETIMEDOUT if the flush takes too long.
    int wait() {
        pollfd entry{report_.get(), POLLIN, 0};
        const int patience = static_cast<int>(std::chrono::milliseconds(flush_patience).count());
        if (child_ <= 0) return EAGAIN;
        if (::poll(&entry, 1, patience) <= 0) return ETIMEDOUT;
        int code = 0;
        if (::read(report_.get(), &code, sizeof code) != sizeof code) return EIO;
        done_ = true;
        return code;
    }

private:
    [[noreturn]] static void hold_device(const std::string& path, int report, int hold) {
        // Read-only: fsync works anyway, and closing a writable descriptor would make udev probe the disk
        // again.
        const Fd device(::open(path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
        int code = 0;
        if (!device || ::flock(device.get(), LOCK_EX) != 0 || ::fsync(device.get()) != 0) code = errno;
        char byte = 0;
        if (::write(report, &code, sizeof code) == sizeof code && code == 0)
            while (::read(hold, &byte, 1) < 0 && errno == EINTR) continue;
        ::_exit(0);
    }

    Fd report_;
    Fd hold_;
    pid_t child_ = -1;
    bool done_ = false;
};

ExitCode refuse_use(std::uint32_t index, const std::vector<std::string>& users) {
    for (const std::string& user : users) complain(fmt::format("{}: {}", path_of(index), user));
    complain(fmt::format(
        "{}: in use, not detached; unmount it first (--force detaches anyway and loses unwritten data){}",
        path_of(index), root_hint(EACCES)));
    return ExitCode::busy;
}

// Returns an empty text if the device is flushed and no other program has it open.
std::string claim_problem(Claim& claim, ExitCode& code) {
    const int error = claim.wait();
    if (error == 0) return {};
    if (error == EBUSY) {
        code = ExitCode::busy;
        return "held open by another program; close it there first, or use --force";
    }
    if (error == ETIMEDOUT)
        return fmt::format("unwritten data could not be flushed within {} s; use --force to discard it",
                           flush_patience.count());
    const bool forbidden = error == EACCES || error == EPERM;
    if (forbidden) return SysError{error, "open"}.message() + root_hint(error);
    return SysError{error, "flush"}.message() + "; use --force to detach anyway";
}

// Ends the socket named in the dead daemon's record, the only place where it is known.
Result<void> end_recorded_link(std::uint32_t index, const SysfsDevice& sysfs) {
    const auto text = read_state_file(index);
    if (!text) return std::unexpected(SysError{text.error().code, "no record of the socket"});
    const auto known = read_known_device(*text);
    if (!known || known->record.identifier != sysfs.attribute("backend"))
        return std::unexpected(SysError{ESTALE, "no record of the socket"});
    if (known->live.link_socket == no_socket) return {};
    const auto diagnostics = SocketDiagnostics::open(module_patience);
    return diagnostics ? diagnostics->destroy_all(known->live.link_socket)
                       : std::unexpected(diagnostics.error());
}

// Ends the socket before the kernel disconnects the device, holding a lock that every nbd device needs and
// waiting for a sender that is stuck in the socket. If the socket cannot be ended, a device without requests
// in flight has no such sender. Returns the problem as text.
std::string end_orphaned_link(std::uint32_t index, const SysfsDevice& sysfs) {
    const auto ended = end_recorded_link(index, sysfs);
    if (ended || sysfs.is_idle()) return {};
    return std::string(reason_not_to_disconnect(ended.error(), index).view());
}

// Keeps the record for a later attachment, which has the server fence the writes that it still holds
// (given_up.hh).
void leave_record_behind(std::uint32_t index, const std::string& backend) {
    const auto text = read_state_file(index);
    const auto known = text ? read_known_device(*text) : std::unexpected(text.error().message());
    if (!known || known->record.identifier != backend || !server_can_fence(known->record, known->live))
        return;
    const std::string state = fmt::format("{}/nbd{}.state", run_directory, index);
    const std::string kept = fmt::format("{}/{}", run_directory, given_up_name(known->record));
    if (::rename(state.c_str(), kept.c_str()) != 0)
        complain(
            fmt::format("{}: the record was not kept, so a later attachment under another number cannot "
                        "fence this one: {}",
                        path_of(index), SysError{errno, "rename"}.message()));
}

ExitCode disconnect_without_daemon(std::uint32_t index, bool force, const SysfsDevice& sysfs) {
    auto netlink = open_netlink();
    if (!netlink) {
        complain(netlink.error());
        return ExitCode::failure;
    }
    if (force)
        if (const std::string problem = end_orphaned_link(index, sysfs); !problem.empty()) {
            complain(fmt::format("{}: {}", path_of(index), problem));
            return ExitCode::failure;
        }
    if (!force && !sysfs.is_idle()) {
        complain(
            sysfs.counts_requests()
                ? fmt::format(
                      "{}: requests are in flight, and no daemon is running; try again, or use --force",
                      path_of(index))
                : fmt::format("{}: no daemon is running, and the kernel does not count the requests in "
                              "flight (queue/iostats is 0); start a daemon with `holdfast-client takeover "
                              "nbd{}`, or use --force",
                              path_of(index), index));
        return ExitCode::busy;
    }
    const std::string backend = sysfs.attribute("backend");
    const auto done = force ? release_stuck(*netlink, index, backend) : netlink->disconnect(index);
    if (done && force) leave_record_behind(index, backend);
    if (done) return ExitCode::ok;
    complain(fmt::format("{}: {}{}", path_of(index), done.error().message(), root_hint(done.error().code)));
    return ExitCode::failure;
}

// Reports a live daemon that cannot be queried.
ExitCode cannot_ask(std::uint32_t index, const SysError& error) {
    complain(fmt::format("{}: {}", path_of(index), describe_failure(index, error)));
    return ExitCode::failure;
}

ExitCode disconnect(std::uint32_t index, bool force, const SysfsDevice& sysfs) {
    const auto answer =
        ask(index, force ? Order::detach_forced : Order::detach, daemon_patience, say_waiting);
    if (!answer) {
        const int code = answer.error().code;
        if (code == ENOENT || code == ECONNREFUSED) return disconnect_without_daemon(index, force, sysfs);
        return cannot_ask(index, answer.error());
    }
    if (*answer == "ok\n") return ExitCode::ok;
    std::string_view reason = *answer;
    if (reason.starts_with("error ")) reason.remove_prefix(6);
    if (reason.ends_with('\n')) reason.remove_suffix(1);
    complain(fmt::format("{}: {}{}", path_of(index), reason, force ? "" : "; use --force to detach anyway"));
    return ExitCode::failure;
}

// Waits until the kernel releases the device, when the last program closes it.
bool gone(const SysfsDevice& sysfs, std::chrono::seconds patience) {
    const auto end = Clock::now() + patience;
    while (sysfs.connected()) {
        if (Clock::now() > end) return false;
        pause_for(std::chrono::milliseconds{10});
    }
    return true;
}

std::vector<std::string> openers_besides(const Claim& claim, std::uint32_t index) {
    std::vector<std::string> openers = openers_of(index);
    // This command may have the device open, too, inherited from a shell, which is then named.
    for (const pid_t ours : {claim.child(), ::getpid()})
        std::erase_if(openers, [mark = fmt::format("process {} ", ours)](const std::string& text) {
            return text.find(mark) != std::string::npos;
        });
    return openers;
}

// Returns the programs that still have the device open after a moment; udev closes it sooner.
std::vector<std::string> lasting_openers(const Claim& claim, std::uint32_t index) {
    const auto end = Clock::now() + opener_patience;
    for (;;) {
        auto openers = openers_besides(claim, index);
        if (openers.empty() || Clock::now() > end) return openers;
        pause_for(std::chrono::milliseconds{50});
    }
}

// `settle`: waits for udev first. Not at a service's stop, when udev may have ended before.
ExitCode detach_carefully(std::uint32_t index, const SysfsDevice& sysfs, bool settle) {
    if (const auto users = users_of(index); !users.empty()) return refuse_use(index, users);
    const auto answer = ask(index, Order::status, daemon_patience, say_waiting);
    if (!answer && (answer.error().code == EACCES || answer.error().code == ETIMEDOUT))
        return cannot_ask(index, answer.error());
    if (answer && from_lines(*answer).state == DeviceState::reconnecting) {
        complain(
            fmt::format("{}: the link is down, so unwritten data cannot be flushed; wait for the server, or "
                        "use --force to discard it",
                        path_of(index)));
        return ExitCode::link_down;
    }
    // A probe that is still to come would begin when the claim ends.
    if (settle) (void)settle_udev(index, udev_patience);
    Claim claim(index);
    ExitCode code = ExitCode::failure;
    if (const std::string problem = claim_problem(claim, code); !problem.empty()) {
        if (code == ExitCode::busy)
            for (const std::string& opener : openers_besides(claim, index))
                complain(fmt::format("{}: {}", path_of(index), opener));
        complain(fmt::format("{}: {}", path_of(index), problem));
        return code;
    }
    if (const auto openers = lasting_openers(claim, index); !openers.empty())
        return refuse_use(index, openers);
    return disconnect(index, false, sysfs);
}

// Runs as the stop of holdfast@.service, whose main process is the daemon. If the daemon has died, the device
// stays for the daemon of the restart; if the daemon has left, the device is detached or has another daemon.
bool is_not_to_stop() {
    if (::getenv("MAINPID") == nullptr) return true;
    // Longer than the waits for flush, users, openers, daemon and end together; the unit's own limit is for
    // the steps after that.
    notify_service_manager("EXTEND_TIMEOUT_USEC=120000000");
    return false;
}

// Waits for users: systemd unmounts the device's file systems at the same time.
void await_users(std::uint32_t index) {
    const auto end = Clock::now() + user_patience;
    while (!users_of(index).empty() && Clock::now() < end) pause_for(std::chrono::milliseconds{100});
}

// Whether the device has, at its server, writes that can be discarded by a fence.
bool is_fenceable(std::uint32_t index, const std::string& backend) {
    const auto text = read_state_file(index);
    const auto known = text ? read_known_device(*text) : std::unexpected(text.error().message());
    return known && known->record.identifier == backend && server_can_fence(known->record, known->live);
}

// The device is free already: a server that does not answer delays only this command.
ExitCode fence(std::uint32_t index, const std::string& backend, bool is_fenceable) {
    std::string problem;
    if (!is_fenceable || is_given_up(index, backend))
        problem = fence_released(index, backend);
    else
        problem = fmt::format(
            "{}: no record was kept, so its server was not asked to discard the writes that it "
            "may still hold; before the disk is written to, restart that server",
            path_of(index));
    if (problem.empty()) return ExitCode::ok;
    complain(problem);
    return ExitCode::not_fenced;
}

ExitCode detach_by_force(std::uint32_t index, const SysfsDevice& sysfs) {
    const std::string backend = sysfs.attribute("backend");
    const bool can_be_fenced = is_fenceable(index, backend);
    if (const ExitCode code = disconnect(index, true, sysfs); code != ExitCode::ok) return code;
    return fence(index, backend, can_be_fenced);
}

ExitCode detach_and_wait(const DetachOptions& options, const SysfsDevice& sysfs) {
    const ExitCode code = options.force ? detach_by_force(options.index, sysfs)
                                        : detach_carefully(options.index, sysfs, !options.service);
    if (code != ExitCode::ok && code != ExitCode::not_fenced) return code;
    if (gone(sysfs, options.force ? forced_end_patience : end_patience)) return code;
    complain(
        fmt::format("{}: disconnected, but still held open by a program; free once that program closes it",
                    path_of(options.index)));
    return options.force ? code : ExitCode::busy;
}

}  // namespace

ExitCode run_detach(const DetachOptions& options) {
    if (options.service && is_not_to_stop()) return ExitCode::ok;
    const auto sysfs = SysfsDevice::open(options.index);
    const bool attached = sysfs && sysfs->connected();
    if (options.service && !attached) return ExitCode::ok;
    if (options.service) await_users(options.index);
    if (!attached || !sysfs->connected()) {
        complain(fmt::format("{}: not attached", path_of(options.index)));
        return ExitCode::not_attached;
    }
    return detach_and_wait(options, *sysfs);
}

}  // namespace holdfast::client
