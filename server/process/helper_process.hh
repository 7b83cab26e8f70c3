// Runs work that may hang in a child process: a dead disk or name service blocks only that process. Not in a
// thread, since a process cannot end, nor change its user, while one of its threads hangs in the kernel.
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

// An answer under construction. `files` are sent along.
struct OpenerAnswer {
    Packer packed{OpenerStatus::done};
    std::vector<Fd> files;
};

inline constexpr std::size_t most_answer_files = 64;

[[nodiscard]] OpenerAnswer refusal(OpenerStatus status, std::string_view text);

// Sends the answer, the descriptors with its first byte. Waits for room unless `flags` forbid waiting.
void send(const OpenerAnswer& answer, int socket, int flags);

using HelperTask = std::function<OpenerAnswer()>;

struct Helper {
    pid_t pid = -1;
    OpenerQuestion question;
};

// Forks. The child keeps only stderr, `kept` (-1: none) and its end of the answer. A signal ends the child a
// second after `patience`, as far as the kernel permits. The caller reaps the child.
[[nodiscard]] Result<Helper> start_helper(const HelperTask& task, std::chrono::seconds patience,
                                          int kept = -1);

// Runs the task in a child, and waits at most `patience` for its answer. The error is the task's, or "no
// answer for 5 s". Call before there are threads.
[[nodiscard]] std::expected<OpenerReply, std::string> ask_helper(const HelperTask& task,
                                                                 std::chrono::seconds patience);

// Waits at most `patience` for children to end; returns the children that have not ended.
std::vector<pid_t> reap_soon(std::vector<pid_t> children, std::chrono::milliseconds patience);

}  // namespace holdfast::server
