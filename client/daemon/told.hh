// Which error was logged for each server since the link was lost: an outage of hours is not to fill the log.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace holdfast::client {

// Keeps a hash, not the text: to miss one line in four thousand million is no loss.
class ToldErrors {
public:
    // Whether the text is another than this server's last. Servers beyond the room that there is share a
    // place.
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
