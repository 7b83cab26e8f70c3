// Asks, waits, and believes nothing that does not fit.

#include "server/opener_link.hh"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace holdfast::server {
namespace {

using Clock = std::chrono::steady_clock;

// The texts of all configuration files are the longest answer.
constexpr std::size_t longest_answer = 256U << 20;
constexpr std::size_t most_files = 64;

std::unexpected<VolumeRefusal> failure(std::string text) {
    return std::unexpected(VolumeRefusal{false, std::move(text)});
}

std::unexpected<VolumeRefusal> no_answer() {
    return failure("the process that opens the disks gave no answer");
}

// Until there is something to read, or room to write; false at the deadline.
bool wait_for(int socket, short event, Clock::time_point deadline) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
        const bool ever = deadline != Clock::time_point::max();
        constexpr std::int64_t longest = 3'600'000;
        const auto wait = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, longest));
        pollfd one{socket, event, 0};
        const int count = ::poll(&one, 1, ever ? wait : -1);
        if (count > 0) return true;
        if (count == 0 && left.count() <= longest) return false;
    }
}

bool send_request(int control, const OpenerRequest& request, int reply_to, Clock::time_point deadline) {
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
        // An opener that takes nothing is not waited for beyond the deadline.
        if (errno != EAGAIN || !wait_for(control, POLLOUT, deadline)) return false;
    }
}

void take_files(msghdr& message, std::vector<Fd>& files) {
    for (const cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr;
         head = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(head))) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int file = -1;
            std::memcpy(&file, CMSG_DATA(head) + i * sizeof file, sizeof file);
            files.emplace_back(file);
        }
    }
}

}  // namespace

OpenerLink::~OpenerLink() {
    control_.reset();
    if (opener_ > 0) (void)::waitpid(opener_, nullptr, 0);
}

std::expected<OpenerLink::Answer, VolumeRefusal> OpenerLink::ask_once(const OpenerRequest& request,
                                                                      Deadline deadline, std::string& busy) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return failure(SysError{errno, "socketpair"}.message());
    const Fd from_opener(ends[0]);
    Fd reply_to(ends[1]);
    if (!send_request(control_.get(), request, reply_to.get(), deadline)) return no_answer();
    reply_to.reset();
    Answer answer;
    std::array<std::uint8_t, 16384> piece;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(most_files * sizeof(int))> space{};
    for (;;) {
        if (!wait_for(from_opener.get(), POLLIN, deadline))
            return failure("it could not be opened in time; its disk, or what its name leads to, hangs");
        iovec data{piece.data(), piece.size()};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = space.data();
        message.msg_controllen = space.size();
        const ssize_t count = ::recvmsg(from_opener.get(), &message, MSG_CMSG_CLOEXEC);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return no_answer();
        take_files(message, answer.files);
        if ((message.msg_flags & MSG_CTRUNC) != 0) return failure("there are too few descriptors");
        // Not before the end: then nobody else has what was opened.
        if (count == 0) break;
        answer.bytes.insert(answer.bytes.end(), piece.begin(), piece.begin() + count);
        if (answer.bytes.size() > longest_answer) return no_answer();
    }
    if (answer.bytes.empty()) return no_answer();
    const auto status = static_cast<OpenerStatus>(answer.bytes.front());
    answer.bytes.erase(answer.bytes.begin());
    if (status == OpenerStatus::done) return answer;
    const std::string text = Unpacker(answer.bytes).text();
    if (status == OpenerStatus::busy) busy = text.empty() ? "too many requests are waiting" : text;
    return std::unexpected(VolumeRefusal{status == OpenerStatus::absent, text});
}

std::expected<OpenerLink::Answer, VolumeRefusal> OpenerLink::ask(const OpenerRequest& request,
                                                                 Deadline deadline) {
    for (std::string known_busy;;) {
        std::string busy;
        std::expected<Answer, VolumeRefusal> answer = ask_once(request, deadline, busy);
        const bool is_busy = !busy.empty();
        if (is_busy) known_busy = std::move(busy);
        // Whoever waited for a place until the deadline learns for what, also if the last answer was late.
        const bool late = Clock::now() >= deadline;
        if (late && !answer && !known_busy.empty()) return failure(std::move(known_busy));
        if (!is_busy) return answer;
        constexpr int pause_ms = 20;
        (void)::poll(nullptr, 0, pause_ms);
    }
}

