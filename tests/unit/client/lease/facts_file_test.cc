// The file of facts for the system.
#include "client/lease/facts_file.hh"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

using namespace holdfast::client;

TEST_CASE("facts file: written whole, once for the same text, in a folder of its own") {
    std::string pattern = "/tmp/holdfast-facts-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    const std::filesystem::path folder(pattern);
    auto file = FactsFile::open(pattern, "eth0");
    REQUIRE(file);
    CHECK(std::filesystem::is_empty(folder / "facts"));
    REQUIRE(file->publish(FactsText("dns 10.0.0.1\n")));
    const auto path = folder / "facts/eth0.renewed";
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    CHECK(text.str() == "dns 10.0.0.1\n");
    std::filesystem::remove(path);
    REQUIRE(file->publish(FactsText("dns 10.0.0.1\n")));
    CHECK_FALSE(std::filesystem::exists(path));
    REQUIRE(file->publish(FactsText("dns 10.0.0.2\n")));
    CHECK(std::filesystem::exists(path));
    CHECK(FactsFile::open(pattern, "eth1"));  // the folder exists
    CHECK_FALSE(FactsFile::open(pattern + "/missing", "eth1"));
    std::filesystem::remove_all(folder);
}
