// Shares the memory for clients' data (buffermemory) between connections, so that no export and no address
// can keep it from the others. Every connection is counted twice, for its export and for the address that it
// comes from. Neither of the two may have more than a quarter of the limit, nor more than what is left free:
// three that hold all they can for ever leave a quarter to the others, a fourth leaves an eighth, and so on.
// Each connection has a small piece besides, which is not counted here (buffers.hh): that is certain,
// whatever the others do. Nobody waits. (The rule is that of switches that share one memory between their
// ports: Choudhury and Hahne, "Dynamic queue length thresholds", 1998.)
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast::server {

// Safe to be called from any thread. Must outlive its borrowers.
class Budget {
public:
    class Borrower;

    explicit Budget(std::uint64_t bytes = 0) : limit_(bytes) {}
    Budget(const Budget&) = delete;
    Budget& operator=(const Budget&) = delete;

    // A new borrower, that of a connection to `export_name` from `place`.
    [[nodiscard]] Borrower borrower(std::string_view export_name, std::string_view place);
    // Of all together, in bytes. A lower limit takes nothing away: it counts for what is borrowed from now
    // on.
    void set_limit(std::uint64_t bytes);
    [[nodiscard]] std::uint64_t borrowed() const;  // bytes
    // How often a borrower was refused. Whoever holds memory that he does not use gives it back when this
    // has changed.
    [[nodiscard]] std::uint64_t refusals() const noexcept {
        return refusals_.load(std::memory_order_relaxed);
    }

private:
    // The connections that have an export or an address in common.
    struct Group {
        std::uint64_t members = 0;
        std::uint64_t borrowed = 0;
    };
    using Groups = std::map<std::string, Group, std::less<>>;

    static Groups::iterator join(Groups& groups, std::string_view name);
    static void leave(Groups& groups, Groups::iterator group);

    mutable std::mutex mutex_;  // of everything but refusals_
    std::uint64_t limit_;
    std::uint64_t borrowed_ = 0;
    Groups exports_;
    Groups places_;
    std::atomic<std::uint64_t> refusals_ = 0;
};

// What one connection has borrowed. To be used by one thread at a time.
class Budget::Borrower {
public:
    Borrower(Borrower&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)),
          export_(other.export_),
          place_(other.place_),
          borrowed_(std::exchange(other.borrowed_, 0)),
          refusals_seen_(other.refusals_seen_) {}
    Borrower(const Borrower&) = delete;
    Borrower& operator=(const Borrower&) = delete;
    Borrower& operator=(Borrower&&) = delete;
    // Gives everything back.
    ~Borrower();

    // Never waits: false, and nothing is borrowed, where the rule above does not allow it.
    [[nodiscard]] bool borrow(std::uint64_t bytes);
    // Gives back all but this much.
    void keep(std::uint64_t bytes);
    [[nodiscard]] std::uint64_t borrowed() const noexcept { return borrowed_; }
    // Whether anybody was refused since this was called last.
    [[nodiscard]] bool others_want() noexcept {
        const std::uint64_t now = budget_->refusals();
        return std::exchange(refusals_seen_, now) != now;
    }

private:
    friend class Budget;
    Borrower(Budget& budget, Groups::iterator of_export, Groups::iterator of_place)
        : budget_(&budget), export_(of_export), place_(of_place), refusals_seen_(budget.refusals()) {}

    Budget* budget_;
    Groups::iterator export_;
    Groups::iterator place_;
    std::uint64_t borrowed_ = 0;
    std::uint64_t refusals_seen_ = 0;
};

}  // namespace holdfast::server
