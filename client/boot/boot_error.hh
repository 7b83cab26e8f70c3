// Error of the kernel command line. Pure; use only before the daemon's seal.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace holdfast::client {

// The invalid word, and a message that explains the fault and the fix.
struct BootError {
    std::string
        word;  // "nbdroot=srv,70000"; empty: no invalid word, but DHCP is needed and there is no network
    std::string message;  // complete, including the word; one line, printable

    bool operator==(const BootError&) const = default;
};

// Makes an error for a word.
std::unexpected<BootError> wrong_word(std::string_view word, std::string_view message);

}  // namespace holdfast::client
