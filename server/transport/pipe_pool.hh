// Pool of empty pipes for splice(2), shared by all connections (page_pipe.hh).
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <vector>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"

namespace holdfast::server {

// Maximum length of a splice, in bytes.
inline constexpr std::size_t longest_splice = 252U << 10;

// Pipes of all connections. A pipe is used for one read at a time, so a thousand connections need only as
// many pipes as send at the same time. Safe to be called from any thread. Must outlive the users of its
// pipes.
class PipePool {
public:
    struct Pipe {
        Fd in;
        Fd out;
    };

    // The kernel allows an unprivileged user 64 MiB of pipes (pipe-user-pages-soft, pipe(7)), which are 256
    // of these pipes; other processes of the user may need some.
    static constexpr std::size_t most = 128;

    // `pause`: time without attempts after the kernel refused a pipe.
    explicit PipePool(std::size_t limit = most, std::chrono::milliseconds pause = std::chrono::seconds(1))
        : limit_(limit), pause_(pause) {}

    // Takes an empty pipe with room for longest_splice at any offset. Returns a null pipe if all pipes are in
    // use or the kernel refuses more. Never waits.
    [[nodiscard]] Pipe take();
    // Returns an empty pipe.
    void give(Pipe pipe);
    // Closes a pipe that is not empty.
    void drop(Pipe pipe);

private:
    std::mutex mutex_;
    const std::size_t limit_;
    const std::chrono::milliseconds pause_;
    std::size_t open_ = 0;  // includes pipes in use
    std::vector<Pipe> free_;
    Clock::time_point again_{};  // earliest time for a new pipe
};

}  // namespace holdfast::server
