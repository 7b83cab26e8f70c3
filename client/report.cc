// Plain lines, because both ends are of the same program and a person can read them with strace.

#include "client/report.hh"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace holdfast::client {

void Report::note(std::string_view line) const { send(fmt::format("note {}\n", line)); }
void Report::error(std::string_view line) const { send(fmt::format("error {}\n", line)); }
void Report::failed(ExitCode code) const { send(fmt::format("failed {}\n", static_cast<int>(code))); }
void Report::ready(std::uint32_t index, std::uint64_t size) const {
    send(fmt::format("ready {} {}\n", index, size));
}

bool Report::abandoned() const {
    pollfd entry{pipe_.get(), 0, 0};
    return ::poll(&entry, 1, 0) > 0 && (entry.revents & POLLERR) != 0;
}

void Report::send(const std::string& text) const {
    // What is to become of a command that has gone is asked where it matters: abandoned().
    [[maybe_unused]] const ssize_t count = ::write(pipe_.get(), text.data(), text.size());
}

}  // namespace holdfast::client
