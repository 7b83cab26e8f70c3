// First fit over a page map: a connection has few areas, and the lowest addresses are most likely cached.

#include "server/transport/buffers.hh"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace holdfast::server {

namespace {

std::size_t pages_of(std::size_t bytes) { return (bytes + Buffers::page - 1) / Buffers::page; }

// Returns the bits of the range from `first` to `first + count` that lie in a single word, and advances past
// them.
std::uint64_t take_bits(std::size_t& first, std::size_t& count) {
    const std::size_t here = std::min<std::size_t>(64 - first % 64, count);
    const std::uint64_t bits = (~std::uint64_t{0} >> (64 - here)) << (first % 64);
    first += here;
    count -= here;
    return bits;
}

}  // namespace

std::size_t Buffers::PageSet::find_free(std::size_t count) const noexcept {
    std::size_t first = 0;
    while (first + count <= pages) {
        const std::uint64_t free_here = ~words_[first / 64] >> (first % 64);
        if (free_here == 0) {
            first = (first / 64 + 1) * 64;
            continue;
        }
        first += static_cast<std::size_t>(std::countr_zero(free_here));
        std::size_t at = first;
        while (at < first + count && at < pages && !has(at)) ++at;
        if (at == first + count) return first;
        first = at;
    }
    return pages;
}

std::size_t Buffers::PageSet::add(std::size_t first, std::size_t count) noexcept {
    std::size_t changed = 0;
    while (count > 0) {
        std::uint64_t& word = words_[first / 64];
        const std::uint64_t bits = take_bits(first, count);
        changed += static_cast<std::size_t>(std::popcount(bits & ~word));
        word |= bits;
    }
    return changed;
}

std::size_t Buffers::PageSet::remove(std::size_t first, std::size_t count) noexcept {
    std::size_t changed = 0;
    while (count > 0) {
        std::uint64_t& word = words_[first / 64];
        const std::uint64_t bits = take_bits(first, count);
        changed += static_cast<std::size_t>(std::popcount(bits & word));
        word &= ~bits;
    }
    return changed;
}

Buffers::~Buffers() {
    if (memory_ != nullptr) (void)::munmap(memory_, most);
}

bool Buffers::map() noexcept {
    void* got =
        ::mmap(nullptr, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) return false;
    // Prevents huge pages, which would use more memory than is counted here.
    (void)::madvise(got, most, MADV_NOHUGEPAGE);
    memory_ = static_cast<std::uint8_t*>(got);
    return true;
}

// --- memory ---

// Whether `count` pages may be committed; borrows for them if needed.
bool Buffers::may_hold(std::size_t count) {
    const std::size_t borrowed = (count - std::min(count, guaranteed_pages)) * page;
    if (borrowed <= borrower_.borrowed()) return true;
    const std::size_t more = borrowed - borrower_.borrowed();
    return borrower_.borrow((more + step - 1) / step * step);
}

bool Buffers::commit_pages(std::size_t first, std::size_t count) {
    committed_ += held_.add(first, count);
    if (may_hold(committed_)) return true;
    // Unused committed pages elsewhere may suffice. (These pages are reserved, and stay.)
    drop_unused(0);
    const bool enough = may_hold(committed_);
    if (!enough) drop_pages(first, count);
    give_back();
    return enough;
}

void Buffers::drop_pages(std::size_t first, std::size_t count) noexcept {
    const std::size_t dropped = held_.remove(first, count);
    committed_ -= dropped;
    if (dropped > 0) (void)::madvise(memory_ + first * page, count * page, MADV_DONTNEED);
}

// Drops the highest pages first, until at most `down_to` pages are committed.
void Buffers::drop_unused(std::size_t down_to) noexcept {
    const auto unused = [&](std::size_t at) { return held_.has(at) && !used_.has(at); };
    for (std::size_t end = pages; end > 0 && committed_ > down_to;) {
        if (!unused(end - 1)) {
            --end;
            continue;
        }
        std::size_t first = end - 1;
        while (first > 0 && unused(first - 1) && committed_ - (end - first) > down_to) --first;
        drop_pages(first, end - first);
        end = first;
    }
}

void Buffers::give_back() {
    const std::size_t borrowed = (committed_ - std::min(committed_, guaranteed_pages)) * page;
    borrower_.keep((borrowed + step - 1) / step * step);
}

// --- areas ---

std::span<std::uint8_t> Buffers::reserve(std::size_t length) {
    if (length == 0 || length > most) return {};
    const std::size_t count = pages_of(length);
    const std::size_t first = used_.find_free(count);
    if (first == pages || (memory_ == nullptr && !map())) return {};
    used_.add(first, count);
    taken_ += count;
    return {memory_ + first * page, length};
}

std::span<std::uint8_t> Buffers::take(std::size_t length) {
    const std::span<std::uint8_t> area = reserve(length);
    if (area.empty()) return {};
    if (!commit_pages(first_page(area), pages_of(length))) {
        give(area);
        return {};
    }
    peak_ = std::max(peak_, taken_);
    return area;
}

std::span<std::uint8_t> Buffers::take_most(std::size_t wanted, std::size_t unit) {
    for (std::size_t length = std::min(wanted, most); length > 0;) {
        if (const std::span<std::uint8_t> area = take(length); !area.empty()) return area;
        const std::size_t half = length / 2 - length / 2 % unit;
        length = half == 0 && length > unit ? unit : half;
    }
    return {};
}

std::size_t Buffers::commit(std::span<const std::uint8_t> area, std::size_t have) {
    const std::size_t from = first_page(area);
    const std::size_t all = pages_of(area.size());
    std::size_t count = pages_of(have);
    while (count < all && held_.has(from + count)) ++count;
    if (count == pages_of(have) && count < all) {
        std::size_t more = std::min(pages_of(step) - count % pages_of(step), all - count);
        // Unused pages further on in the area may still be committed from earlier use.
        if (!commit_pages(from + count, more)) drop_pages(from + count + more, all - count - more);
        // Less than a step may be left of the guaranteed piece, and a page is enough to continue.
        while (more > 0 && !commit_pages(from + count, more)) more /= 2;
        if (more == 0) return have;
        count += more;
    }
    peak_ = std::max(peak_, taken_ - all + count);
    return std::min(count * page, area.size());
}

std::size_t Buffers::shrink(std::span<const std::uint8_t> area, std::size_t used) {
    const std::size_t keep = pages_of(used);
    drop_pages(first_page(area) + keep, pages_of(area.size()) - keep);
    drop_unused(0);
    give_back();
    return std::min(keep * page, area.size());
}

void Buffers::give(std::span<const std::uint8_t> area) noexcept {
    if (area.empty()) return;
    taken_ -= used_.remove(first_page(area), pages_of(area.size()));
}

void Buffers::release() {
    if (taken_ > 0) {
        drop_unused(0);
        return give_back();
    }
    if (memory_ != nullptr) (void)::munmap(memory_, most);
    memory_ = nullptr;
    held_ = {};
    committed_ = 0;
    give_back();
}

void Buffers::share() {
    if (!borrows() || !borrower_.others_want()) return;
    drop_unused(std::max(peak_, guaranteed_pages));
    give_back();
    peak_ = 0;
}

}  // namespace holdfast::server
