// fork, and a socket for the answer, which ends when the child closes its end.

#include "server/process/helper_process.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "common/linux/clock.hh"

namespace holdfast::server {
namespace {

// Closes all other descriptors: a child that hangs may live for long, and must not keep this program's
// listening sockets open.
void close_others(int one, int other) {
    unsigned first = 3;
    for (const int kept : {std::min(one, other), std::max(one, other)}) {
        if (kept < static_cast<int>(first)) continue;
        const auto number = static_cast<unsigned>(kept);
        if (number > first) (void)::close_range(first, number - 1, 0);
        first = number + 1;
    }
    (void)::close_range(first, ~0U, 0);
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO}) (void)::dup2(null.get(), standard);
}

}  // namespace

OpenerAnswer refusal(OpenerStatus status, std::string_view text) {
    OpenerAnswer answer{Packer(status), {}};
    answer.packed.text(text);
    return answer;
}

void send(const OpenerAnswer& answer, int socket, int flags) {
    std::span<const std::uint8_t> rest = answer.packed.bytes();
    alignas(cmsghdr) std::array<char, CMSG_SPACE(most_answer_files * sizeof(int))> control{};
    const std::size_t count = std::min(answer.files.size(), most_answer_files);
    for (bool first = true; !rest.empty(); first = false) {
        iovec data{const_cast<std::uint8_t*>(rest.data()), rest.size()};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        if (first && count > 0) {
            message.msg_control = control.data();
            message.msg_controllen = CMSG_SPACE(count * sizeof(int));
            cmsghdr* const head = CMSG_FIRSTHDR(&message);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(count * sizeof(int));
            for (std::size_t i = 0; i < count; ++i) {
                const int file = answer.files[i].get();
                std::memcpy(CMSG_DATA(head) + i * sizeof file, &file, sizeof file);
            }
        }
        const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | flags);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return;  // the answer is no longer awaited
        rest = rest.subspan(static_cast<std::size_t>(sent));
    }
}

Result<Helper> start_helper(const HelperTask& task, std::chrono::seconds patience, int kept) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return sys_error("socketpair");
    Fd ours(ends[0]);
    Fd theirs(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) return sys_error("fork");
    if (child > 0) return Helper{child, OpenerQuestion(std::move(ours))};
    close_others(theirs.get(), kept);
    (void)::alarm(static_cast<unsigned>(patience.count()) + 1);
    send(task(), theirs.get(), 0);  // destroys the answer, which closes all files opened for it
    // Explicit, since a thread that hangs keeps the process's descriptors open.
    theirs.reset();
    ::_exit(0);
}

std::expected<OpenerReply, std::string> ask_helper(const HelperTask& task, std::chrono::seconds patience) {
    const Deadline deadline = Clock::now() + patience;
    Result<Helper> helper = start_helper(task, patience);
    if (!helper) return std::unexpected(helper.error().message());
    for (;;) {
        pollfd more{helper->question.fd(), POLLIN, 0};
        (void)::poll(&more, 1, poll_timeout(deadline, Clock::now()));
        std::optional<OpenerOutcome> answer = helper->question.take();
        if (!answer && Clock::now() < deadline) continue;
        if (!answer) (void)::kill(helper->pid, SIGKILL);
        constexpr std::chrono::milliseconds moment{100};
        (void)reap_soon({helper->pid}, moment);
        if (!answer) return std::unexpected(fmt::format("no answer for {} s", patience.count()));
        if (!*answer) return std::unexpected(std::move(answer->error().text));
        return std::move(**answer);
    }
}

std::vector<pid_t> reap_soon(std::vector<pid_t> children, std::chrono::milliseconds patience) {
    const Deadline deadline = Clock::now() + patience;
    for (;;) {
        std::erase_if(children, [](pid_t one) { return ::waitpid(one, nullptr, WNOHANG) != 0; });
        if (children.empty() || Clock::now() >= deadline) return children;
        constexpr int pause_ms = 1;
        (void)::poll(nullptr, 0, pause_ms);
    }
}

}  // namespace holdfast::server
