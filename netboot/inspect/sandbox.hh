// Runs code on an untrusted file in a process of its own, without privileges: as the user nobody if this
// program runs as root, without network, signals and new privileges, with limits of time and of its answer.
#pragma once

#include <functional>
#include <string>

#include "common/linux/result.hh"

namespace holdfast::netboot {

// Memory of a program that the sandbox starts, and processor time of each process in it.
inline constexpr std::size_t largest_program = 768U << 20;
inline constexpr unsigned longest_work = 100;  // s

struct SandboxLimits {
    unsigned seconds = 120;        // until the answer
    std::size_t answer = 4096;     // bytes; a longer answer is cut
    unsigned work = longest_work;  // s of processor time of each process, which then ends by SIGXCPU
};

// `body` gets the descriptor `file`, at its start, and returns the answer. Errors: ETIMEDOUT; ETIME if the
// process has used up its processor time; ECHILD if it ended without an answer in another way, killed by a
// signal, for example; others if there is no sandbox.
[[nodiscard]] Result<std::string> run_in_sandbox(int file, const std::function<std::string(int)>& body,
                                                 const SandboxLimits& limits = {});

}  // namespace holdfast::netboot
