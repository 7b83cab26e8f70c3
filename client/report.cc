// Plain lines, because both ends are of the same program and a person can read them with strace.

#include "client/report.hh"

#include <poll.h>
#include <unistd.h>

#include "common/linux/fixed_text.hh"

namespace holdfast::client {

// A line holds as much as a server's words can be long.
using ReportLine = FixedText<8192>;

void Report::note(std::string_view line) const { send(ReportLine::of("note {}\n", line)); }
void Report::error(std::string_view line) const { send(ReportLine::of("error {}\n", line)); }
void Report::failed(ExitCode code) const { send(ReportLine::of("failed {}\n", static_cast<int>(code))); }
void Report::ready(std::uint32_t index, std::uint64_t size, std::uint64_t request_limit) const {
    send(ReportLine::of("ready {} {} {} {}\n", index, size, request_limit, ::getpid()));
}

bool Report::abandoned() const {
    pollfd entry{pipe_.get(), 0, 0};
    return ::poll(&entry, 1, 0) > 0 && (entry.revents & POLLERR) != 0;
}

void Report::send(std::string_view text) const {
    // What is to become of a command that has gone is asked where it matters: abandoned().
    [[maybe_unused]] const ssize_t count = ::write(pipe_.get(), text.data(), text.size());
}

}  // namespace holdfast::client
