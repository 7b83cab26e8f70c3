// The memory that a connection has for its clients' data. A small piece of it is always there; more is
// borrowed from what all connections share (budget.hh), and where that is used up, a connection goes on with
// its small piece. Nobody ever waits for another's memory, so nobody can keep it from others for longer than
// he works with it.
//
// Addresses and memory are two things here. An area is reserved as long as its request says; its memory is
// committed, and counted, as the data arrive. So a client that announces a long write and sends nothing holds
// addresses only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "server/transport/budget.hh"

namespace holdfast::server {

// Of one connection, and used by its thread only; what was taken may be filled by another. Areas begin at
// pages, as direct I/O wants them. No page is touched before it is used, and none is kept after release().
class Buffers {
public:
    static constexpr std::size_t page = 4096;
    static constexpr std::size_t guaranteed = 320U << 10;  // without asking the budget
    static constexpr std::size_t step = 256U << 10;        // what is borrowed, and committed, at a time
    static constexpr std::size_t most = 8U << 20;

    explicit Buffers(Budget::Borrower borrower) : borrower_(std::move(borrower)) {}
    Buffers(const Buffers&) = delete;
    Buffers& operator=(const Buffers&) = delete;
    ~Buffers();

    // An area of `length` bytes with all of its memory. Empty when there is none now, or when length is 0.
    // The same addresses are handed out again as soon as they are given back, since they are in the
    // processor's cache.
    [[nodiscard]] std::span<std::uint8_t> take(std::size_t length);
    // As much as there is, in one area: `wanted`, or less than that in whole `unit`s. Empty where there is
    // not one unit. `unit`: a multiple of the page.
    [[nodiscard]] std::span<std::uint8_t> take_most(std::size_t wanted, std::size_t unit);

    // The addresses of an area, in which nothing may be touched before it is committed. Empty where there are
    // none.
    [[nodiscard]] std::span<std::uint8_t> reserve(std::size_t length);
    // Of a reserved area, `have` bytes of which are committed: commits what follows, up to the next whole
    // step, as far as it still has memory from before, or as much as is left. Returns how many bytes from its
    // beginning are committed then; `have`, where there is no memory for more.
    [[nodiscard]] std::size_t commit(std::span<const std::uint8_t> area, std::size_t have);
    // Gives back the memory of all but the first `used` bytes of a reserved area, and what else is not in
    // use. Returns how many bytes from its beginning are committed now.
    std::size_t shrink(std::span<const std::uint8_t> area, std::size_t used);

    // What take() or reserve() gave; an empty one is no matter.
    void give(std::span<const std::uint8_t> area) noexcept;
    // Gives back what is not in use. All of it if nothing is, the addresses too.
    void release();
    // Where others are in want of memory, gives back what has not been in use since they were before.
    void share();
    [[nodiscard]] bool in_use() const noexcept { return taken_ > 0; }
    // Memory is borrowed now, used or not.
    [[nodiscard]] bool borrows() const noexcept { return borrower_.borrowed() > 0; }

private:
    static constexpr std::size_t pages = most / page;
    static constexpr std::size_t guaranteed_pages = guaranteed / page;

    // Pages, by their numbers.
    class PageSet {
    public:
        [[nodiscard]] bool has(std::size_t at) const noexcept {
            return (words_[at / 64] >> (at % 64) & 1U) != 0;
        }
        // The first of `count` in a row that are not in it; `pages` when there are none.
        [[nodiscard]] std::size_t find_free(std::size_t count) const noexcept;
        // Both say how many of them were not, or were, in it.
        std::size_t add(std::size_t first, std::size_t count) noexcept;
        std::size_t remove(std::size_t first, std::size_t count) noexcept;

    private:
        std::array<std::uint64_t, pages / 64> words_{};
    };

    [[nodiscard]] bool map() noexcept;
    [[nodiscard]] std::size_t first_page(std::span<const std::uint8_t> area) const noexcept {
        return static_cast<std::size_t>(area.data() - memory_) / page;
    }
    [[nodiscard]] bool commit_pages(std::size_t first, std::size_t count);
    [[nodiscard]] bool may_hold(std::size_t count);
    void drop_pages(std::size_t first, std::size_t count) noexcept;
    void drop_unused(std::size_t down_to) noexcept;
    void give_back();

    Budget::Borrower borrower_;
    std::uint8_t* memory_ = nullptr;  // `most` bytes of address space, while it has any
    PageSet used_;                    // reserved or taken
    PageSet held_;                    // committed; may have been touched
    std::size_t taken_ = 0;           // pages in used_
    std::size_t committed_ = 0;       // pages in held_; those beyond `guaranteed_pages` are borrowed
    std::size_t peak_ = 0;  // the most that was committed and in use since share() found others in want
};

}  // namespace holdfast::server
