// What a system call gives: a value, or the errno with the name of the call that failed.
// The error holds no memory of its own, so that it may be made where nothing may be allocated.
#pragma once

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>

#include "common/text/fixed_text.hh"

namespace holdfast {

struct SysError {
    int code = 0;           // an errno value, positive
    const char* call = "";  // a string literal: which call failed

    // "open: No such file or directory", without allocating: strerror(3) may look for a translation.
    [[nodiscard]] LineText text() const {
        const char* description = ::strerrordesc_np(code);
        return description != nullptr ? LineText::of("{}: {}", call, description)
                                      : LineText::of("{}: error {}", call, code);
    }
    // The same. Allocates.
    [[nodiscard]] std::string message() const { return std::string(text().view()); }
};

template <class T>
using Result = std::expected<T, SysError>;

// The error of the call that has just failed: reads errno, so call it on the next line.
[[nodiscard]] inline std::unexpected<SysError> sys_error(const char* call) noexcept {
    return std::unexpected(SysError{errno, call});
}

}  // namespace holdfast
