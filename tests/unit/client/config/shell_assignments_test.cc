// Assignments of a shell script: what the shell would assign, or an error at the line, and never a guess.
#include <doctest/doctest.h>

#include <string>

#include "client/config/shell_assignments.hh"

using namespace holdfast::client;

namespace {

Assignment only(const std::string& text) {
    INFO(text);
    const Assignments read = read_assignments("script", text);
    REQUIRE(read.errors.empty());
    REQUIRE(read.all.size() == 1);
    return read.all[0];
}

std::string value_of(const std::string& text) { return only(text).value; }

void refuse(const std::string& text, const std::string& mend) {
    INFO(text);
    const Assignments read = read_assignments("script", "\n" + text + "\nLAST=1\n");
    REQUIRE(read.errors.size() == 1);
    const std::string line = to_string(read.errors[0]);
    INFO(line);
    CHECK(line.starts_with("script:2: "));
    CHECK(line.find(mend) != std::string::npos);
    REQUIRE(!read.all.empty());
    CHECK(read.all.back().name == "LAST");
}

}  // namespace

TEST_CASE("a name, an index and a value are read, and where they stand") {
    const Assignment one = only("# comment\n\n  NBD_HOST[12]=server # comment\n");
    CHECK(one.name == "NBD_HOST");
    CHECK(one.index == 12U);
    CHECK(one.value == "server");
    CHECK(one.position.line == 3);
    CHECK(!only("KILLALL=false").index);
    CHECK(read_assignments("script", "").all.empty());
}

TEST_CASE("quotes and backslashes mean what they mean to the shell") {
    CHECK(value_of("A=") == "");
    CHECK(value_of("A=''") == "");
    CHECK(value_of("A='a \"$b\" # c'") == "a \"$b\" # c");
    CHECK(value_of("A=\"a 'b' # \\\"c\\\" \\$d \\e\"") == "a 'b' # \"c\" $d \\e");
    CHECK(value_of("A=a'b c'\"d e\"\\ f") == "ab cd e f");
    CHECK(value_of("A=a#b") == "a#b");
    CHECK(value_of("A=a=b") == "a=b");
    CHECK(value_of("A=*?[x]{1,2}") == "*?[x]{1,2}");
    CHECK(value_of("A=a;") == "a");
}

TEST_CASE("a line may hold several assignments, and end in CR LF") {
    const Assignments read = read_assignments("script", "A=1 B='2 3';C=4\r\nD=\"5\"\r\n");
    CHECK(read.errors.empty());
    REQUIRE(read.all.size() == 4);
    CHECK(read.all[1].value == "2 3");
    CHECK(read.all[2].value == "4");
    CHECK(read.all[3].value == "5");
    CHECK(read.all[3].position.line == 2);
}

TEST_CASE("whatever else the shell would do is an error at its line") {
    refuse("A='b", "' is not closed on its line");
    refuse("A=\"b", "\" is not closed on its line");
    refuse("A=\"b\\\"", "\" is not closed on its line");
    refuse("A=b\\", "at the end of the line");
    refuse("A=$B", "write the value itself");
    refuse("A=\"x${B}\"", "write the value itself");
    refuse("A=`hostname`", "write the value itself");
    refuse("A=\"`hostname`\"", "write the value itself");
    refuse("A=~/x", "write the path itself");
    refuse("A=b|c", "operator of the shell");
    refuse("A=b&", "operator of the shell");
    refuse("A=<b", "operator of the shell");
    refuse("A=(b c)", "write A[0]=VALUE");
    refuse("A[x]=b", "a number from 0 to 999");
    refuse("A[010]=b", "a number from 0 to 999");
    refuse("A[-1]=b", "a number from 0 to 999");
    refuse("A[1000]=b", "a number from 0 to 999");
    refuse("A[99999999999999999999]=b", "a number from 0 to 999");
    refuse("A[1=b", "a number from 0 to 999");
    refuse("A+=b", "not an assignment");
    refuse("A =b", "not an assignment");
    refuse("1A=b", "not an assignment");
    refuse("export A=b", "not an assignment");
    refuse("if true; then", "'if true; then' is not an assignment");
    refuse(". /etc/default/nbd", "not an assignment");
    refuse("A=1 rm -rf /", "'rm -rf /' is not an assignment");
    refuse("A=" + std::string(longest_script_line, 'x'), "longer than 4096 bytes");
    refuse("\x1b[2J", "'\\x1b[2J' is not an assignment");
}
