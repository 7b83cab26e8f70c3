// A request to another process of this program, and its answer: a stream of bytes and descriptors that ends
// when the other process closes its end. No length and no count is trusted.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "common/linux/fd.hh"

namespace holdfast::server {

// Why a volume is unavailable.
struct VolumeRefusal {
    bool absent = false;  // there is nothing at the path
    std::string text;     // for log and client, beginning with the path
};

// The opener's answer.
struct OpenerReply {
    std::vector<std::uint8_t> bytes;  // bytes after the status, which was `done`
    std::vector<Fd> files;
};

using OpenerOutcome = std::expected<OpenerReply, VolumeRefusal>;

// A request whose answer is awaited, by an event loop or by a blocked thread.
class OpenerQuestion {
public:
    OpenerQuestion() = default;
    explicit OpenerQuestion(Fd from_opener) : from_opener_(std::move(from_opener)) {}

    // Watch for reading; then call take().
    [[nodiscard]] int fd() const noexcept { return from_opener_.get(); }
    explicit operator bool() const noexcept { return static_cast<bool>(from_opener_); }
    // Reads the available bytes without waiting. nullopt: more will follow. Otherwise the whole answer, once.
    [[nodiscard]] std::optional<OpenerOutcome> take();
    // Whether the answer said that too many requests are waiting: ask again later.
    [[nodiscard]] bool was_busy() const noexcept { return was_busy_; }

private:
    [[nodiscard]] OpenerOutcome finish();

    Fd from_opener_;
    OpenerReply so_far_;
    bool was_busy_ = false;
};

}  // namespace holdfast::server
