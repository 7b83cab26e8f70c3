// SHA-256 (FIPS 180-4), for names that must not reveal their source data, and for the content of boot files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast {

[[nodiscard]] std::array<std::uint8_t, 32> sha256(std::string_view text);

// The same for data that comes in parts. Allocates nothing.
class Sha256 {
public:
    void add(std::string_view part) noexcept;
    // Call once, last.
    [[nodiscard]] std::array<std::uint8_t, 32> finish() noexcept;

private:
    static constexpr std::size_t block_size = 64;

    std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<char, block_size> block_{};  // the unfinished block
    std::uint64_t size_ = 0;                // bytes added
};

}  // namespace holdfast
