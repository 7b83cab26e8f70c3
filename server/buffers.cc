// First fit over a map of pages: the areas of a connection are few, and the lowest addresses are the warmest.

#include "server/buffers.hh"

#include <sys/mman.h>

#include <algorithm>
#include <bit>

namespace holdfast::server {

bool Budget::borrow(std::uint64_t bytes) noexcept {
    std::uint64_t now = borrowed_;
    do {
        const std::uint64_t limit = limit_;
        if (bytes > limit || now > limit - bytes) return false;
    } while (!borrowed_.compare_exchange_weak(now, now + bytes));
    return true;
}

Buffers::~Buffers() {
    taken_ = 0;
    release();
}

bool Buffers::map() noexcept {
    void* got =
        ::mmap(nullptr, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) return false;
    // A huge page for a few small ones would not be what is counted here.
    (void)::madvise(got, most, MADV_NOHUGEPAGE);
    memory_ = static_cast<std::uint8_t*>(got);
    return true;
}

// `pages` when there is none.
std::size_t Buffers::find(std::size_t count) const noexcept {
    const std::size_t end = capacity_ / page;
    std::size_t first = 0;
    while (first + count <= end) {
        const std::uint64_t free_here = ~used_[first / 64] >> (first % 64);
        if (free_here == 0) {
            first = (first / 64 + 1) * 64;
            continue;
        }
        first += static_cast<std::size_t>(std::countr_zero(free_here));
        std::size_t at = first;
        while (at < first + count && at < end && !is_used(at)) ++at;
        if (at == first + count) return first;
        first = at;
    }
    return pages;
}

void Buffers::mark(std::size_t first, std::size_t count, bool used) noexcept {
    for (std::size_t at = first; at < first + count; ++at) {
        const std::uint64_t bit = std::uint64_t{1} << (at % 64);
        if (used) {
            used_[at / 64] |= bit;
        } else {
            used_[at / 64] &= ~bit;
        }
    }
}

std::span<std::uint8_t> Buffers::take(std::size_t length) noexcept {
    if (length == 0 || length > most) return {};
    const std::size_t count = (length + page - 1) / page;
    std::size_t first = find(count);
    while (first == pages) {
        const std::size_t more = std::min(step, most - capacity_);
        if (more == 0 || !budget_.borrow(more)) return {};
        capacity_ += more;
        first = find(count);
    }
    if (memory_ == nullptr && !map()) return {};
    mark(first, count, true);
    taken_ += count;
    return {memory_ + first * page, length};
}

std::span<std::uint8_t> Buffers::take_most(std::size_t wanted) noexcept {
    for (std::size_t length = std::min(wanted, most); length > 0; length = length > page ? length / 2 : 0) {
        if (const std::span<std::uint8_t> area = take(length); !area.empty()) return area;
    }
    return {};
}

void Buffers::give(std::span<const std::uint8_t> area) noexcept {
    if (area.empty()) return;
    const std::size_t count = (area.size() + page - 1) / page;
    mark(static_cast<std::size_t>(area.data() - memory_) / page, count, false);
    taken_ -= count;
}

void Buffers::release() noexcept {
    if (taken_ > 0) return;
    if (memory_ != nullptr) (void)::munmap(memory_, most);
    memory_ = nullptr;
    budget_.give_back(capacity_ - guaranteed);
    capacity_ = guaranteed;
}

}  // namespace holdfast::server
