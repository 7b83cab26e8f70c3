// Moves pages of the page cache from a volume to a socket through a pipe with splice(2), without a copy. All
// data are in the pipe before anything is sent, so a read error is known before a reply reports success. A
// write that arrives before the client has received the whole reply may show up in the data. Until then the
// read is in flight, and a read may return either version of an overlapping range (NBD specification,
// "Ordering of messages and writes").
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/linux/result.hh"
#include "server/transport/pipe_pool.hh"
#include "server/volume/volume.hh"

namespace holdfast::server {

// Splice path of one connection for read replies. Used by the connection's thread only.
class PagePipe {
public:
    // Copying is cheaper for a shorter read; a longer read does not fit.
    static constexpr std::size_t least = 32U << 10;
    static constexpr std::size_t most = longest_splice;

    explicit PagePipe(PipePool& pool) : pool_(pool) {}
    PagePipe(const PagePipe&) = delete;
    PagePipe& operator=(const PagePipe&) = delete;
    ~PagePipe() { drop(); }

    // Fills a pipe with the whole range. False, with no pipe held: part of the range is not in the page
    // cache, or no pipe is available; use a normal read.
    [[nodiscard]] bool fill(const Volume& volume, std::uint64_t offset, std::size_t length);
    // Sends the `length` bytes in the pipe. Blocks until the socket accepts the data. Fails with EAGAIN like
    // send_all(). No pipe is held afterwards.
    [[nodiscard]] Result<void> send(int socket, std::size_t length);
    // Discards the data in the pipe.
    void drop();

private:
    PipePool& pool_;
    PipePool::Pipe pipe_;  // from fill() to send()
};

}  // namespace holdfast::server
