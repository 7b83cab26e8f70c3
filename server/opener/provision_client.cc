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

// `unreachable` and `late`: reasons for the log and the client.
struct Reasons {
    std::string_view unreachable;
    std::string_view late;
};

std::expected<void, VolumeRefusal> ask(const std::string& socket, const ExportConfig& config,
                                       const ProvisionRequest& request, std::chrono::milliseconds patience,
                                       const Reasons& reasons) {
    const std::string& host = request.host;
    const Deadline deadline = Clock::now() + patience;
    const Result<Fd> link = connect_to(socket, patience);
    if (!link)
        return failure(
            config, host,
            fmt::format("{}, and holdfast-provision cannot be asked: {}: {}; start holdfast-provision.socket",
                        reasons.unreachable, socket, link.error().message()));
    const std::vector<std::uint8_t> bytes_sent = pack(request);
    // EPIPE: turned away at once, with an answer.
    if (::send(link->get(), bytes_sent.data(), bytes_sent.size(), MSG_NOSIGNAL) < 0 && errno != EPIPE)
        return failure(config, host, SysError{errno, "send"}.message());
    std::array<std::uint8_t, longest_provision_answer + 1> bytes{};
    for (;;) {
        pollfd wait{link->get(), POLLIN, 0};
        if (::poll(&wait, 1, poll_timeout(deadline, Clock::now())) > 0) break;
        if (Clock::now() >= deadline) return failure(config, host, reasons.late);
    }
    const ssize_t count = ::recv(link->get(), bytes.data(), bytes.size(), 0);
    const auto answer = unpack_provision_answer(
        std::span(bytes).first(static_cast<std::size_t>(std::max<ssize_t>(count, 0))));
    if (!answer) return failure(config, host, "no answer from holdfast-provision; see its log");
    if (answer->done) return {};
    return failure(config, host, printable_ascii(answer->text, 1000));
}

ProvisionRequest request_for(ProvisionCall call, const ExportConfig& config, const std::string& host) {
    ProvisionRequest request{call, false, config.name, host};
    if (config.by_session()) request.session = config.host_word;
    return request;
}

}  // namespace

std::expected<void, VolumeRefusal> ask_for_volume(const std::string& socket, const ExportConfig& config,
                                                  const std::string& host,
                                                  std::chrono::milliseconds patience) {
    // Strangers cost no process of holdfast-provision, which judges again.
    if (const std::string why = why_not_for(*config.created, host); !why.empty())
        return failure(config, host, why);
    return ask(socket, config, request_for(ProvisionCall::make, config, host), patience,
               {"the volume does not exist", "the volume is still being made; connect again later"});
}

std::expected<void, VolumeRefusal> ask_for_end_of_session(const std::string& socket,
                                                          const ExportConfig& config, const std::string& host,
                                                          std::chrono::milliseconds patience) {
    return ask(socket, config, request_for(ProvisionCall::end_session, config, host), patience,
               {"the session is over", "the volume of the session that is over is still being removed"});
}

}  // namespace holdfast::server
