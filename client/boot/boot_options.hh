// Options of an nbdroot= word, in the spellings of nbd-client and of dracut's module, too. Pure; use only
// before the daemon's seal.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "client/config/choices.hh"

namespace holdfast::client {

struct BootOptions {
    Choices choices;
    std::vector<std::string> warnings;  // printable lines
};

// Parses the options of a word. The error states the fault and the fix, without the word that contains the
// option.
std::expected<BootOptions, std::string> read_boot_options(const std::vector<std::string>& options);

}  // namespace holdfast::client
