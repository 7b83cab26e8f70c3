// What a system call gives: a value, or the errno with the name of the call that failed.
// The error holds no memory of its own, so that it may be made where nothing may be allocated.
#pragma once

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>

namespace holdfast {

struct SysError {
    int code = 0;           // an errno value, positive
    const char* call = "";  // a string literal: which call failed

    // "open: No such file or directory". Allocates.
    [[nodiscard]] std::string message() const {
        char text[128];
        // The GNU strerror_r: it may ignore the buffer and returns the text.
        return std::string(call) + ": " + ::strerror_r(code, text, sizeof text);
    }
};

template <class T>
using Result = std::expected<T, SysError>;

// The error of the call that has just failed: reads errno, so call it on the next line.
[[nodiscard]] inline std::unexpected<SysError> sys_error(const char* call) noexcept {
    return std::unexpected(SysError{errno, call});
}

}  // namespace holdfast
