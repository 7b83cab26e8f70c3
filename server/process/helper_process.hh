// Work that may hang, in a child process: a dead disk or name service holds up that process and no other. Not
// a thread, since a process cannot end, nor change its user, while one of its threads hangs in the kernel.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "server/process/packing.hh"
#include "server/process/question.hh"

namespace holdfast::server {

// An answer in the making. `files` are sent along.
struct OpenerAnswer {
    Packer packed{OpenerStatus::done};
    std::vector<Fd> files;
};

inline constexpr std::size_t most_answer_files = 64;

[[nodiscard]] OpenerAnswer refusal(OpenerStatus status, std::string_view text);

// The descriptors go with the first byte. Waits for room where `flags` do not forbid it.
void send(const OpenerAnswer& answer, int socket, int flags);

using HelperTask = std::function<OpenerAnswer()>;

struct Helper {
    pid_t pid = -1;
    OpenerQuestion question;
};

// Forks. The child has stderr, `kept` (-1: none), and its end of the answer, and no other descriptor. A
// signal ends it a second after `patience`, as far as the kernel lets it. Whoever calls this reaps it.
[[nodiscard]] Result<Helper> start_helper(const HelperTask& task, std::chrono::seconds patience,
                                          int kept = -1);

// Has a child carry out the task, and waits for its answer, for `patience` at most. The error is the task's,
// or "no answer for 5 s". Before there are threads.
[[nodiscard]] std::expected<OpenerReply, std::string> ask_helper(const HelperTask& task,
                                                                 std::chrono::seconds patience);

// Waits for children to end, for `patience` at most. Those that have not.
std::vector<pid_t> reap_soon(std::vector<pid_t> children, std::chrono::milliseconds patience);

}  // namespace holdfast::server
