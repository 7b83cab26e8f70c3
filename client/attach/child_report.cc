// Sends plain text lines: both ends are the same program, and strace shows them readably.

#include "client/attach/child_report.hh"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "common/text/fixed_text.hh"

namespace holdfast::client {

void Report::note(std::string_view text) const { send_lines("note ", text); }
void Report::error(std::string_view text) const { send_lines("error ", text); }
void Report::failed(ExitCode code) const { send(LineText::of("failed {}\n", static_cast<int>(code))); }
void Report::ready(std::uint32_t index, std::uint64_t size, std::uint64_t request_limit) const {
    send(LineText::of("ready {} {} {} {}\n", index, size, request_limit, ::getpid()));
}

bool Report::abandoned() const {
    pollfd entry{pipe_.get(), 0, 0};
    return ::poll(&entry, 1, 0) > 0 && (entry.revents & POLLERR) != 0;
}

// Writes without a fixed-size buffer: truncation would lose the newline, and with it the next line.
void Report::send_lines(std::string_view kind, std::string_view text) const {
    do {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        send(kind);
        send(line);
        send("\n");
    } while (!text.empty());
}

void Report::send(std::string_view bytes) const {
    while (!bytes.empty()) {
        const ssize_t count = ::write(pipe_.get(), bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        // A vanished command matters only to callers of abandoned().
        if (count <= 0) return;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
}

}  // namespace holdfast::client
