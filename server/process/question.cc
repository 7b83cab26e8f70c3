// An answer is complete when its sender has closed the socket; an answer that is too long is rejected.

#include "server/process/question.hh"

#include <sys/socket.h>

#include <array>
#include <cstring>

#include "server/process/packing.hh"

namespace holdfast::server {
namespace {

// The longest answer holds the texts of all configuration files.
constexpr std::size_t longest_answer = 256U << 20;
constexpr std::size_t most_files = 64;

std::unexpected<VolumeRefusal> failure(std::string text) {
    return std::unexpected(VolumeRefusal{false, std::move(text)});
}

std::unexpected<VolumeRefusal> no_answer() { return failure("the helper process ended without an answer"); }

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

std::optional<OpenerOutcome> OpenerQuestion::take() {
    std::array<std::uint8_t, 16384> piece;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(most_files * sizeof(int))> space{};
    for (;;) {
        iovec data{piece.data(), piece.size()};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = space.data();
        message.msg_controllen = space.size();
        const ssize_t count = ::recvmsg(from_opener_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) return std::nullopt;
        if (count < 0) return no_answer();
        take_files(message, so_far_.files);
        if ((message.msg_flags & MSG_CTRUNC) != 0) return failure("too few file descriptors");
        // Only at the end of the stream: by then no other process has the opened files.
        if (count == 0) return finish();
        so_far_.bytes.insert(so_far_.bytes.end(), piece.begin(), piece.begin() + count);
        if (so_far_.bytes.size() > longest_answer) return no_answer();
    }
}

OpenerOutcome OpenerQuestion::finish() {
    OpenerReply answer = std::move(so_far_);
    if (answer.bytes.empty()) return no_answer();
    const auto status = static_cast<OpenerStatus>(answer.bytes.front());
    answer.bytes.erase(answer.bytes.begin());
    if (status == OpenerStatus::done) return answer;
    std::string text = Unpacker(answer.bytes).text();
    was_busy_ = status == OpenerStatus::busy;
    if (was_busy_ && text.empty()) text = "too many requests are waiting";
    return std::unexpected(VolumeRefusal{status == OpenerStatus::absent, std::move(text)});
}

}  // namespace holdfast::server
