// The end of a program that unpacks.
#include "netboot/inspect/unpacking.hh"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace holdfast;
using namespace holdfast::netboot;

namespace {

// The error of unpacking by a shell script, and whether it is of this machine; empty: none.
struct End {
    std::string line;
    bool is_local = false;
};

End end_of(const std::string& script, bool expect_success = true) {
    const std::string path =
        std::filesystem::temp_directory_path() / ("holdfast-unpacker-" + std::to_string(::getpid()));
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    ::chmod(path.c_str(), 0700);
    const auto done = unpack({"", path.c_str(), "package"}, 0, expect_success,
                             [](std::string_view) -> Read<void> { return {}; });
    std::filesystem::remove(path);
    if (done) return {};
    std::string_view line = done.error();
    const bool is_local = take_local_mark(line);
    return {std::string(line), is_local};
}

}  // namespace

TEST_CASE(
    "a signal that ends an unpacker is a fault of this machine if it may come for want of memory, else of "
    "the file") {
    for (const bool expect_success : {true, false}) {
        CHECK(end_of("echo text", expect_success).line.empty());
        const End killed = end_of("kill -KILL $$", expect_success);
        CHECK(killed.is_local);
        CHECK(killed.line.contains("was ended by signal 9"));
        CHECK(end_of("kill -TERM $$", expect_success).is_local);
        const End busy = end_of("kill -XCPU $$", expect_success);
        CHECK_FALSE(busy.is_local);
        CHECK(busy.line.contains("needs more than 100 s of processor time"));
        CHECK(end_of("exit 127", expect_success).is_local);
        const End crashed = end_of("kill -SEGV $$", expect_success);
        CHECK_FALSE(crashed.is_local);
        CHECK(crashed.line.contains("was ended by signal 11 while it read the file"));
    }
    const End damaged = end_of("exit 1");
    CHECK_FALSE(damaged.is_local);
    CHECK(damaged.line.contains("damaged"));
    CHECK(end_of("exit 2", false).line.empty());
}
