// A pipe returns to the pool when all of its data have been sent.

#include "server/connection/page_pipe.hh"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace holdfast::server {

void PagePipe::drop() {
    if (pipe_.in) pool_.drop(std::exchange(pipe_, {}));
}

bool PagePipe::fill(const Volume& volume, std::uint64_t offset, std::size_t length) {
    if (length < least || length > most || !volume.is_in_memory(offset, length)) return false;
    pipe_ = pool_.take();
    if (!pipe_.in) return false;
    if (volume.splice(pipe_.in.get(), offset, length)) return true;
    drop();
    return false;
}

Result<void> PagePipe::send(int socket, std::size_t length) {
    while (length > 0) {
        const ssize_t sent = ::splice(pipe_.out.get(), nullptr, socket, nullptr, length, SPLICE_F_MOVE);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) {
            const SysError error{sent < 0 ? errno : EPIPE, "splice"};
            drop();
            return std::unexpected(error);
        }
        length -= static_cast<std::size_t>(sent);
    }
    pool_.give(std::exchange(pipe_, {}));
    return {};
}

}  // namespace holdfast::server
