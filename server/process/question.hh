// A question to another process of this program, and its answer: a stream of bytes and descriptors that ends
// where the other process closes it. No length and no count is trusted.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "common/linux/fd.hh"

namespace holdfast::server {

// Why a volume cannot be had.
struct VolumeRefusal {
    bool absent = false;  // there is nothing at the path
    std::string text;     // for log and client, beginning with the path
};

// What the opener answered.
struct OpenerReply {
    std::vector<std::uint8_t> bytes;  // behind the status, which was `done`
    std::vector<Fd> files;
};

using OpenerOutcome = std::expected<OpenerReply, VolumeRefusal>;

// A request whose answer is awaited, by a loop or by a thread that waits.
class OpenerQuestion {
public:
    OpenerQuestion() = default;
    explicit OpenerQuestion(Fd from_opener) : from_opener_(std::move(from_opener)) {}

    // To be watched for reading; then take().
    [[nodiscard]] int fd() const noexcept { return from_opener_.get(); }
    explicit operator bool() const noexcept { return static_cast<bool>(from_opener_); }
    // Takes what is there, without waiting. nullopt: more is to come. Otherwise the whole answer, once.
    [[nodiscard]] std::optional<OpenerOutcome> take();
    // The answer said that too many requests are waiting: ask again later.
    [[nodiscard]] bool was_busy() const noexcept { return was_busy_; }

private:
    [[nodiscard]] OpenerOutcome finish();

    Fd from_opener_;
    OpenerReply so_far_;
    bool was_busy_ = false;
};

}  // namespace holdfast::server
