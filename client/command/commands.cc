// Output of the commands: whole lines, through the C library's streams, which every initramfs has.

#include "client/command/commands.hh"

#include <stdio.h>

#include <string>

namespace holdfast::client {

void complain(std::string_view text) {
    const std::string line = "holdfast-client: " + std::string(text) + "\n";
    ::fwrite(line.data(), 1, line.size(), stderr);
}

void say_waiting(std::uint32_t index) {
    complain("/dev/nbd" + std::to_string(index) + ": waiting for the daemon");
}

void say(std::string_view text) { ::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace holdfast::client
