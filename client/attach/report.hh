// What the child process that becomes the daemon tells the command that started it, over a pipe.
//
// One line for each thing that the command should say, and at the end "ready INDEX SIZE LIMIT PID"
// or "failed CODE". May be used after the seal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "client/process/exit_code.hh"
#include "common/linux/fd.hh"

namespace holdfast::client {

struct Failure {
    ExitCode code = ExitCode::failure;
    std::string text;
};

class Report {
public:
    explicit Report(Fd pipe) : pipe_(std::move(pipe)) {}
    // Texts of any length and number of lines; each arrives whole, line by line.
    void note(std::string_view text) const;
    void error(std::string_view text) const;
    void failed(ExitCode code) const;
    // `request_limit`: bytes; 0 where the device has its limit already.
    void ready(std::uint32_t index, std::uint64_t size, std::uint64_t request_limit) const;
    void close() { pipe_.reset(); }
    // Nobody waits for the device any more: the command was ended.
    [[nodiscard]] bool abandoned() const;

private:
    void send_lines(std::string_view kind, std::string_view text) const;
    void send(std::string_view bytes) const;
    Fd pipe_;
};

}  // namespace holdfast::client
