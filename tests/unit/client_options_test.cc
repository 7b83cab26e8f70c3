// The command line, word by word.
#include <doctest/doctest.h>

#include "client/options.hh"

using namespace holdfast::client;

namespace {

template <class T>
T read_as(const std::vector<std::string>& words) {
    auto command = read_command(words);
    REQUIRE_MESSAGE(command.has_value(), command.error());
    REQUIRE(std::holds_alternative<T>(*command));
    return std::get<T>(*command);
}

// The message, which must contain `part`.
void refuse(const std::vector<std::string>& words, std::string_view part) {
    auto command = read_command(words);
    REQUIRE(!command);
    CHECK_MESSAGE(command.error().find(part) != std::string::npos, command.error());
    CHECK(command.error().find('\n') == std::string::npos);
}

}  // namespace

TEST_CASE("attach takes servers in order, and its options before, between and after them") {
    const auto options =
        read_as<AttachOptions>({"attach", "--read-only", "nbd://one/x", "-d", "nbd3", "--wait=60",
                                "nbd://two:10810/x", "--timeout", "5", "-b", "4096", "-q"});
    REQUIRE(options.servers.size() == 2);
    CHECK(options.servers[0].host == "one");
    CHECK(options.servers[1].port == 10810);
    CHECK(options.index == 3U);
    CHECK(options.patience == std::chrono::seconds{60});
    CHECK(options.request_timeout == std::chrono::seconds{5});
    CHECK(options.block_size == 4096U);
    CHECK(options.read_only);
    CHECK(options.quiet);
}

TEST_CASE(
    "attach without options waits for nothing, kills no slow link, and leaves the device to the kernel") {
    const auto options = read_as<AttachOptions>({"attach", "server,name"});
    CHECK(!options.index);
    CHECK(options.patience == std::chrono::seconds{0});
    CHECK(options.request_timeout == std::chrono::seconds{0});
    CHECK(!options.block_size);
    CHECK(!options.read_only);
}

TEST_CASE("attach takes the device as its last word, too, as nbd-client does") {
    const auto options = read_as<AttachOptions>({"attach", "nbd://server/x", "/dev/nbd2"});
    CHECK(options.index == 2U);
    CHECK(options.servers.size() == 1);
}

TEST_CASE("a wrong word is named with its mend") {
    refuse({"attach"}, "attach");
    refuse({"attach", "nbdx://server/"}, "nbdx://");
    refuse({"attach", "server,x", "--device", "/dev/sda"}, "/dev/sda");
    refuse({"attach", "server,x", "--device", "nbd0p1"}, "partition");
    refuse({"attach", "server,x", "--device"}, "needs a value");
    refuse({"attach", "server,x", "--wait", "long"}, "long");
    refuse({"attach", "server,x", "--wait", "-1"}, "-1");
    refuse({"attach", "server,x", "--wait", "100000"}, "86400");
    refuse({"attach", "server,x", "--nonsense"}, "--nonsense");
    refuse({"attach", "server,x", "-qz", "-r"}, "-z");
    refuse({"detach"}, "/dev/nbd0");
    refuse({"detach", "nbd0", "nbd1"}, "nbd1");
    refuse({"status", "nbd0", "nbd1"}, "nbd1");
    refuse({"list"}, "server");
    refuse({"boot", "now"}, "now");
    refuse({"mount"}, "mount");
    refuse({}, "attach");
    refuse({"help", "mount"}, "mount");
}

TEST_CASE("the other commands take what they document") {
    CHECK(read_as<DetachOptions>({"detach", "-f", "7"}).force);
    CHECK(read_as<DetachOptions>({"detach", "7"}).index == 7);
    CHECK(!read_as<StatusOptions>({"status"}).index);
    CHECK(read_as<StatusOptions>({"status", "/dev/nbd1", "--json"}).json);
    const auto list = read_as<ListOptions>({"list", "-lj", "nbd://server"});
    CHECK(list.with_details);
    CHECK(list.json);
    const auto boot = read_as<BootCommandOptions>({"boot", "--check", "--cmdline", "/tmp/words"});
    CHECK(boot.check_only);
    CHECK(boot.command_line_file == "/tmp/words");
    (void)read_as<VersionOptions>({"--version"});
}

TEST_CASE("every command has a help text, and asks for it with --help") {
    for (const char* name : {"attach", "detach", "status", "list", "boot"}) {
        CHECK(read_as<HelpOptions>({name, "--help"}).command == name);
        CHECK(read_as<HelpOptions>({"help", name}).command == name);
        CHECK(help_text(name).find(name) != std::string_view::npos);
    }
    CHECK(read_as<HelpOptions>({"--help"}).command.empty());
}

TEST_CASE("a device is a number, a name or a path of a whole disk") {
    CHECK(read_device("0") == 0U);
    CHECK(read_device("nbd15") == 15U);
    CHECK(read_device("/dev/nbd4") == 4U);
    for (const char* word :
         {"", "nbd", "/dev/nbd", "-1", "nbd0p1", "sda", "0x1", "99999999999", "1048576", "nbd 1"})
        CHECK(!read_device(word));
}
