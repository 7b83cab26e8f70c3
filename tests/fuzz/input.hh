// What the targets stand on: an input that is taken apart from its front, and a check that ends the run.
//
// Whatever a target is given has a meaning: an input that is too short reads as zeros, so that the fuzzer's
// every change leads somewhere.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#include "common/text/utf8.hh"

namespace fuzz {

// Not assert(): it must hold in every build. libFuzzer keeps the input of a run that aborts.
inline void check(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

    // Big-endian, of so many bytes.
    std::uint64_t number(std::size_t bytes) {
        std::uint64_t value = 0;
        for (; bytes > 0; --bytes) {
            value = value << 8 | (rest_.empty() ? 0 : rest_.front());
            if (!rest_.empty()) rest_ = rest_.subspan(1);
        }
        return value;
    }
    // A bit that the fuzzer may set.
    bool flag() { return (number(1) & 1) != 0; }
    // At most so many bytes.
    std::span<const std::uint8_t> bytes(std::size_t most) {
        const auto taken = rest_.first(std::min(most, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }
    // Everything up to a line "==", which parts the texts of an input, or to the end.
    std::string_view part() {
        constexpr std::string_view border = "\n==\n";
        const std::string_view all = rest();
        const std::size_t end = std::min(all.find(border), all.size());
        rest_ = rest_.subspan(std::min(end + border.size(), all.size()));
        return all.substr(0, end);
    }
    [[nodiscard]] std::string_view rest() const {
        return {reinterpret_cast<const char*>(rest_.data()), rest_.size()};
    }
    [[nodiscard]] std::span<const std::uint8_t> rest_bytes() const { return rest_; }
    [[nodiscard]] bool empty() const { return rest_.empty(); }

private:
    std::span<const std::uint8_t> rest_;
};

// One line that a terminal can be shown: UTF-8 without control and hidden characters.
inline bool is_printable_line(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = holdfast::utf8_length(text);
        if (length == 0 || holdfast::is_hidden(text, length)) return false;
        text.remove_prefix(length);
    }
    return true;
}

// The next line without its newline, or the whole.
inline std::string_view take_line(std::string_view& rest) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return line;
}

}  // namespace fuzz
