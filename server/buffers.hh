// The memory that a connection has for its clients' data. A small piece of it is always there; more is
// borrowed from what all connections share, and where that is used up, a connection goes on with its small
// piece. Nobody ever waits for memory, so nobody can keep it from others for longer than he works with it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast::server {

// What all connections together may borrow. Safe to be called from any thread.
class Budget {
public:
    explicit Budget(std::uint64_t bytes = 0) : limit_(bytes) {}

    // Never waits: false when there is not so much left.
    [[nodiscard]] bool borrow(std::uint64_t bytes) noexcept;
    void give_back(std::uint64_t bytes) noexcept { borrowed_ -= bytes; }
    // Nothing is taken away by a lower limit: it counts for what is borrowed from now on.
    void set_limit(std::uint64_t bytes) noexcept { limit_ = bytes; }
    [[nodiscard]] std::uint64_t borrowed() const noexcept { return borrowed_; }

private:
    std::atomic<std::uint64_t> limit_;
    std::atomic<std::uint64_t> borrowed_ = 0;
};

// Of one connection, and used by its thread only; what was taken may be filled by another. Areas are whole
// pages, as direct I/O wants them. No page is touched before it is used, and none is kept after release().
class Buffers {
public:
    static constexpr std::size_t page = 4096;
    static constexpr std::size_t guaranteed = 320U << 10;  // without asking the budget
    static constexpr std::size_t step = 256U << 10;        // what is borrowed at a time
    static constexpr std::size_t most = 8U << 20;

    explicit Buffers(Budget& budget) : budget_(budget) {}
    Buffers(const Buffers&) = delete;
    Buffers& operator=(const Buffers&) = delete;
    ~Buffers();

    // An area of `length` bytes, at the beginning of a page. Empty when there is none now, or when length is
    // 0. The same addresses are handed out again as soon as they are given back, since they are in the
    // processor's cache.
    [[nodiscard]] std::span<std::uint8_t> take(std::size_t length) noexcept;
    // As much as there is, in one area, and at most `wanted`; at least a page, or empty.
    [[nodiscard]] std::span<std::uint8_t> take_most(std::size_t wanted) noexcept;
    // What take() gave; an empty one is no matter.
    void give(std::span<const std::uint8_t> area) noexcept;
    // Gives the memory back, to the system and to the budget, if nothing is taken.
    void release() noexcept;
    [[nodiscard]] bool in_use() const noexcept { return taken_ > 0; }

private:
    static constexpr std::size_t pages = most / page;

    [[nodiscard]] bool map() noexcept;
    [[nodiscard]] std::size_t find(std::size_t count) const noexcept;
    void mark(std::size_t first, std::size_t count, bool used) noexcept;
    [[nodiscard]] bool is_used(std::size_t at) const noexcept {
        return (used_[at / 64] >> (at % 64) & 1U) != 0;
    }

    Budget& budget_;
    std::uint8_t* memory_ = nullptr;     // `most` bytes of address space, while it has any
    std::size_t capacity_ = guaranteed;  // how much of it may be used; what exceeds `guaranteed` is borrowed
    std::size_t taken_ = 0;              // pages
    std::array<std::uint64_t, pages / 64> used_{};
};

}  // namespace holdfast::server
