// What a child in the background says to its command: over real pipes and processes.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "client/attach/child_process.hh"

using namespace holdfast::client;

namespace {

using Said = std::vector<std::pair<std::string, bool>>;  // with "it is an error"

Notes into(Said& said) {
    return [&said](std::string_view line, bool is_error) { said.emplace_back(line, is_error); };
}

}  // namespace

TEST_CASE("report: a line arrives whole, however long it is, and so does what follows it") {
    const std::string longer_than_a_pipe(200'000, 'x');
    const std::string at_the_old_limit(8192 - 5, 'y');
    Said said;
    const auto ready = run_in_background(
        [&](Report& report) -> std::expected<void, Failure> {
            report.error(longer_than_a_pipe);
            report.note(at_the_old_limit);
            report.note("");
            report.ready(3, 1 << 20, 4096);
            return {};
        },
        into(said));
    REQUIRE(ready);
    CHECK(ready->index == 3);
    CHECK(ready->size == 1 << 20);
    CHECK(ready->request_limit == 4096);
    CHECK(said == Said{{longer_than_a_pipe, true}, {at_the_old_limit, false}, {"", false}});
}

TEST_CASE("report: a text of several lines stays a text, also where it looks like the last word") {
    Said said;
    const auto ready = run_in_background(
        [](Report&) -> std::expected<void, Failure> {
            return std::unexpected(
                Failure{ExitCode::refused, std::string(9000, 'z') + "\nready 0 512 0 1\nfailed 0\n"});
        },
        into(said));
    REQUIRE_FALSE(ready);
    CHECK(ready.error() == ExitCode::refused);
    CHECK(said == Said{{std::string(9000, 'z'), true}, {"ready 0 512 0 1", true}, {"failed 0", true}});
}

TEST_CASE("report: a child that ends without a last word is a failure") {
    Said said;
    const auto ready =
        run_in_background([](Report&) -> std::expected<void, Failure> { return {}; }, into(said));
    REQUIRE_FALSE(ready);
    REQUIRE(said.size() == 1);
    CHECK(said[0].first.ends_with("has died"));
}
