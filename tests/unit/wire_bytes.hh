// Byte vectors for the protocol's tests: written as hex and text, put together, fed to a machine in any
// portions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace wire_bytes {

using Bytes = std::vector<std::uint8_t>;

// "4e42 4d41": pairs of digits, blanks between them where they help the eye.
inline Bytes hex(std::string_view digits) {
    Bytes bytes;
    int high = -1;
    for (const char c : digits) {
        if (c == ' ') continue;
        const int value = c <= '9' ? c - '0' : c - 'a' + 10;
        if (high < 0) {
            high = value;
        } else {
            bytes.push_back(static_cast<std::uint8_t>(high * 16 + value));
            high = -1;
        }
    }
    return bytes;
}

inline Bytes text(std::string_view text) { return {text.begin(), text.end()}; }

inline Bytes be(std::uint64_t value, std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[size - 1 - i] = static_cast<std::uint8_t>(value >> (8 * i));
    return bytes;
}

inline Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

template <std::size_t Extent>
Bytes copy(std::span<const std::uint8_t, Extent> bytes) {
    return {bytes.begin(), bytes.end()};
}

// An option as a client sends it, and a reply to one, with the lengths filled in.
inline Bytes option(std::uint32_t number, const Bytes& data = {}) {
    return text("IHAVEOPT") + be(number, 4) + be(data.size(), 4) + data;
}
inline Bytes reply(std::uint32_t number, std::uint32_t type, const Bytes& data = {}) {
    return hex("0003e889 045565a9") + be(number, 4) + be(type, 4) + be(data.size(), 4) + data;
}

// Feeds at most `portion` bytes at a time, never more than the machine wants. Returns how many it took.
template <class Machine>
std::size_t feed(Machine& machine, std::span<const std::uint8_t> bytes, std::size_t portion = SIZE_MAX) {
    std::size_t taken = 0;
    while (machine.wanted() > 0 && taken < bytes.size()) {
        const std::size_t count = std::min({portion, machine.wanted(), bytes.size() - taken});
        machine.receive(bytes.subspan(taken, count));
        taken += count;
    }
    return taken;
}

// Takes what the machine has to say.
template <class Machine>
Bytes drain(Machine& machine) {
    Bytes bytes = copy(machine.output());
    machine.sent(bytes.size());
    return bytes;
}

}  // namespace wire_bytes
