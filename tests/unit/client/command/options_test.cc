// The command line, word by word.
#include <doctest/doctest.h>

#include "client/address/uri.hh"
#include "client/command/options.hh"

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
    CHECK(options.choices.wait == std::chrono::seconds{60});
    CHECK(options.choices.timeout == std::chrono::seconds{5});
    CHECK(options.choices.block_size == 4096U);
    CHECK(options.choices.read_only == true);
    CHECK(options.quiet);
}

TEST_CASE("attach without options chooses nothing, and leaves the device to the kernel") {
    const auto options = read_as<AttachOptions>({"attach", "server,name"});
    CHECK(!options.index);
    CHECK(options.choices == Choices{});
    CHECK(!options.config_file);
}

TEST_CASE("keep-network takes the folder of the root file system") {
    CHECK(read_as<KeepNetworkOptions>({"keep-network"}).root.empty());
    const auto options = read_as<KeepNetworkOptions>({"keep-network", "--root", "/root", "--config=/tmp/c"});
    CHECK(options.root == "/root");
    CHECK(options.config_file == "/tmp/c");
    refuse({"keep-network", "eth0"}, "unexpected argument");
}

TEST_CASE("prepare-root needs the folder of the root file system") {
    CHECK(read_as<PrepareRootOptions>({"prepare-root", "--root=/root", "--cmdline", "/tmp/c"})
              .command_line_file == "/tmp/c");
    refuse({"prepare-root"}, "write --root FOLDER");
    refuse({"prepare-root", "--root", "/root", "nbd0"}, "unexpected argument");
}

TEST_CASE("attach takes how the device is to be kept") {
    const auto options = read_as<AttachOptions>({"attach", "server,name", "--dead-after", "9", "--probe=0",
                                                 "--shutdown-timeout", "0", "-C", "4", "--lost-cache", "fail",
                                                 "--lease", "leave", "-t2", "--config", "/tmp/client.conf"});
    CHECK(policy_of(options.choices) == Policy{.request_timeout = std::chrono::seconds{2},
                                               .dead_after = std::chrono::seconds{9},
                                               .probe_interval = std::chrono::seconds{0},
                                               .connections = 4,
                                               .lost_cache = LostCache::fail,
                                               .shutdown_timeout = std::chrono::seconds{0},
                                               .lease = LeaseCare::leave});
    CHECK(options.config_file == "/tmp/client.conf");
    CHECK(read_as<AttachOptions>({"attach", "server,name", "--lost-cache=continue"}).choices.lost_cache ==
          LostCache::go_on);
    CHECK(read_as<AttachOptions>({"attach", "server,name", "--read-write"}).choices.read_only == false);
}

TEST_CASE("attach with a device and no export leaves the servers to the configuration file") {
    for (const auto& words : {std::vector<std::string>{"attach", "--device", "nbd1"},
                              {"attach", "/dev/nbd1"},
                              {"attach", "-d1", "-q"}}) {
        const auto options = read_as<AttachOptions>(words);
        CHECK(options.index == 1U);
        CHECK(options.servers.empty());
    }
    // A host may be called so.
    CHECK(read_as<AttachOptions>({"attach", "nbd1"}).servers.at(0).host == "nbd1");
}

TEST_CASE("a service's attach and detach are a device's") {
    CHECK(read_as<AttachOptions>({"attach", "--service", "--device", "nbd1"}).service);
    CHECK(read_as<DetachOptions>({"detach", "--service", "nbd1"}).service);
    CHECK_FALSE(read_as<DetachOptions>({"detach", "nbd1"}).service);
    refuse({"attach", "server,x", "--service"}, "--device");
}

