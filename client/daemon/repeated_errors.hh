// Remembers the last logged error of each server since the link was lost: an outage of hours must not fill
// the log.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace holdfast::client {

// Stores a hash, not the text: a collision (about 1 in 2^32) suppresses a single line.
class RepeatedErrors {
public:
    // Returns true if the text differs from this server's last text. Servers beyond the array's size share
    // entries.
    [[nodiscard]] bool is_new(std::size_t server, std::string_view text) noexcept {
        std::size_t& told = told_[server % told_.size()];
        const std::size_t hash = std::hash<std::string_view>{}(text) | 1;
        const bool is_new = told != hash;
        told = hash;
        return is_new;
    }
    void clear() noexcept { told_.fill(0); }

private:
    std::array<std::size_t, 64> told_{};
};

}  // namespace holdfast::client
