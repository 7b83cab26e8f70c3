// Caller whose command takes a while: the part that carries the command out answers the caller at its end.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace holdfast::client {

// Connections of callers, by slot.
class Answers {
public:
    // Answers the caller in this slot, and closes the connection. May be called after the seal.
    virtual void answer(std::size_t slot, std::string_view text) noexcept = 0;

protected:
    ~Answers() = default;
};

class WaitingCaller {
public:
    // `answers` must outlive the object.
    explicit WaitingCaller(Answers& answers) noexcept : answers_(answers) {}

    void set(std::size_t slot) noexcept { slot_ = slot; }
    // Takes the other's caller.
    void take(WaitingCaller& other) noexcept {
        slot_ = other.slot_;
        other.slot_.reset();
    }
    [[nodiscard]] bool exists() const noexcept { return slot_.has_value(); }
    [[nodiscard]] bool is(std::size_t slot) const noexcept { return slot_ == slot; }
    // The caller has hung up, or was answered.
    void forget(std::size_t slot) noexcept {
        if (slot_ == slot) slot_.reset();
    }
    // Does nothing without a caller.
    void answer(std::string_view text) noexcept {
        if (slot_) answers_.answer(*slot_, text);
        slot_.reset();
    }

private:
    Answers& answers_;
    std::optional<std::size_t> slot_;
};

}  // namespace holdfast::client