TEST_CASE("devices takes a file, or the default one") {
    CHECK_FALSE(read_as<DevicesOptions>({"devices"}).file);
    const auto options = read_as<DevicesOptions>({"devices", "--check", "-j", "table"});
    CHECK(options.file == "table");
    CHECK(options.check_only);
    CHECK(options.json);
    refuse({"devices", "one", "two"}, "two");
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
    refuse({"attach", "server,x", "--dead-after", "2"},
           "--dead-after takes a whole number of seconds from 3 to 3600");
    refuse({"attach", "server,x", "--dead-after", "3601"}, "not 3601");
    refuse({"attach", "server,x", "--probe", "3601"}, "--probe");
    refuse({"attach", "server,x", "-C", "0"}, "--connections takes a whole number from 1 to 8, not 0");
    refuse({"attach", "server,x", "--connections", "9"}, "from 1 to 8");
    refuse({"attach", "server,x", "--lost-cache", "ignore"},
           "--lost-cache takes continue or fail, not ignore");
    refuse({"attach", "server,x", "--lease", "keep"}, "--lease takes renew or leave, not keep");
    refuse({"attach", "server,x", "--block-size", "1000"}, "512, 1024, 2048 or 4096");
    refuse({"attach", "server,x", "--timeout="}, "missing value");
    refuse({"attach", "server,x", "--config"}, "needs a value");
    refuse({"takeover", "nbd0", "nbd1"}, "nbd1");
    refuse({"takeover", "sda"}, "sda");
    refuse({"takeover", "--force"}, "--force");
    refuse({"resize"}, "/dev/nbd0");
    refuse({"resize", "nbd0", "nbd1"}, "nbd1");
    refuse({"confine", "nbd0", "nbd1"}, "nbd1");
    refuse({"confine", "sda"}, "sda");
    refuse({"attach", "server,x", "-qz", "-r"}, "-z");
    refuse({"detach"}, "/dev/nbd0");
    refuse({"detach", "nbd0", "nbd1"}, "nbd1");
    refuse({"status", "nbd0", "nbd1"}, "nbd1");
    refuse({"list"}, "server");
    refuse({"boot", "now"}, "now");
    refuse({"bootfiles", "--push", "--status"}, "--push and --status");
    refuse({"bootfiles", "--push", "--kernel", "/boot/vmlinuz-6.1"}, "--initrd");
    refuse({"bootfiles", "--xen", "/boot/xen-4.17.gz"}, "--push");
    refuse({"bootfiles", "nbd0", "nbd1"}, "nbd1");
    refuse({"mount"}, "mount");
    refuse({}, "attach");
    refuse({}, "devices");
    refuse({"attach", "server,x", "7"}, "write nbd7 or -d 7");
    refuse({"attach", "-d", "nbd6", "server,x", "7"}, "IPv4");
    refuse({"help", "mount"}, "mount");
}

