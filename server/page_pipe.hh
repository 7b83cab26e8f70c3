// Pipes that take pages of the page cache from a volume to a socket, by splice(2), so that nobody copies
// them. What is read is read before anything is sent, so a failure is known before a reply promises success.
// A write that comes before the client has all of the reply may show in it. Until then its read is under way,
// and of what overlaps it, a read may see either (NBD specification, "Ordering of messages and writes").
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "server/volume.hh"

namespace holdfast::server {

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

    // An empty pipe with room for PagePipe::most at any offset. Without one, all are in use, or the kernel
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

// A connection's way to send a read. Used by its thread only.
class PagePipe {
public:
    // A shorter read costs less when it is copied; a longer one does not fit.
    static constexpr std::size_t least = 32U << 10;
    static constexpr std::size_t most = 252U << 10;

    explicit PagePipe(PipePool& pool) : pool_(pool) {}
    PagePipe(const PagePipe&) = delete;
    PagePipe& operator=(const PagePipe&) = delete;
    ~PagePipe() { drop(); }

    // Whether all of it is in a pipe now. False, with no pipe held: it is not all in the page cache, or there
    // is no pipe to be had; read it the usual way.
    [[nodiscard]] bool fill(const Volume& volume, std::uint64_t offset, std::size_t length);
    // Sends what is in it, `length` bytes. Blocks until the client's end of the link has room. EAGAIN as from
    // send_all(). No pipe is held afterwards.
    [[nodiscard]] Result<void> send(int socket, std::size_t length);
    // What was filled in is not sent.
    void drop();

private:
    PipePool& pool_;
    PipePool::Pipe pipe_;  // from fill() to send()
};

}  // namespace holdfast::server
