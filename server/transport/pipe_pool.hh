// Empty pipes for splice(2), which all connections share (page_pipe.hh).
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <vector>

#include "common/linux/fd.hh"

namespace holdfast::server {

// In bytes.
inline constexpr std::size_t longest_splice = 252U << 10;

// The pipes of all connections. Each is used for one read at a time: a thousand connections need as many as
// send at once. Safe to be called from any thread. Must outlive those who have a pipe of it.
class PipePool {
public:
    struct Pipe {
        Fd in;
        Fd out;
    };

    // The kernel lets a user without privileges have 64 MiB of pipes (pipe-user-pages-soft, pipe(7)), which
    // are 256 of ours; others may want some.
    static constexpr std::size_t most = 128;

    // `pause`: how long none is asked for after the kernel refused one.
    explicit PipePool(std::size_t limit = most, std::chrono::milliseconds pause = std::chrono::seconds(1))
        : limit_(limit), pause_(pause) {}

    // An empty pipe with room for longest_splice at any offset. Without one, all are in use, or the kernel
    // has none now. Never waits.
    [[nodiscard]] Pipe take();
    // An empty pipe back.
    void give(Pipe pipe);
    // Closes one that is not empty.
    void drop(Pipe pipe);

private:
    std::mutex mutex_;
    const std::size_t limit_;
    const std::chrono::milliseconds pause_;
    std::size_t open_ = 0;  // those that are in use included
    std::vector<Pipe> free_;
    std::chrono::steady_clock::time_point again_{};  // no new one is made before
};

}  // namespace holdfast::server
