// Serializes the values of an answer from another process of this program. Pure. Both processes run the same
// program on the same machine, so integers are in native format; no length is trusted.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::server {

enum class OpenerStatus : std::uint8_t {
    done,     // the requested values follow
    refused,  // the reason follows, as text
    absent,   // the same; there is nothing at the path
    busy,     // too many requests are waiting: ask again. The text that follows says for which resource
};

// Appends values.
class Packer {
public:
    explicit Packer(OpenerStatus status) { number(static_cast<std::uint8_t>(status)); }
    template <std::unsigned_integral T>
    void number(T value) {
        put(&value, sizeof value);
    }
    void text(std::string_view value);
    [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

private:
    void put(const void* from, std::size_t size);

    std::vector<std::uint8_t> bytes_;
};

// Extracts the values. After the first missing value, all further values are zero or empty, and complete() is
// false.
class Unpacker {
public:
    explicit Unpacker(std::span<const std::uint8_t> bytes) : rest_(bytes) {}
    template <std::unsigned_integral T>
    [[nodiscard]] T number() {
        T value = 0;
        take(&value, sizeof value);
        return value;
    }
    [[nodiscard]] bool flag() { return number<std::uint8_t>() != 0; }
    [[nodiscard]] std::string text();
    // Whether all requested values were present and no byte is left.
    [[nodiscard]] bool complete() const { return sound_ && rest_.empty(); }
    [[nodiscard]] bool sound() const { return sound_; }

private:
    void take(void* into, std::size_t size);

    std::span<const std::uint8_t> rest_;
    bool sound_ = true;
};

}  // namespace holdfast::server
