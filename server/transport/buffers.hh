// Memory of a connection for its client's data. A small piece is guaranteed; more is borrowed from the budget
// that all connections share (budget.hh). When the budget is exhausted, the connection continues with its
// guaranteed piece. No connection ever waits for the memory of another, so none can withhold memory for
// longer than it works with that memory.
//
// Addresses and memory are separate. An area is reserved in the length of the request; its memory is
// committed, and counted, as data arrive. So a client that announces a long write and sends nothing holds
// only addresses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "server/transport/budget.hh"

namespace holdfast::server {

// Buffers of one connection, used by its thread only; other threads may fill areas. Areas begin at page
// boundaries, as direct I/O requires. No page is touched before use, and none is kept after release().
class Buffers {
public:
    static constexpr std::size_t page = 4096;
    static constexpr std::size_t guaranteed = 320U << 10;  // not counted in the budget
    static constexpr std::size_t step = 256U << 10;        // unit of borrowing and committing
    static constexpr std::size_t most = 8U << 20;

    explicit Buffers(Budget::Borrower borrower) : borrower_(std::move(borrower)) {}
    Buffers(const Buffers&) = delete;
    Buffers& operator=(const Buffers&) = delete;
    ~Buffers();

    // Returns a fully committed area of `length` bytes. Empty if there is no memory now, or if length is 0.
    // Reuses released addresses first, since they are in the processor's cache.
    [[nodiscard]] std::span<std::uint8_t> take(std::size_t length);
    // Returns an area as large as memory allows: `wanted`, or less in whole `unit`s. Empty if there is no
    // memory for a unit. `unit`: a multiple of the page size.
    [[nodiscard]] std::span<std::uint8_t> take_most(std::size_t wanted, std::size_t unit);

    // Reserves addresses without memory; nothing may be touched before commit(). Empty if no addresses are
    // free.
    [[nodiscard]] std::span<std::uint8_t> reserve(std::size_t length);
    // Commits more of a reserved area whose first `have` bytes are committed: to the next whole step, or as
    // far as pages are still committed from earlier use, or as much as memory allows. Returns the number of
    // committed bytes from the beginning of the area; `have` if there is no more memory.
    [[nodiscard]] std::size_t commit(std::span<const std::uint8_t> area, std::size_t have);
    // Releases the memory of a reserved area except for its first `used` bytes, and all other unused memory.
    // Returns the number of committed bytes from the beginning of the area.
    std::size_t shrink(std::span<const std::uint8_t> area, std::size_t used);

    // Returns an area from take() or reserve(); may be empty.
    void give(std::span<const std::uint8_t> area) noexcept;
    // Releases unused memory; if no area is in use, all memory and the addresses.
    void release();
    // If another connection was refused memory, releases memory that has not been used since the last such
    // refusal.
    void share();
    [[nodiscard]] bool in_use() const noexcept { return taken_ > 0; }
    // Whether memory is borrowed, used or not.
    [[nodiscard]] bool borrows() const noexcept { return borrower_.borrowed() > 0; }

private:
    static constexpr std::size_t pages = most / page;
    static constexpr std::size_t guaranteed_pages = guaranteed / page;

    // Set of pages, by number.
    class PageSet {
    public:
        [[nodiscard]] bool has(std::size_t at) const noexcept {
            return (words_[at / 64] >> (at % 64) & 1U) != 0;
        }
        // First page of `count` consecutive pages that are not in the set; `pages` if there are none.
        [[nodiscard]] std::size_t find_free(std::size_t count) const noexcept;
        // Return the number of pages that were added or removed.
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
    std::uint8_t* memory_ = nullptr;  // `most` bytes of address space, or null
    PageSet used_;                    // reserved or taken
    PageSet held_;                    // committed; may have been touched
    std::size_t taken_ = 0;           // pages in used_
    std::size_t committed_ = 0;       // pages in held_; those beyond `guaranteed_pages` are borrowed
    std::size_t peak_ = 0;            // maximum of committed pages in use since share() last saw a refusal
};

}  // namespace holdfast::server
