// A pipe that takes pages of the page cache from a volume to a socket, by splice(2), so that nobody copies
// them. What is read is read before anything is sent, so a failure is known before a reply promises success.
// A write that comes before the client has all of the reply may show in it. Until then its read is under way,
// and of what overlaps it, a read may see either (NBD specification, "Ordering of messages and writes").
#pragma once

#include <cstdint>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "server/volume.hh"

namespace holdfast::server {

class PagePipe {
public:
    // A shorter read costs less when it is copied; a longer one does not fit.
    static constexpr std::size_t least = 32U << 10;
    static constexpr std::size_t most = 252U << 10;

    // Whether all of it is in the pipe now. False, with nothing in it: it is not all in the page cache, or
    // there is no pipe to be had; read it the usual way.
    [[nodiscard]] bool fill(const Volume& volume, std::uint64_t offset, std::size_t length);
    // Sends what is in it, `length` bytes. Blocks until the client's end of the link has room. EAGAIN as from
    // send_all().
    [[nodiscard]] Result<void> send(int socket, std::size_t length);
    // And whatever is in it.
    void close();

private:
    [[nodiscard]] bool open();

    Fd in_;
    Fd out_;
    bool unavailable_ = false;  // there was none to be had
};

}  // namespace holdfast::server
