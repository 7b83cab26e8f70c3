// A message there, a message back; see common/golden/provision_protocol.hh.

#include "server/opener/provision_client.hh"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <span>

#include "common/golden/provision_protocol.hh"
#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/text/printable.hh"

namespace holdfast::server {
namespace {

std::unexpected<VolumeRefusal> failure(const ExportConfig& config, const std::string& host,
                                       std::string_view why) {
    return std::unexpected(VolumeRefusal{false, fmt::format("{}: {}", path_for_client(config, host), why)});
}

// A socket whose queue is full makes connect(2) wait, which SO_SNDTIMEO bounds.
Result<Fd> connect_to(const std::string& path, std::chrono::milliseconds patience) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return std::unexpected(SysError{ENAMETOOLONG, "connect"});
    std::ranges::copy(path, address.sun_path);
    Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket) return sys_error("socket");
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience);
    timeval limit{};
    limit.tv_sec = seconds.count();
    limit.tv_usec = std::chrono::duration_cast<std::chrono::microseconds>(patience - seconds).count();
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return sys_error("connect");
    return socket;
}

}  // namespace

std::expected<void, VolumeRefusal> ask_for_volume(const std::string& socket, const ExportConfig& config,
                                                  const std::string& host,
                                                  std::chrono::milliseconds patience) {
    // Strangers cost no process of holdfast-provision, which judges again.
    if (const std::string why = why_not_for(*config.created, host); !why.empty())
        return failure(config, host, why);
    const Deadline deadline = Clock::now() + patience;
    const Result<Fd> link = connect_to(socket, patience);
    if (!link)
        return failure(
            config, host,
            fmt::format("the volume does not exist, and holdfast-provision cannot be asked: {}: {}; "
                        "start holdfast-provision.socket",
                        socket, link.error().message()));
    const std::vector<std::uint8_t> request =
        pack(ProvisionRequest{ProvisionCall::make, false, config.name, host});
    // EPIPE: turned away at once, with an answer.
    if (::send(link->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0 && errno != EPIPE)
        return failure(config, host, SysError{errno, "send"}.message());
    std::array<std::uint8_t, longest_provision_answer + 1> bytes{};
    for (;;) {
        pollfd wait{link->get(), POLLIN, 0};
        if (::poll(&wait, 1, poll_timeout(deadline, Clock::now())) > 0) break;
        if (Clock::now() >= deadline)
            return failure(config, host, "the volume is still being made; connect again later");
    }
    const ssize_t count = ::recv(link->get(), bytes.data(), bytes.size(), 0);
    const auto answer = unpack_provision_answer(
        std::span(bytes).first(static_cast<std::size_t>(std::max<ssize_t>(count, 0))));
    if (!answer) return failure(config, host, "no answer from holdfast-provision; see its log");
    if (answer->done) return {};
    return failure(config, host, printable_ascii(answer->text, 1000));
}

}  // namespace holdfast::server
