// Reports from the child process that becomes the daemon to the command that started it, over a pipe.
//
// A line for each message that the command should print, and at the end "ready INDEX SIZE LIMIT PID" or
// "failed CODE". May be used after the seal.
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
    // Send texts of any length and number of lines, complete, line by line.
    void note(std::string_view text) const;
    void error(std::string_view text) const;
    void failed(ExitCode code) const;
    // `request_limit`: bytes; 0 if the device's limit is set already.
    void ready(std::uint32_t index, std::uint64_t size, std::uint64_t request_limit) const;
    void close() { pipe_.reset(); }
    // Returns true if the waiting command has ended.
    [[nodiscard]] bool abandoned() const;

private:
    void send_lines(std::string_view kind, std::string_view text) const;
    void send(std::string_view bytes) const;
    Fd pipe_;
};

}  // namespace holdfast::client
