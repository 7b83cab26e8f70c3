// The server's command line.
#include <doctest/doctest.h>

#include "server/config/options.hh"

using namespace holdfast::server;

namespace {

std::expected<Options, std::string> parse(std::vector<std::string> words) {
    words.insert(words.begin(), "holdfast-server");
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    return parse_options(static_cast<int>(words.size()), pointers.data());
}

}  // namespace

TEST_CASE("without options the default configuration is read and the server is a daemon") {
    const auto options = parse({});
    REQUIRE(options);
    CHECK(options->config == "/etc/holdfast/server.conf");
    CHECK(options->reads_config());
    CHECK_FALSE(options->foreground);
    CHECK_FALSE(options->check);
    CHECK_FALSE(options->verbose);
}

TEST_CASE("all options are taken") {
    const auto options = parse({"--config", "/c", "--foreground", "--check", "--verbose", "--export", "a=/a",
                                "--export=b=/b", "--listen", ":1", "--pid-file", "/run/p"});
    REQUIRE(options);
    CHECK(options->config == "/c");
    CHECK(options->foreground);
    CHECK(options->check);
    CHECK(options->verbose);
    CHECK(options->exports == std::vector<std::string>{"a=/a", "b=/b"});
    CHECK(options->listens == std::vector<std::string>{":1"});
    CHECK(options->pid_file == "/run/p");
    CHECK(options->reads_config());
    CHECK(parse({"-fv", "-C/c"})->config == "/c");
}

TEST_CASE("with exports on the command line a configuration is read only when it is named") {
    CHECK_FALSE(parse({"--export", "a=/a"})->reads_config());
    CHECK(parse({"--export", "a=/a", "--config", "/c"})->reads_config());
}

TEST_CASE("what is wrong with the command line is named") {
    const auto error = [](std::vector<std::string> words) {
        const auto options = parse(std::move(words));
        return options ? std::string() : options.error();
    };
    CHECK(error({"--frobnicate"}).find("--frobnicate") != std::string::npos);
    CHECK(error({"-x"}).find("-x") != std::string::npos);
    CHECK(error({"--config"}).find("--config") != std::string::npos);
    CHECK(error({"--foreground=1"}).find("--foreground") != std::string::npos);
    CHECK(error({"/dev/sda"}).find("/dev/sda") != std::string::npos);
    CHECK(error({"--pid-file", "p"}).find("--pid-file p") != std::string::npos);
    CHECK(error({"--config", "c"}).find("--config c") != std::string::npos);
    CHECK(error({"--config", "c", "--foreground"}).empty());
    CHECK(error({"--help"}).empty());
}

TEST_CASE("a misspelt command, or one behind options, is named") {
    CHECK(parse({"statsu"}).error() == "statsu: unknown command; did you mean status?");
    CHECK(parse({"--check", "status"})
              .error()
              .starts_with("status: unexpected argument; a command stands first"));
    CHECK(parse({"/dev/vg0/root"}).error().ends_with("write an export as --export NAME=PATH"));
}
