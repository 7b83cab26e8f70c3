// Reads numbers from environment variables, by which a service manager passes them on.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>

#include "common/text/number.hh"

namespace holdfast {

// Decimal number in the variable; nullopt if the variable is not set, or has another value.
[[nodiscard]] inline std::optional<std::uint64_t> number_in_environment(const char* variable) noexcept {
    const char* const text = ::getenv(variable);
    return text == nullptr ? std::nullopt : number_of<std::uint64_t>(text);
}

}  // namespace holdfast
