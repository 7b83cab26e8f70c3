// A timeout of the socket bounds each call, also connect(2). The timeout is set anew before each of them to
// the time that is left: a server that sends a byte now and then would otherwise have a new wait for each
// byte.

#include "client/link/boot_file_link.hh"

#include <errno.h>
#include <fmt/core.h>
#include <sys/time.h>

#include <algorithm>

#include "common/linux/result.hh"
#include "common/protocol/wire.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint32_t longest_reply = 64 << 10;
// For sending a request and its answer: the server waits for its disk at the end of a file and at a commit.
constexpr std::chrono::seconds answer_patience{130};

BootFileError broken(std::string_view text) { return {LinkFault::unusable, {}, std::string(text)}; }

std::unexpected<BootFileError> lost(const char* call, int error) {
    const int code = error == EAGAIN || error == EINPROGRESS ? ETIMEDOUT : error;
    return std::unexpected(BootFileError{LinkFault::unreachable, {}, SysError{code, call}.message()});
}

std::string text_of(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

BootFileError refusal(nbd::OptionReply reply, Bytes text) {
    if (reply == nbd::OptionReply::err_unsup)
        return {LinkFault::refused, reply,
                "this server takes no boot files; install a newer holdfast-server there"};
    return {LinkFault::refused, reply, "refused: " + printable(text_of(text))};
}

}  // namespace

void BootFileLink::begin_exchange(std::chrono::seconds patience) {
    exchange_end_ = std::min(end_, Clock::now() + patience);
}

bool BootFileLink::bound_next(int option) const {
    const auto left = std::chrono::ceil<std::chrono::microseconds>(exchange_end_ - Clock::now()).count();
    if (left <= 0) return false;
    const timeval value{.tv_sec = left / 1'000'000, .tv_usec = left % 1'000'000};
    (void)::setsockopt(socket_.get(), SOL_SOCKET, option, &value, sizeof value);
    return true;
}

std::expected<BootFileLink, BootFileError> BootFileLink::open(const Endpoint& server,
                                                              const nbd::Uuid& session,
                                                              std::string export_name, Deadline end) {
    Fd socket(::socket(server.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) return lost("socket", errno);
    BootFileLink link(std::move(socket), session, std::move(export_name), end);
    link.begin_exchange(attempt_patience);
    if (!link.bound_next(SO_SNDTIMEO)) return lost("connect", ETIMEDOUT);
    const auto* const address = reinterpret_cast<const sockaddr*>(&server.address);
    if (::connect(link.socket_.get(), address, server.length) != 0) return lost("connect", errno);
    const auto bytes = link.receive(sizeof(nbd::WireGreeting));
    if (!bytes) return std::unexpected(bytes.error());
    const auto greeting = nbd::load<nbd::WireGreeting>(*bytes);
    if (greeting.nbdmagic != nbd::nbdmagic || greeting.ihaveopt != nbd::ihaveopt ||
        (greeting.handshake_flags & nbd::flag_fixed_newstyle) == 0)
        return std::unexpected(broken("the server's greeting is not a fixed newstyle greeting"));
    const nbd::be32 flags(nbd::flag_c_fixed_newstyle);
    if (const auto sent = link.send_all(nbd::bytes_of(flags)); !sent) return std::unexpected(sent.error());
    return link;
}

std::expected<void, BootFileError> BootFileLink::send_all(Bytes bytes) const {
    while (!bytes.empty()) {
        if (!bound_next(SO_SNDTIMEO)) return lost("send", ETIMEDOUT);
        const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return lost("send", errno);
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

std::expected<BootFileLink::Data, BootFileError> BootFileLink::receive(std::size_t size) const {
    Data data(size);
    for (std::size_t have = 0; have < size;) {
        if (!bound_next(SO_RCVTIMEO)) return lost("receive", ETIMEDOUT);
        const ssize_t count = ::recv(socket_.get(), data.data() + have, size - have, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return lost("receive", errno);
        if (count == 0)
            return std::unexpected(
                BootFileError{LinkFault::unreachable, {}, "the server closed the connection"});
        have += static_cast<std::size_t>(count);
    }
    return data;
}

std::expected<BootFileLink::Data, BootFileError> BootFileLink::ask(const nbd::BootFileRequest& request) {
    begin_exchange(answer_patience);
    const std::vector<std::uint8_t> data = encode(request);
    const nbd::WireOption head{nbd::ihaveopt, static_cast<std::uint32_t>(nbd::Option::boot_files),
                               static_cast<std::uint32_t>(data.size())};
    const auto head_bytes = nbd::bytes_of(head);
    Data message(head_bytes.begin(), head_bytes.end());
    message.insert(message.end(), data.begin(), data.end());
    if (const auto sent = send_all(message); !sent) return std::unexpected(sent.error());
    Data answer;
    for (int replies = 0; replies < 2; ++replies) {
        const auto bytes = receive(sizeof(nbd::WireOptionReply));
        if (!bytes) return std::unexpected(bytes.error());
        const auto reply = nbd::load<nbd::WireOptionReply>(*bytes);
        const auto type = static_cast<nbd::OptionReply>(std::uint32_t{reply.type});
        if (reply.magic != nbd::option_reply_magic || reply.length > longest_reply ||
            reply.option != static_cast<std::uint32_t>(nbd::Option::boot_files))
            return std::unexpected(broken("the server's reply does not match the option"));
        auto text = receive(reply.length);
        if (!text) return std::unexpected(text.error());
        if ((reply.type & nbd::option_reply_error_bit) != 0) return std::unexpected(refusal(type, *text));
        if (type == nbd::OptionReply::ack) return answer;
        if (type != nbd::OptionReply::boot_files) break;
        answer = std::move(*text);
    }
    return std::unexpected(broken("the type of the server's reply does not match the option"));
}

std::expected<nbd::BootFileState, BootFileError> BootFileLink::begin(const nbd::Digest& sha256,
                                                                     std::uint64_t size) {
    const auto answer = ask(nbd::BootFileBegin{session_, export_name_, sha256, size});
    if (!answer) return std::unexpected(answer.error());
    const auto state = nbd::decode_boot_file_state(*answer);
    if (!state || state->offset > size)
        return std::unexpected(broken("the server's answer to a boot file is malformed"));
    return *state;
}

std::expected<void, BootFileError> BootFileLink::send(std::uint64_t offset, Bytes piece) {
    if (const auto answer = ask(nbd::BootFilePiece{offset, piece}); !answer)
        return std::unexpected(answer.error());
    return {};
}

std::expected<void, BootFileError> BootFileLink::end() {
    if (const auto answer = ask(nbd::BootFileEnd{}); !answer) return std::unexpected(answer.error());
    return {};
}

std::expected<void, BootFileError> BootFileLink::commit(std::string_view manifest) {
    if (const auto answer = ask(nbd::BootFileCommit{session_, export_name_, manifest}); !answer)
        return std::unexpected(answer.error());
    return {};
}

std::expected<std::string, BootFileError> BootFileLink::status() {
    const auto answer = ask(nbd::BootFileStatus{session_, export_name_});
    if (!answer) return std::unexpected(answer.error());
    return text_of(*answer);
}

}  // namespace holdfast::client
