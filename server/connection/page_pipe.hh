// Pipes that take pages of the page cache from a volume to a socket, by splice(2), so that nobody copies
// them. What is read is read before anything is sent, so a failure is known before a reply promises success.
// A write that comes before the client has all of the reply may show in it. Until then its read is under way,
// and of what overlaps it, a read may see either (NBD specification, "Ordering of messages and writes").
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/linux/result.hh"
#include "server/transport/pipe_pool.hh"
#include "server/volume/volume.hh"

namespace holdfast::server {

// A connection's way to send a read. Used by its thread only.
class PagePipe {
public:
    // A shorter read costs less when it is copied; a longer one does not fit.
    static constexpr std::size_t least = 32U << 10;
    static constexpr std::size_t most = longest_splice;

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
