// A table of the orders' words.

#include "client/control/orders.hh"

#include <array>
#include <utility>

namespace holdfast::client {
namespace {

constexpr std::array orders{
    std::pair{Order::status, "status"},
    std::pair{Order::detach, "detach"},
    std::pair{Order::detach_forced, "detach forced"},
    std::pair{Order::resize, "resize"},
    std::pair{Order::confine, "confine"},
    std::pair{Order::take_over, "take over"},
    std::pair{Order::ready, "ready"},
    std::pair{Order::mine, "mine"},
};

}  // namespace

const char* word_of(Order order) noexcept {
    for (const auto& [candidate, word] : orders)
        if (candidate == order) return word;
    return "";
}

std::optional<Order> read_order(std::string_view line) noexcept {
    for (const auto& [order, word] : orders)
        if (line == word) return order;
    return std::nullopt;
}

LineText growth_answer(const Result<void>& done, std::uint64_t wanted, std::uint64_t present) {
    if (!done)
        return LineText::of("error the kernel rejected a size of {} bytes: {}; the device still has {}\n",
                            wanted, done.error().text(), present);
    if (present < wanted)
        return LineText::of("error the export had {} bytes, but the new link offers only {}\n", wanted,
                            present);
    return LineText::of("ok {}\n", present);
}

FixedText<32> socket_name(std::uint32_t index) { return FixedText<32>::of("nbd{}.sock", index); }

}  // namespace holdfast::client
