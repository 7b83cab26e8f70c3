// Result of a system call: a value, or the errno with the name of the failed call. The error owns no memory,
// so that it may be created where allocation is forbidden.
#pragma once

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>

#include "common/text/fixed_text.hh"

namespace holdfast {

struct SysError {
    int code = 0;           // an errno value, positive
    const char* call = "";  // a string literal: name of the failed call

    // Returns "open: No such file or directory" without allocating: strerror(3) may load a translation.
    [[nodiscard]] LineText text() const {
        const char* description = ::strerrordesc_np(code);
        return description != nullptr ? LineText::of("{}: {}", call, description)
                                      : LineText::of("{}: error {}", call, code);
    }
    // Returns text() as a string. Allocates.
    [[nodiscard]] std::string message() const { return std::string(text().view()); }
};

template <class T>
using Result = std::expected<T, SysError>;

// Makes an error from errno; call it directly after the failed call.
[[nodiscard]] inline std::unexpected<SysError> sys_error(const char* call) noexcept {
    return std::unexpected(SysError{errno, call});
}

}  // namespace holdfast
