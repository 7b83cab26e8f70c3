// Sends requests, waits for answers, and rejects every answer of the wrong form.

#include "server/opener/opener_client.hh"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "server/config/config_packing.hh"

namespace holdfast::server {
namespace {

constexpr const char* timed_out = "opening timed out; the disk, or a file system on its path, hangs";

std::unexpected<VolumeRefusal> failure(std::string text) {
    return std::unexpected(VolumeRefusal{false, std::move(text)});
}

std::unexpected<VolumeRefusal> no_answer() { return failure("no answer from the opener process"); }

// Waits for input, or for room to write; returns false at the deadline.
bool wait_for(int socket, short event, Deadline deadline) {
    for (;;) {
        pollfd one{socket, event, 0};
        const int count = ::poll(&one, 1, poll_timeout(deadline, Clock::now()));
        if (count > 0) return true;
        if (count == 0 && Clock::now() >= deadline) return false;
    }
}

bool send_request(int control, const OpenerRequest& request, int reply_to, Deadline deadline) {
    std::vector<std::uint8_t> bytes = pack(request);
    iovec data{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof reply_to);
    std::memcpy(CMSG_DATA(head), &reply_to, sizeof reply_to);
    for (;;) {
        if (::sendmsg(control, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
        if (errno == EINTR) continue;
        // Waits at most until the deadline for an opener that takes nothing.
        if (errno != EAGAIN || !wait_for(control, POLLOUT, deadline)) return false;
    }
}

}  // namespace

OpenerClient::~OpenerClient() {
    control_.reset();
    constexpr int pause_ms = 10;
    for (int i = 0; i < 200 && opener_ > 0; ++i) {
        if (::waitpid(opener_, nullptr, WNOHANG) != 0) return;
        (void)::poll(nullptr, 0, pause_ms);
    }
}

std::expected<OpenerQuestion, std::string> OpenerClient::begin(const OpenerRequest& request,
                                                               Deadline deadline) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return std::unexpected(SysError{errno, "socketpair"}.message());
    Fd from_opener(ends[0]);
    const Fd reply_to(ends[1]);
    if (!send_request(control_.get(), request, reply_to.get(), deadline))
        return std::unexpected(no_answer().error().text);
    return OpenerQuestion(std::move(from_opener));
}

OpenerOutcome OpenerClient::ask_once(const OpenerRequest& request, Deadline deadline, std::string& busy) {
    std::expected<OpenerQuestion, std::string> question = begin(request, deadline);
    if (!question) return failure(std::move(question.error()));
    for (;;) {
        if (!wait_for(question->fd(), POLLIN, deadline)) return failure(timed_out);
        std::optional<OpenerOutcome> answer = question->take();
        if (!answer) continue;
        if (question->was_busy()) busy = answer->error().text;
        return std::move(*answer);
    }
}

std::expected<OpenerClient::Answer, VolumeRefusal> OpenerClient::ask(const OpenerRequest& request,
                                                                     Deadline deadline) {
    for (std::string known_busy;;) {
        std::string busy;
        std::expected<Answer, VolumeRefusal> answer = ask_once(request, deadline, busy);
        const bool is_busy = !busy.empty();
        if (is_busy) known_busy = std::move(busy);
        // A caller that waited for a place until the deadline gets the reason for that, even if the last
        // answer was late.
        const bool late = Clock::now() >= deadline;
        if (late && !answer && !known_busy.empty()) return failure(std::move(known_busy));
        if (!is_busy) return answer;
        constexpr int pause_ms = 20;
        (void)::poll(nullptr, 0, pause_ms);
    }
}

std::expected<OpenerClient::Answer, VolumeRefusal> OpenerClient::ask(OpenerCall call,
                                                                     const DiskWanted& wanted) {
    std::expected<Answer, VolumeRefusal> answer =
        ask({call, 0, wanted.name, wanted.host, wanted.session}, wanted.deadline);
    if (!answer && answer.error().text == timed_out && !wanted.path.empty())
        answer.error().text = wanted.path + ": " + answer.error().text;
    return answer;
}

std::expected<DiskKey, VolumeRefusal> OpenerClient::find(const DiskWanted& wanted) {
    const std::expected<Answer, VolumeRefusal> answer = ask(OpenerCall::find, wanted);
    if (!answer) return std::unexpected(answer.error());
    Unpacker from(answer->bytes);
    const std::optional<DiskKey> key = unpack_key(from);
    if (!key) return no_answer();
    return *key;
}

std::expected<OpenedDisk, VolumeRefusal> OpenerClient::open(const DiskWanted& wanted) {
    std::expected<Answer, VolumeRefusal> answer = ask(OpenerCall::open, wanted);
    if (!answer) return std::unexpected(answer.error());
    Unpacker from(answer->bytes);
    std::optional<DiskFacts> facts = unpack_facts(from);
    if (!facts || answer->files.size() != 2) return no_answer();
    VolumeFiles files{std::move(answer->files[0]), std::move(answer->files[1]), facts->direct,
                      facts->volatile_cache};
    return OpenedDisk{std::move(files), std::move(*facts)};
}

std::expected<VolumeTraits, VolumeRefusal> OpenerClient::look(const DiskWanted& wanted) {
    const std::expected<Answer, VolumeRefusal> answer = ask(OpenerCall::look, wanted);
    if (!answer) return std::unexpected(answer.error());
    Unpacker from(answer->bytes);
    const std::optional<VolumeTraits> traits = unpack_traits(from);
    if (!traits) return no_answer();
    return *traits;
}

std::expected<void, VolumeRefusal> OpenerClient::end_session(const DiskWanted& wanted) {
    if (wanted.deadline <= Clock::now()) {
        (void)begin({OpenerCall::end_session, 0, wanted.name, wanted.host, wanted.session}, Deadline::min());
        return {};
    }
    const std::expected<Answer, VolumeRefusal> answer = ask(OpenerCall::end_session, wanted);
    return answer ? std::expected<void, VolumeRefusal>() : std::unexpected(answer.error());
}

std::expected<OpenerReply, VolumeRefusal> OpenerClient::boot_files(OpenerCall call,
                                                                   const std::string& export_name,
                                                                   std::string data, Deadline deadline) {
    auto answer = ask({call, 0, export_name, {}, std::move(data)}, deadline);
    if (!answer && answer.error().text == timed_out)
        answer.error().text = "the server's folder of boot files does not answer";
    return answer;
}

// Sends at once, or fails.
std::expected<OpenerQuestion, std::string> OpenerClient::ask_reload() {
    return begin({OpenerCall::reload, 0, {}, {}}, Deadline::min());
}

std::expected<OpenerQuestion, std::string> OpenerClient::ask_listen(std::size_t number) {
    return begin({OpenerCall::listen, static_cast<std::uint32_t>(number), {}, {}}, Deadline::min());
}

std::expected<OpenerQuestion, std::string> OpenerClient::ask_commit() {
    return begin({OpenerCall::commit, 0, {}, {}}, Deadline::min());
}

std::expected<OpenerQuestion, std::string> OpenerClient::ask_look_around() {
    return begin({OpenerCall::look_around, 0, {}, {}}, Deadline::min());
}

std::expected<OpenerQuestion, std::string> OpenerClient::ask_authfiles() {
    return begin({OpenerCall::authfiles, 0, {}, {}}, Deadline::min());
}

void OpenerClient::unlisten(bool all) {
    if (control_) (void)begin({OpenerCall::unlisten, all ? 1U : 0U, {}, {}}, Deadline::min());
}

std::expected<ConfigTexts, std::string> texts_of(const OpenerOutcome& answer) {
    if (!answer) return std::unexpected(answer.error().text);
    Unpacker from(answer->bytes);
    std::optional<ConfigTexts> texts = unpack_texts(from);
    if (!texts) return std::unexpected(no_answer().error().text);
    return std::move(*texts);
}

std::expected<std::vector<Fd>, std::string> sockets_of(OpenerOutcome answer) {
    if (!answer) return std::unexpected(answer.error().text);
    if (answer->files.empty()) return std::unexpected(no_answer().error().text);
    return std::move(answer->files);
}

std::expected<void, std::string> done_of(const OpenerOutcome& answer) {
    if (!answer) return std::unexpected(answer.error().text);
    return {};
}

std::vector<Remark> remarks_of(const OpenerOutcome& answer) {
    if (!answer) return {};
    Unpacker from(answer->bytes);
    return unpack_remarks(from).value_or(std::vector<Remark>());
}

}  // namespace holdfast::server
