// Two requests: the first one changes nothing, and its answer is shown. With --wait, a request is repeated
// while a volume is in use.

#include "server/status/provision_request.hh"

#include <fmt/core.h>
#include <getopt.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <expected>
#include <span>
#include <thread>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "server/config/config.hh"
#include "server/status/status_query.hh"
#include "server/status/volume_list.hh"

namespace holdfast::server {
namespace {

// Waits as long as LVM takes; the administrator may interrupt the command.
std::expected<ProvisionAnswer, std::string> ask(const VolumeOrder& wanted) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (wanted.socket.size() >= sizeof address.sun_path)
        return std::unexpected("longer than the limit of UNIX sockets");
    std::ranges::copy(wanted.socket, address.sun_path);
    const Fd link(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!link || ::connect(link.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return std::unexpected(SysError{errno, "connect"}.message());
    const std::vector<std::uint8_t> bytes = pack(wanted.request);
    std::array<std::uint8_t, longest_provision_answer + 1> buffer{};
    if (::send(link.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0)
        return std::unexpected(SysError{errno, "send"}.message());
    ssize_t count = -1;
    do count = ::recv(link.get(), buffer.data(), buffer.size(), 0);
    while (count < 0 && errno == EINTR);
    const auto answer = unpack_provision_answer(
        std::span(buffer).first(static_cast<std::size_t>(std::max<ssize_t>(count, 0))));
    if (!answer) return std::unexpected("holdfast-provision gave no answer; see its log");
    return *answer;
}

void show_error(const VolumeOrder& wanted, const std::string& text) {
    std::fputs(fmt::format("holdfast-server {}: {}\n", wanted.command, text).c_str(), stderr);
}

// Returns the clients of the server that have the volume open, for a message: "10.0.0.1:40000 since TIME".
std::string users_of(std::string_view volume) {
    const auto answer = ask_server(std::string(default_status_socket), "/volumes");
    const auto rows = answer ? decode_volumes(*answer) : std::nullopt;
    std::string text;
    for (const VolumeRow& row : rows.value_or(std::vector<VolumeRow>()))
        if (!row.client.empty() && row.path == fmt::format("/dev/{}", volume))
            text += fmt::format("{}{} since {}", text.empty() ? "" : ", ",
                                printable_ascii(row.client, row.client.size()), time_text(row.since));
    return text;
}

// Says what the command waits for, once for each cause.
void show_wait(const VolumeOrder& wanted, const std::string& answer, std::string& last) {
    if (answer == last) return;
    last = answer;
    const std::string volume = answer.substr(0, answer.find(' '));
    const std::string users = users_of(volume);
    const std::string by = users.empty() ? std::string() : "; its clients: " + users;
    show_error(wanted, fmt::format("waiting until {} is no longer in use{}",
                                   printable_ascii(volume, longest_provision_answer), by));
}

using Answer = std::expected<ProvisionAnswer, std::string>;

// Waits until no volume has been in use for a while: a server that restarts closes them all, and its clients
// come back. Returns the last answer to a request that only says.
Answer await_free(VolumeOrder wanted) {
    // Neither LVM nor the kernel announces the last close of a volume.
    constexpr std::chrono::milliseconds pause{1000};
    constexpr std::chrono::seconds quiet{10};
    wanted.request.only_say = true;
    std::string last;
    Deadline free_since = no_deadline;
    for (;;) {
        Answer answer = ask(wanted);
        if (!answer || (!answer->done && !answer->in_use)) return answer;
        const Deadline now = Clock::now();
        if (answer->in_use)
            free_since = no_deadline;
        else if (free_since == no_deadline)
            free_since = now;
        if ((free_since != no_deadline && now - free_since >= quiet) || now >= wanted.deadline) return answer;
        if (answer->in_use) show_wait(wanted, answer->text, last);
        std::this_thread::sleep_for(
            std::min<Clock::duration>(pause, wanted.deadline == no_deadline ? pause : wanted.deadline - now));
    }
}

// Returns whether the request was carried out, or would be.
bool show(const VolumeOrder& wanted, const Answer& answer) {
    if (!answer) {
        show_error(wanted, fmt::format("no answer from {}: {}", wanted.socket, answer.error()));
        return false;
    }
    const std::string text = printable_ascii(answer->text, longest_provision_answer);
    if (answer->done)
        std::fputs((text + "\n").c_str(), stdout);
    else
        show_error(wanted, text);
    std::fflush(stdout);
    return answer->done;
}

bool is_in_use(const Answer& answer) { return answer && answer->in_use; }

// Has the request carried out; waits again if a client comes in between.
Answer do_patiently(VolumeOrder wanted, bool must_wait) {
    wanted.request.only_say = false;
    for (;; must_wait = true) {
        if (must_wait)
            if (Answer free = await_free(wanted); !free || !free->done) return free;
        Answer done = ask(wanted);
        if (!wanted.wait || !is_in_use(done) || Clock::now() >= wanted.deadline) return done;
    }
}

// `seconds`: null without a number.
bool take_wait(VolumeOrder& wanted, const char* seconds) {
    constexpr std::int64_t most = 1'000'000;
    wanted.wait = true;
    if (seconds == nullptr) return true;
    const auto number = number_of<std::int64_t>(seconds);
    if (!number || *number < 1 || *number > most) return false;
    wanted.deadline = Clock::now() + std::chrono::seconds(*number);
    return true;
}

}  // namespace

std::optional<int> take_common_option(VolumeOrder& wanted, int code) {
    switch (code) {
        case 'y': wanted.yes = true; return std::nullopt;
        case 'w':
            if (take_wait(wanted, optarg)) return std::nullopt;
            return usage_error(wanted.command, "--wait: the number of seconds must be from 1 to 1000000");
        case 'H': wanted.request.host = optarg; return std::nullopt;
        case 's': wanted.socket = optarg; return std::nullopt;
        case 'h': std::fputs(wanted.usage, stdout); return answered;
        case ':': return usage_error(wanted.command, fmt::format("{}: missing argument", wanted.word));
        default: return usage_error(wanted.command, fmt::format("{}: unknown option", wanted.word));
    }
}

bool ask_and_show(const VolumeOrder& wanted) { return show(wanted, ask(wanted)); }

// The plan is said before any wait.
int carry_out(VolumeOrder wanted) {
    wanted.request.only_say = true;
    const Answer planned = ask(wanted);
    const bool would_be_done = show(wanted, planned);
    if (!would_be_done && !(wanted.wait && is_in_use(planned))) return no_answer;
    if (!wanted.yes) {
        std::fputs("Nothing was changed; add --yes to do it.\n", stdout);
        return answered;
    }
    const Answer done = do_patiently(wanted, !would_be_done);
    return show(wanted, done) ? answered : no_answer;
}

}  // namespace holdfast::server