TEST_CASE("the other commands take what they document") {
    CHECK(read_as<DetachOptions>({"detach", "-f", "7"}).force);
    CHECK(read_as<DetachOptions>({"detach", "7"}).index == 7);
    CHECK(!read_as<StatusOptions>({"status"}).index);
    CHECK(read_as<StatusOptions>({"status", "/dev/nbd1", "--json"}).json);
    CHECK(!read_as<TakeoverOptions>({"takeover"}).index);
    CHECK(read_as<TakeoverOptions>({"takeover", "nbd2"}).index == 2U);
    CHECK(read_as<TakeoverOptions>({"takeover", "nbd2"}).servers.empty());
    const auto change =
        read_as<TakeoverOptions>({"takeover", "nbd2", "--server", "nbd://a/x", "-s", "nbd://b:1/x",
                                  "--dead-after", "20", "--lost-cache", "fail", "--dry-run"});
    REQUIRE(change.servers.size() == 2);
    CHECK(to_uri(change.servers[1]) == "nbd://b:1/x");
    CHECK(change.choices.dead_after == std::chrono::seconds{20});
    CHECK(change.choices.lost_cache == LostCache::fail);
    CHECK(!change.choices.probe);
    CHECK(change.only_check);
    refuse({"takeover", "--server", "nbd://a/x"}, "name it");
    refuse({"takeover", "--dry-run"}, "name it");
    refuse({"takeover", "nbd0", "--server", "nbdx://a/x"}, "nbdx");
    refuse({"takeover", "nbd0", "--dead-after", "1"}, "3 to 3600");
    refuse({"takeover", "nbd0", "--block-size", "512"}, "--block-size");
    CHECK(read_as<ResizeOptions>({"resize", "/dev/nbd3"}).index == 3U);
    CHECK(read_as<ConfineOptions>({"confine", "nbd3"}).index == 3U);
    CHECK_FALSE(read_as<ConfineOptions>({"confine"}).index);
    const auto list = read_as<ListOptions>({"list", "-lj", "nbd://server"});
    CHECK(list.with_details);
    CHECK(list.json);
    const auto boot =
        read_as<BootCommandOptions>({"boot", "--check", "--cmdline", "/tmp/words", "--config=/tmp/conf"});
    CHECK(boot.check_only);
    CHECK_FALSE(boot.limit);
    const auto limited = read_as<BootCommandOptions>({"boot", "--limit", "10"});
    CHECK(limited.limit == std::chrono::seconds{10});
    CHECK(read_as<BootCommandOptions>({"boot", "--network"}).network_only);
    refuse({"boot", "--limit", "soon"}, "soon");
    CHECK(boot.command_line_file == "/tmp/words");
    CHECK(boot.config_file == "/tmp/conf");
    CHECK_FALSE(read_as<BootFilesOptions>({"bootfiles"}).push);
    CHECK_FALSE(read_as<BootFilesOptions>({"bootfiles", "--status"}).index);
    const auto files = read_as<BootFilesOptions>(
        {"bootfiles", "nbd3", "--push", "-j", "--kernel", "/k", "--initrd=/i", "--xen", "/x"});
    CHECK(files.push);
    CHECK(files.json);
    CHECK(files.index == 3U);
    CHECK(files.kernel == "/k");
    CHECK(files.initrd == "/i");
    CHECK(files.xen == "/x");
    (void)read_as<VersionOptions>({"--version"});
}

TEST_CASE("every command has a help text, and asks for it with --help") {
    for (const char* name : {"attach", "detach", "status", "takeover", "resize", "confine", "list", "boot"}) {
        CHECK(read_as<HelpOptions>({name, "--help"}).command == name);
        CHECK(read_as<HelpOptions>({"help", name}).command == name);
        CHECK(help_text(name).find(name) != std::string_view::npos);
    }
    CHECK(read_as<HelpOptions>({"--help"}).command.empty());
    CHECK(help_text(read_as<HelpOptions>({"help", "help"}).command) == help_text(""));
    refuse({"help", "ini"}, "ini: unknown command; see `holdfast-client help`");
}

TEST_CASE("a device is a number, a name or a path of a whole disk") {
    CHECK(read_device("0") == 0U);
    CHECK(read_device("nbd15") == 15U);
    CHECK(read_device("/dev/nbd4") == 4U);
    CHECK(read_device("32767") == 32767U);
    for (const char* word : {"32768", "40000", "nbd40000", "99999999999"}) CHECK(!read_device(word));
    for (const char* word :
         {"", "nbd", "/dev/nbd", "-1", "nbd0p1", "sda", "0x1", "99999999999", "1048576", "nbd 1"})
        CHECK(!read_device(word));
}

TEST_CASE("import-config takes files of both formats, and writes only on request") {
    const auto plain = read_as<ImportConfigOptions>({"import-config"});
    CHECK_FALSE((plain.write || plain.json || plain.script || plain.nbdtab || plain.table));
    const auto options = read_as<ImportConfigOptions>(
        {"import-config", "--nbd-client", "a", "--nbdtab=b", "--devices", "c", "--write", "-j"});
    CHECK(options.script == "a");
    CHECK(options.nbdtab == "b");
    CHECK(options.table == "c");
    CHECK(options.write);
    CHECK(options.json);
    refuse({"import-config", "nbd1"}, "unexpected argument");
    refuse({"import-config", "--nbdtab"}, "needs a value");
    CHECK(read_as<HelpOptions>({"import-config", "--help"}).command == "import-config");
    CHECK(!help_text("import-config").empty());
}
