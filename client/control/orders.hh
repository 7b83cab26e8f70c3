// Orders to a device's daemon on its control socket, /run/holdfast/nbdN.sock, root only.
//
// A line each way, then the end: a command (Order) of at most `longest_order` bytes, and an answer. Signals
// are not used, because shutdown scripts send them to every process. Only a takeover is a dialogue, of three
// orders on one connection:
//   take over   answered with the device's record (device_record.hh) and an empty line; the old daemon
//               continues
//   ready       sent once the new daemon has everything it needs: the old daemon pauses, and answers with
//               "yours", its live state, an empty line, and the link's descriptor if there is a link
//   mine        answered with "go": the old daemon exits, and the new daemon is in charge
// If the connection ends before "go", or the new daemon delays more than a few seconds, the old daemon
// remains in charge, and the new daemon never acts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/linux/result.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

inline constexpr std::size_t longest_order = 32;

enum class Order : std::uint8_t {
    status,         // answered with the lines of device_status.hh
    detach,         // the device is idle and flushed: disconnect the device and exit
    detach_forced,  // disconnect the device even if waiting I/O is lost
    resize,         // check the export's size now
    confine,        // enter the AppArmor profile, which is loaded
    take_over,
    ready,
    mine,
};

[[nodiscard]] const char* word_of(Order order) noexcept;
// Parses a whole line without its newline.
[[nodiscard]] std::optional<Order> read_order(std::string_view line) noexcept;

// Returns the answer to `resize`, for a device that should grow to `wanted` bytes and now has `present`
// bytes.
[[nodiscard]] LineText growth_answer(const Result<void>& done, std::uint64_t wanted, std::uint64_t present);

// File name of a device's socket: "nbd0.sock".
[[nodiscard]] FixedText<32> socket_name(std::uint32_t index);

}  // namespace holdfast::client
