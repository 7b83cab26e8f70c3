// Counts in messages: "1 export", "2 exports".
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string_view>

namespace holdfast {

struct Counted {
    std::uint64_t count;
    std::string_view noun;  // in the singular; the plural adds an s
};

// Formatted by fmt without an allocation.
[[nodiscard]] constexpr Counted counted(std::uint64_t count, std::string_view noun) noexcept {
    return {count, noun};
}

}  // namespace holdfast

template <>
struct fmt::formatter<holdfast::Counted> {
    constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
    // Not a template: the code of fmt behind it is large.
    static fmt::appender format(const holdfast::Counted& counted, fmt::format_context& context);
};
