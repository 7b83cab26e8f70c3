// Bounded text stored in place, for a daemon that may not allocate. Longer text is truncated.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

// Formats into `room`, truncating; returns the number of bytes used. A single function for all capacities and
// arguments: the templates of fmt behind it are large.
[[nodiscard]] std::size_t format_into(std::span<char> room, fmt::string_view format,
                                      fmt::format_args arguments);

template <std::size_t Capacity>
class FixedText {
public:
    constexpr FixedText() noexcept = default;
    FixedText(std::string_view text) noexcept { append(text); }    // NOLINT(google-explicit-constructor)
    FixedText(const char* text) noexcept { append(text); }         // NOLINT(google-explicit-constructor)
    FixedText(const std::string& text) noexcept { append(text); }  // NOLINT(google-explicit-constructor)

    // Formats with fmt, which allocates nothing here as long as no argument is a floating-point number or
    // wider than a line.
    template <class... Arguments>
    [[nodiscard]] static FixedText of(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        FixedText text;
        text.add(format, std::forward<Arguments>(arguments)...);
        return text;
    }
    template <class... Arguments>
    void add(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        length_ += format_into({data_.data() + length_, Capacity - length_}, format,
                               fmt::make_format_args(arguments...));
    }
    void append(std::string_view text) noexcept {
        const std::size_t count = std::min(text.size(), Capacity - length_);
        text.copy(data_.data() + length_, count);
        length_ += count;
    }
    void clear() noexcept { length_ = 0; }

    [[nodiscard]] std::string_view view() const noexcept { return {data_.data(), length_}; }
    operator std::string_view() const noexcept { return view(); }  // NOLINT(google-explicit-constructor)
    [[nodiscard]] bool empty() const noexcept { return length_ == 0; }
    // True if text was truncated, or the next byte would be.
    [[nodiscard]] bool full() const noexcept { return length_ == Capacity; }

    template <std::size_t Other>
    bool operator==(const FixedText<Other>& other) const noexcept {
        return view() == other.view();
    }
    bool operator==(std::string_view other) const noexcept { return view() == other; }
    bool operator==(const char* other) const noexcept { return view() == other; }

private:
    std::array<char, Capacity> data_{};
    std::size_t length_ = 0;
};

// A line for the log or for a person.
using LineText = FixedText<512>;

}  // namespace holdfast

// Compiled once, in format.cc.
extern template auto fmt::formatter<fmt::string_view>::format(const fmt::string_view&,
                                                              fmt::format_context&) const
    -> fmt::format_context::iterator;

template <std::size_t Capacity>
struct fmt::formatter<holdfast::FixedText<Capacity>> : fmt::formatter<fmt::string_view> {
    auto format(const holdfast::FixedText<Capacity>& text, fmt::format_context& context) const {
        const std::string_view view = text.view();
        return fmt::formatter<fmt::string_view>::format(fmt::string_view(view.data(), view.size()), context);
    }
};
