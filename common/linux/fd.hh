// An owning file descriptor. Created where the descriptor is opened, closed once, never copied.
#pragma once

#include <unistd.h>

#include <utility>

namespace holdfast {

class Fd {
public:
    Fd() noexcept = default;
    explicit Fd(int raw) noexcept : raw_(raw) {}
    Fd(Fd&& other) noexcept : raw_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    [[nodiscard]] int get() const noexcept { return raw_; }
    explicit operator bool() const noexcept { return raw_ >= 0; }

    // Transfers the descriptor to the caller, who closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(raw_, -1); }

    // Closes the held descriptor. close() is not repeated on EINTR: on Linux the descriptor is closed by
    // then.
    void reset(int raw = -1) noexcept {
        if (raw_ >= 0) ::close(raw_);
        raw_ = raw;
    }

private:
    int raw_ = -1;
};

}  // namespace holdfast
