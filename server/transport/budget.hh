// Shares the memory for clients' data (buffermemory) between connections, so that no export and no address
// can exhaust it. Every connection counts twice, for its export and for its address. Neither may have more
// than a quarter of the limit, nor more than the amount left free: three groups that hold their maximum for
// ever leave a quarter to the others, a fourth leaves an eighth, and so on. Each connection also has a small
// guaranteed piece, which is not counted here (buffers.hh). No call waits. (The rule is that of switches that
// share a memory between their ports: Choudhury and Hahne, "Dynamic queue length thresholds", 1998.)
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

    // Returns the borrower of a new connection to `export_name` from `place`.
    [[nodiscard]] Borrower borrower(std::string_view export_name, std::string_view place);
    // Sets the limit of all borrowers together, in bytes. A lower limit reclaims nothing and applies only to
    // future borrowing.
    void set_limit(std::uint64_t bytes);
    [[nodiscard]] std::uint64_t borrowed() const;  // bytes
    // Number of refused borrow() calls. A borrower with unused memory returns it when this number has
    // changed.
    [[nodiscard]] std::uint64_t refusals() const noexcept {
        return refusals_.load(std::memory_order_relaxed);
    }

private:
    // Connections that share an export or an address.
    struct Group {
        std::uint64_t members = 0;
        std::uint64_t borrowed = 0;
    };
    using Groups = std::map<std::string, Group, std::less<>>;

    static Groups::iterator join(Groups& groups, std::string_view name);
    static void leave(Groups& groups, Groups::iterator group);

    mutable std::mutex mutex_;  // protects all members except refusals_
    std::uint64_t limit_;
    std::uint64_t borrowed_ = 0;
    Groups exports_;
    Groups places_;
    std::atomic<std::uint64_t> refusals_ = 0;
};

// Memory borrowed by one connection. For one thread at a time.
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
    // Returns all memory.
    ~Borrower();

    // Borrows `bytes`, or returns false if the rule above forbids it. Never waits.
    [[nodiscard]] bool borrow(std::uint64_t bytes);
    // Returns all memory except for `bytes`.
    void keep(std::uint64_t bytes);
    [[nodiscard]] std::uint64_t borrowed() const noexcept { return borrowed_; }
    // Whether any borrower was refused since the last call.
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
