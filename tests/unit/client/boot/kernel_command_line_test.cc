// The kernel command line in words.

#include <doctest/doctest.h>

#include "client/boot/kernel_command_line.hh"

using namespace holdfast::client;

TEST_CASE("the command line is split as the kernel splits it") {
    const auto words = split_command_line("a=1  \"b=2 3\" c=\"4 5\" d=6\"7 8\"9 e -- f=1\n");
    REQUIRE(words.size() == 5);
    CHECK(words[0] == KernelWord{"a", "1", true});
    CHECK(words[1] == KernelWord{"b", "2 3", true});
    CHECK(words[2] == KernelWord{"c", "4 5", true});
    CHECK(words[3] == KernelWord{"d", "6\"7 8\"9", true});
    CHECK(words[4] == KernelWord{"e", "", false});
}
