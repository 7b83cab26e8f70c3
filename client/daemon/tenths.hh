// Durations in the log, in tenths of a second.
#pragma once

#include <chrono>

#include "common/text/fixed_text.hh"

namespace holdfast::client {

[[nodiscard]] inline LineText in_tenths(std::chrono::milliseconds duration) {
    const auto tenths = duration.count() / 100;
    return LineText::of("{}.{} s", tenths / 10, tenths % 10);
}

}  // namespace holdfast::client
