// Checks the error of a word that names an export.
#pragma once

#include <doctest/doctest.h>

#include <expected>
#include <string>

#include "client/address/server_address.hh"

// The message names the word and says `mend`; it is one printable line.
inline void check_refused(const std::expected<holdfast::client::ServerAddress, std::string>& address,
                          const std::string& mend) {
    REQUIRE_FALSE(address);
    INFO(address.error());
    CHECK(address.error().find(mend) != std::string::npos);
    CHECK(address.error().find('\n') == std::string::npos);
    CHECK(address.error().size() < 1000);
}
