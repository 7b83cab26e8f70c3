// The client's configuration file: every key, every mistake at its line, and the file that is not there.
#include <doctest/doctest.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "client/address/uri.hh"
#include "client/config/config.hh"
#include "client/config/config_files.hh"
#include "common/linux/text_file.hh"

using namespace holdfast::client;
using namespace std::string_literals;
using std::chrono::seconds;

namespace {

Config read(const std::string& text) {
    auto config = read_config("conf", text);
    if (!config) FAIL(config.error().front());
    return *config;
}

// The mistakes, a line each.
std::string mistakes(const std::string& text) {
    const auto config = read_config("conf", text);
    REQUIRE_FALSE(config);
    std::string lines;
    for (const std::string& line : config.error()) lines += line + "\n";
    return lines;
}

void refuse(const std::string& text, const std::string& mend) {
    INFO(text);
    const std::string lines = mistakes(text);
    INFO(lines);
    CHECK(lines.starts_with("conf:"));
    CHECK(lines.find(mend) != std::string::npos);
    CHECK(lines.find('\n') == lines.size() - 1);
}

// A file that goes away with the test.
struct TemporaryFile {
    std::string path = "/tmp/holdfast-config-XXXXXX";

    explicit TemporaryFile(const std::string& text) {
        const int descriptor = ::mkstemp(path.data());
        REQUIRE(descriptor >= 0);
        REQUIRE(::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        ::close(descriptor);
    }
    ~TemporaryFile() { ::unlink(path.c_str()); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
};

std::string example() {
    const auto text = holdfast::read_text_file(HOLDFAST_SOURCE_DIR "/examples/client.conf", 1 << 20);
    REQUIRE(text);
    return *text;
}

}  // namespace

TEST_CASE("every key of the configuration file is taken") {
    const Config config = read(
        "# the disks of this machine\n"
        "[nbd1]\n"
        "  server = nbd://one/root\n"
        "  server = two,10810,root\n"
        "  timeout = 60\n  dead-after = 20\n  probe = 0\n  wait = 90\n  connections = 2\n"
        "  lost-cache = fail\n  shutdown-timeout = 120\n  lease = leave\n  block-size = 4096\n  read-only = "
        "yes\n");
    const auto servers = config.servers_of(1);
    REQUIRE(servers.size() == 2);
    CHECK(to_uri(servers[0]) == "nbd://one/root");
    CHECK(to_uri(servers[1]) == "nbd://two:10810/root");
    CHECK(config.choices_for(1) == Choices{.timeout = seconds{60},
                                           .dead_after = seconds{20},
                                           .probe = seconds{0},
                                           .wait = seconds{90},
                                           .connections = 2,
                                           .lost_cache = LostCache::fail,
                                           .shutdown_timeout = seconds{120},
                                           .lease = LeaseCare::leave,
                                           .block_size = 4096,
                                           .read_only = true});
}

TEST_CASE("[network] says who is kept from the interface of the root disk, and without it all are") {
    CHECK(read("").network == NetworkChoices{});
    CHECK(read("[network]\nnetworkd = keep\n").network == NetworkChoices{true, true, true});
    CHECK(read("[network]\nifupdown = leave\nnetworkmanager = leave\n").network ==
          NetworkChoices{false, true, false});
    CHECK(read("[network]\nhostname = dhcp\n").network.host_name);
    CHECK_FALSE(read("[network]\nhostname = leave\n").network.host_name);
}

TEST_CASE(
    "a device's section comes before the defaults, wherever it stands, and other devices have these alone") {
    const Config config = read(
        "[nbd0]\ntimeout = 5\n[defaults]\ntimeout = 9\nprobe = 3\nread-only = true\n[nbd2]\nread-only = 0\n");
    CHECK(config.choices_for(0).timeout == seconds{5});
    CHECK(config.choices_for(0).probe == seconds{3});
    CHECK(config.choices_for(2).read_only == false);
    CHECK(config.choices_for(1) == config.defaults);
    CHECK(config.choices_for(std::nullopt) == config.defaults);
    CHECK(config.servers_of(0).empty());
    CHECK(config.servers_of(7).empty());
}

TEST_CASE("an empty configuration file chooses nothing, and the policy is the built-in one") {
    for (const char* text : {"", "\n\n", "# nothing\n; at all\n", "[defaults]\n", "[nbd0]\n"})
        CHECK(policy_of(read(text).choices_for(0)) == Policy{});
}

TEST_CASE("what is chosen above comes before what is chosen below, each on its own") {
    const Choices above{.timeout = seconds{1}, .read_only = false};
    const Choices below{.timeout = seconds{2}, .probe = seconds{4}, .read_only = true};
    CHECK(merged(above, below) == Choices{.timeout = seconds{1}, .probe = seconds{4}, .read_only = false});
    CHECK(merged({}, below) == below);
    CHECK(merged(below, {}) == below);
}

TEST_CASE("a mistake in the configuration file is told with its line and the mend") {
    refuse("timeout = 5\n", "conf:1: \"timeout\" before the first section; write [defaults], [network] or");
    refuse("[nbd0]\ntimeout = soon\n",
           "conf:2: timeout: takes a whole number of seconds from 0 to 86400, not soon");
    refuse("[nbd0]\ntimeout =\n", "conf:2: timeout: takes");
    refuse("[nbd0]\ndead-after = 2\n", "from 3 to 3600, not 2");
    refuse("[nbd0]\nprobe = -1\n", "from 0 to 3600");
    refuse("[nbd0]\nwait = 99999\n", "from 0 to 86400");
    refuse("[nbd0]\nconnections = 9\n", "from 1 to 8");
    refuse("[nbd0]\nlost-cache = error\n", "continue or fail");
    refuse("[nbd0]\nshutdown-timeout = 9\n", "0, or a whole number of seconds from 10");
    refuse("[network]\nifupdown = no\n", "keep or leave, not no");
    refuse("[network]\nserver = keep\n", "ifupdown, networkd, networkmanager and hostname");
    refuse("[network]\nhostname = keep\n", "hostname: invalid value keep; write dhcp or leave");
    refuse("[network]\nnetworkd = keep\nnetworkd = leave\n", "first at line 2");
    refuse("[nbd0]\nblock-size = 513\n", "512, 1024, 2048 or 4096");
    refuse("[nbd0]\nread-only = maybe\n", "true or false");
    refuse("[nbd0]\ntimeout = 5 # seconds\n", "not 5 # seconds");
    refuse("[nbd0]\n\ndead_after = 20\n",
           "conf:3: dead_after: unknown key; the keys are server, timeout, dead-after");
    refuse("[nbd0]\nserver =\n", "conf:2: server: missing export");
    refuse("[nbd0]\nserver = nbdx://h/x\n", "nbdx://");
    refuse("[nbd0]\nserver = h,x\nserver = nbd://h/x\n", "conf:3: server: nbd://h/x is named twice");
    refuse("[defaults]\nserver = h,x\n", "valid for a device only");
    refuse("[nbd0]\ntimeout = 1\ntimeout = 1\n", "conf:3: timeout: duplicate key, first at line 2");
    refuse("[nbd0]\n[nbd1]\n[nbd0]\n", "conf:3: [nbd0]: duplicate section, first at line 1");
    refuse("[generic]\n", "[generic]: unknown section; write [defaults], [network], or a device: [nbd0]");
    refuse("[]\n", "unknown section");
    refuse("[/dev/nbd0]\n", "write the device as [nbd0]");
    refuse("[nbd0p1]\n", "write the device as [nbd0]");
    refuse("[nbd0\n", "missing \"]\"");
    refuse("[nbd0]\nrubbish\n", "conf:2: \"rubbish\" is neither");
    refuse("[nbd0]\n\x1b[2J\xc2\x9b\xff\xc3\xa4\n", "conf:2: \"?[2J??\xc3\xa4\" is neither");
    std::string many = "[nbd0]\n";
    for (int i = 0; i < 16; ++i) many += "server = h" + std::to_string(i) + ",x\n";
    CHECK(read(many).servers_of(0).size() == 16);
    refuse(many + "server = h16,x\n", "conf:18: server: more than 16");
}

TEST_CASE("all mistakes of a configuration file are told at once, from the top") {
    const std::string lines =
        mistakes("[nbd0]\ntimeout = x\nrubbish\n[what]\nserver = ,\n[nbd1]\nprobe = y\n");
    CHECK(lines.find("conf:2: timeout") == 0);
    CHECK(lines.find("\nconf:3: \"rubbish\"") != std::string::npos);
    CHECK(lines.find("\nconf:4: [what]") != std::string::npos);
    CHECK(lines.find("\nconf:7: probe") != std::string::npos);
}

TEST_CASE("what cannot be printed is not sent to the terminal of whoever reads of the mistake") {
    CHECK(mistakes("[nbd0]\ntimeout = \x1b[2J\n").find('\x1b') == std::string::npos);
    CHECK(mistakes("[nbd0]\nti\x1bme = 1\n").find('\x1b') == std::string::npos);
    CHECK(mistakes("[\x1b[2J\n").find('\x1b') == std::string::npos);
}

TEST_CASE("the example is right as it is, and with every key taken in") {
    CHECK(policy_of(read(example()).choices_for(0)) == Policy{});
    // A comment is "# Words", a setting that is not in use "#key = value".
    std::string in_use = example();
    for (std::size_t at = in_use.find("\n#"); at != std::string::npos; at = in_use.find("\n#", at + 1))
        if (in_use[at + 2] != ' ') in_use.erase(at + 1, 1);
    const Config config = read(in_use);
    CHECK(config.servers_of(0).size() == 2);
    CHECK(policy_of(config.choices_for(0)) == Policy{});
    const Choices choices = config.choices_for(0);
    CHECK(choices.timeout);
    CHECK(choices.dead_after);
    CHECK(choices.probe);
    CHECK(choices.wait);
    CHECK(choices.connections);
    CHECK(choices.lost_cache);
    CHECK(choices.lease);
    CHECK(choices.block_size);
    CHECK(choices.read_only);
}

TEST_CASE("a configuration file that is not there is no mistake unless it was named") {
    const std::string missing = "/tmp/holdfast-no-such-folder/client.conf";
    const auto config = load_config({}, missing);
    REQUIRE(config);
    CHECK(config->devices.empty());
    const auto named = load_config(missing);
    REQUIRE_FALSE(named);
    CHECK(named.error().front().starts_with(missing + ": "));
    CHECK(load_config("/dev/null"));
    CHECK_FALSE(load_config({}, "/tmp"));
    CHECK_FALSE(load_config("/tmp"));
}

TEST_CASE("a configuration file that is there is read, and named in its mistakes") {
    const TemporaryFile right("[nbd3]\nserver = h,x\n");
    CHECK(load_config(right.path)->servers_of(3).size() == 1);
    CHECK(load_config({}, right.path)->servers_of(3).size() == 1);
    const TemporaryFile wrong("[nbd3]\nserver = h,x\nserver = h\xff,x\nnonsense\n");
    for (const auto& config : {load_config(wrong.path), load_config({}, wrong.path)}) {
        REQUIRE_FALSE(config);
        CHECK(config.error().back().starts_with(wrong.path + ":4: "));
    }
}