std::expected<OpenerLink::Answer, VolumeRefusal> OpenerLink::ask(OpenerCall call, const DiskWanted& wanted) {
    return ask({call, 0, wanted.name, wanted.host}, wanted.deadline);
}

std::expected<DiskKey, VolumeRefusal> OpenerLink::find(const DiskWanted& wanted) {
    const std::expected<Answer, VolumeRefusal> answer = ask(OpenerCall::find, wanted);
    if (!answer) return std::unexpected(answer.error());
    Unpacker from(answer->bytes);
    const std::optional<DiskKey> key = unpack_key(from);
    if (!key) return no_answer();
    return *key;
}

std::expected<OpenedDisk, VolumeRefusal> OpenerLink::open(const DiskWanted& wanted) {
    std::expected<Answer, VolumeRefusal> answer = ask(OpenerCall::open, wanted);
    if (!answer) return std::unexpected(answer.error());
    Unpacker from(answer->bytes);
    std::optional<DiskFacts> facts = unpack_facts(from);
    if (!facts || answer->files.size() != 2) return no_answer();
    const bool direct = facts->direct;
    return OpenedDisk{{std::move(answer->files[0]), std::move(answer->files[1]), direct}, std::move(*facts)};
}

std::expected<VolumeTraits, VolumeRefusal> OpenerLink::look(const DiskWanted& wanted) {
    const std::expected<Answer, VolumeRefusal> answer = ask(OpenerCall::look, wanted);
    if (!answer) return std::unexpected(answer.error());
    Unpacker from(answer->bytes);
    const std::optional<VolumeTraits> traits = unpack_traits(from);
    if (!traits) return no_answer();
    return *traits;
}

std::optional<std::string> OpenerLink::forbidden(const DiskWanted& wanted) {
    const std::expected<Answer, VolumeRefusal> answer = ask(OpenerCall::admit, wanted);
    if (answer && answer->bytes.empty()) return std::nullopt;
    return answer ? no_answer().error().text : answer.error().text;
}

std::expected<ConfigTexts, std::string> OpenerLink::reload() {
    const std::expected<Answer, VolumeRefusal> answer = ask({OpenerCall::reload, 0, {}, {}}, Deadline::max());
    if (!answer) return std::unexpected(answer.error().text);
    Unpacker from(answer->bytes);
    std::optional<ConfigTexts> texts = unpack_texts(from);
    if (!texts) return std::unexpected(no_answer().error().text);
    return std::move(*texts);
}

std::expected<void, std::string> OpenerLink::commit() {
    const std::expected<Answer, VolumeRefusal> answer = ask({OpenerCall::commit, 0, {}, {}}, Deadline::max());
    if (!answer) return std::unexpected(answer.error().text);
    return {};
}

std::expected<std::vector<Fd>, std::string> OpenerLink::listen(std::size_t number) {
    std::expected<Answer, VolumeRefusal> answer =
        ask({OpenerCall::listen, static_cast<std::uint32_t>(number), {}, {}}, Deadline::max());
    if (!answer) return std::unexpected(answer.error().text);
    if (answer->files.empty()) return std::unexpected(no_answer().error().text);
    return std::move(answer->files);
}

std::vector<Remark> OpenerLink::look_around() {
    const std::expected<Answer, VolumeRefusal> answer =
        ask({OpenerCall::look_around, 0, {}, {}}, Deadline::max());
    if (!answer) return {};
    Unpacker from(answer->bytes);
    return unpack_remarks(from).value_or(std::vector<Remark>());
}

void OpenerLink::unlisten(bool all) {
    (void)ask({OpenerCall::unlisten, all ? 1U : 0U, {}, {}}, Deadline::max());
}

}  // namespace holdfast::server
