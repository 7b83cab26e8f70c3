// Errors and log lines about a device's link, which may flap many times a minute for hours.
#pragma once

#include <chrono>
#include <string_view>

#include "client/daemon/kept_device.hh"
#include "client/daemon/log_limit.hh"
#include "client/daemon/repeated_errors.hh"
#include "common/linux/log.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

// May be used after the seal.
class LinkLog {
public:
    using Time = std::chrono::steady_clock::time_point;

    explicit LinkLog(KeptDevice& device) noexcept : device_(device) {}

    // Writes a rate-limited line.
    void write(log::Level level, const LineText& line, Time now) noexcept;
    // Call regularly: writes the number of suppressed lines and the last of them when due.
    void write_summary(Time now) noexcept;

    // Stores the last error of the present server, for the status.
    void remember(const LineText& error, Time now) noexcept;
    // Stores the error, and logs it if it is new.
    void note_failure(const LineText& reason, Time now) noexcept;
    // True if the text differs from the last error of the present server.
    [[nodiscard]] bool is_new(std::string_view error) noexcept {
        return repeated_.is_new(device_.live.target, error);
    }
    // Lets every error count as new again: the link was lost.
    void forget_errors() noexcept { repeated_.clear(); }

private:
    KeptDevice& device_;
    RepeatedErrors repeated_;
    LogLimit limit_;
    LineText left_out_;  // last line that limit_ suppressed
};

}  // namespace holdfast::client
