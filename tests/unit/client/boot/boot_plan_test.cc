// Plans from several words of the command line and DHCP together. The meaning of one nbdroot= word is
// tested in boot_forms_test.cc.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "client/address/uri.hh"
#include "client/boot/boot_plan.hh"
#include "common/text/printable.hh"

using namespace holdfast::client;
using namespace std::string_literals;
using holdfast::printable;
using std::chrono::seconds;

namespace {

std::vector<NetworkAnswer> dhcp(const std::string& root_path, const std::string& root_server = "192.0.2.9") {
    NetworkAnswer answer;
    answer.interface = "eth0";
    answer.address = "192.0.2.20";
    answer.root_server = root_server;
    answer.root_path = root_path;
    return {answer};
}

Config config_of(const std::string& text) {
    auto config = read_config("conf", text);
    if (!config) FAIL(config.error().front());
    return *config;
}

BootPlan plan_of(const std::string& line, const std::vector<NetworkAnswer>& answers = {},
                 const std::string& config = "") {
    const auto request = read_boot_request(line);
    if (!request) FAIL(request.error().message);
    REQUIRE(request->has_value());
    auto plan = make_boot_plan(**request, answers, config_of(config));
    if (!plan) FAIL(plan.error().message);
    return *plan;
}

std::string uris_of(const BootPlan& plan) {
    std::string uris;
    for (const ServerAddress& server : plan.servers) uris += (uris.empty() ? "" : " ") + to_uri(server);
    return uris;
}

// The first step refuses `line`, naming `word` and saying `mend`.
void check_wrong(const std::string& line, const std::string& word, const std::string& mend) {
    INFO(line);
    const auto request = read_boot_request(line);
    REQUIRE_FALSE(request);
    INFO(request.error().message);
    CHECK(request.error().word == word);
    CHECK(request.error().message.starts_with(printable(word) + ": "));
    CHECK(request.error().message.find(mend) != std::string::npos);
}

// The second step does.
void check_unplannable(const std::string& line, const std::vector<NetworkAnswer>& answers,
                       const std::string& mend) {
    INFO(line);
    const auto request = read_boot_request(line);
    if (!request) FAIL(request.error().message);
    const auto plan = make_boot_plan(**request, answers);
    REQUIRE_FALSE(plan);
    // A mistyped parameter is none.
    CHECK(plan.error().message.starts_with(line.starts_with("root=") ? "no nbdroot=: " : "nbdroot="));
    INFO(plan.error().message);
    CHECK(plan.error().message.find(mend) != std::string::npos);
    CHECK(plan.error().message.find('\n') == std::string::npos);
}

}  // namespace

TEST_CASE("a machine whose command line names no NBD root is left alone") {
    for (const char* line :
         {"", " ", "ro quiet", "root=/dev/sda1 ip=dhcp", "root=UUID=1234 nbdrooted=1 xnbdroot=a,b",
          "root=/dev/vda -- nbdroot=192.0.2.1,root", "netroot=iscsi:192.0.2.1::::t", "nbd.max_part=8",
          "root=/dev/mapper/nbd0", "note=\"nbdroot=192.0.2.1,root\""}) {
        INFO(line);
        const auto request = read_boot_request(line);
        REQUIRE(request);
        CHECK_FALSE(request->has_value());
    }
}

TEST_CASE("the README's command line") {
    const BootPlan plan =
        plan_of("BOOT_IMAGE=/vmlinuz root=/dev/nbd0 nbdroot=192.0.2.1,12345 ip=dhcp ro quiet");
    CHECK(uris_of(plan) == "nbd://192.0.2.1:12345/");
    CHECK(plan.device_index == 0);
    CHECK(plan.root == "/dev/nbd0");
    CHECK_FALSE(plan.root_changed);
    CHECK(plan.patience == seconds{30});
    CHECK(plan.warnings.empty());
    CHECK(param_conf(plan).empty());
    CHECK(describe(plan) == "nbd://192.0.2.1:12345/ as /dev/nbd0, root /dev/nbd0, for up to 30 s");
}

TEST_CASE("a repeated nbdroot= is a list of servers in order of preference") {
    const BootPlan plan = plan_of("nbdroot=a,root nbdroot=b,root nbdroot=[::1]/root nbdroot=a,root");
    CHECK(uris_of(plan) == "nbd://a/root nbd://b/root nbd://[::1]/root");
    std::string many;
    for (int i = 0; i < 16; ++i) many += "nbdroot=h" + std::to_string(i) + ",root ";
    CHECK(plan_of(many).servers.size() == 16);
    check_wrong(many + "nbdroot=h16,root", "nbdroot=h16,root", "more than 16 servers");
}

TEST_CASE("one wrong word among right ones is told, not passed over") {
    check_wrong("nbdroot=a,root nbdroot=b,70000 nbdroot=c,root", "nbdroot=b,70000", "invalid port");
}

TEST_CASE("root= names the device before nbddev=, that before nbdroot=, that before nbd0") {
    CHECK(plan_of("nbdroot=a,root").root == "/dev/nbd0");
    CHECK(plan_of("nbdroot=a,root,nbd1").device_index == 1);
    CHECK(plan_of("nbdroot=a,root,nbd1 nbddev=nbd2").device_index == 2);
    CHECK(plan_of("nbdroot=a,root,nbd1 nbddev=/dev/nbd2 root=/dev/nbd3p1").device_index == 3);
    CHECK(plan_of("nbdroot=a,root root=/dev/nbd1").device_index == 1);
    CHECK(plan_of("nbdroot=a,root nbdroot=b,root,nbd4").device_index == 4);
}

TEST_CASE("devices that contradict each other are warned about") {
    const BootPlan plan = plan_of("nbdroot=a,root,nbd1 root=/dev/nbd0p1");
    CHECK(plan.device_index == 0);
    CHECK(plan.root == "/dev/nbd0p1");
    REQUIRE(plan.warnings.size() == 1);
    CHECK(plan.warnings[0] ==
          "nbdroot=a,root,nbd1 names nbd1, but root=/dev/nbd0p1 takes precedence: the disk is attached as "
          "nbd0");
    CHECK(plan_of("nbdroot=a,root,nbd0 root=/dev/nbd0p1 nbddev=nbd0").warnings.empty());
}

TEST_CASE("root= is kept as it is, and made up where it is missing") {
    for (const char* root :
         {"UUID=0a1b", "LABEL=root", "PARTUUID=12-34", "/dev/nbd0p1", "/dev/vg0/root", "/dev/mapper/x"}) {
        const BootPlan plan = plan_of("nbdroot=a,root root="s + root);
        CHECK(plan.root == root);
        CHECK(param_conf(plan).empty());
    }
    CHECK(param_conf(plan_of("nbdroot=a,root,nbd1")) == "ROOT='/dev/nbd1'\n");
    CHECK(param_conf(plan_of("nbdroot=a,root nbddev=nbd1p2")) == "ROOT='/dev/nbd1p2'\n");
    CHECK(param_conf(plan_of("nbdroot=a,root root=nbd1")) == "ROOT='/dev/nbd1'\n");
    CHECK(plan_of("nbdroot=a,root root=/dev/sda root=LABEL=x").root == "LABEL=x");
    const auto request = read_boot_request("nbdroot=a,root", {.nbdroot = "", .root = "UUID=built-in"});
    REQUIRE(request);
    CHECK(make_boot_plan(**request, {})->root == "UUID=built-in");
}

TEST_CASE("NBDROOT, which another boot script may set, takes the place of nbdroot=") {
    const auto request =
        read_boot_request("root=/dev/nbd0 nbdroot=a,root", {.nbdroot = "b,12345", .root = ""});
    REQUIRE(request);
    REQUIRE(request->has_value());
    CHECK(uris_of(*make_boot_plan(**request, {})) == "nbd://b:12345/");
}

TEST_CASE("a wrong device names its word") {
    check_wrong("nbdroot=a,root nbddev=sda", "nbddev=sda", "nbddev=nbd0");
    check_wrong("nbdroot=a,root root=/dev/nbd", "root=/dev/nbd", "root=/dev/nbd0");
    check_wrong("nbdroot=a,root root=/dev/nbd0p", "root=/dev/nbd0p", "root=/dev/nbd0");
    check_wrong("root=/dev/nbdx", "root=/dev/nbdx", "root=/dev/nbd0");
    CHECK(plan_of("nbdroot=a,root nbddev=").device_index == 0);
}

TEST_CASE("dracut's root= and netroot= carry the server and how to mount it") {
    const BootPlan plan = plan_of("root=nbd:192.0.2.1:root:xfs:noatime,nodiratime:timeout=30,ro");
    CHECK(uris_of(plan) == "nbd://192.0.2.1/root");
    CHECK(plan.options.timeout == seconds{30});
    CHECK(plan.options.read_only == true);
    CHECK(param_conf(plan) ==
          "ROOT='/dev/nbd0'\nROOTFSTYPE='xfs'\nROOTFLAGS='-o noatime,nodiratime'\n"
          "readonly=y\nfastboot=y\n");
    CHECK(uris_of(plan_of("netroot=nbd:192.0.2.1:12345 root=/dev/nbd0")) == "nbd://192.0.2.1:12345/");
    const BootPlan with_both = plan_of("root=/dev/root netroot=nbd:192.0.2.1:10810/vg0/root:ext4");
    CHECK(uris_of(with_both) == "nbd://192.0.2.1:10810/vg0/root");
    CHECK(param_conf(with_both) == "ROOT='/dev/nbd0'\nROOTFSTYPE='ext4'\n");
    CHECK(uris_of(plan_of("root=nbd:192.0.2.1:vg0/root")) == "nbd://192.0.2.1/vg0/root");
    check_wrong("root=nbd:192.0.2.1:70000/root", "root=nbd:192.0.2.1:70000/root", "invalid port '70000'");
    CHECK(param_conf(plan_of("nbdroot=nbd:h:root::o'x")) == "ROOT='/dev/nbd0'\nROOTFLAGS='-o o'\\''x'\n");
    check_wrong("nbdroot=\"nbd:h:root:ext4:a b\"", "nbdroot=nbd:h:root:ext4:a b",
                "blank or control character");
    check_wrong("root=nbd:192.0.2.1:root:/bad", "root=nbd:192.0.2.1:root:/bad", "invalid file system type");
}

TEST_CASE("nbd-client's options are taken, warned about or refused") {
    const BootPlan plan =
        plan_of("nbdroot=a,root,nbd0,-swap,-persist,systemd-mark,bs=4096,-timeout=5,nofork,rw");
    CHECK(plan.options == Choices{.timeout = seconds{5}, .block_size = 4096, .read_only = false});
    REQUIRE(plan.warnings.size() == 1);
    CHECK(plan.warnings[0].find("nofork") != std::string::npos);
    CHECK(plan_of("nbdroot=a,root,readonly").options.read_only == true);
    check_wrong("nbdroot=a,root,nbd0,bs=1000", "nbdroot=a,root,nbd0,bs=1000", "512, 1024, 2048 or 4096");
    check_wrong("nbdroot=a,root,timeout=soon", "nbdroot=a,root,timeout=soon",
                "timeout= takes a whole number of seconds from 0 to 86400, not soon");
    check_wrong("nbdroot=a,root,nbd0,nonetlink", "nbdroot=a,root,nbd0,nonetlink", "netlink only");
    check_wrong("nbdroot=a,root,nbd0,certfile=x", "nbdroot=a,root,nbd0,certfile=x", "TLS");
    check_wrong("nbdroot=a,root,nbd0,frobnicate", "nbdroot=a,root,nbd0,frobnicate", "neither a device");
}

TEST_CASE("nbdroot= says how the disk is to be kept") {
    const BootPlan plan = plan_of(
        "nbdroot=a,root,nbd0,dead-after=30,probe=0,lost-cache=fail,lease=leave,C=2,t=7,shutdown-timeout=33");
    CHECK(policy_of(plan.options) == Policy{.request_timeout = seconds{7},
                                            .dead_after = seconds{30},
                                            .probe_interval = seconds{0},
                                            .connections = 2,
                                            .lost_cache = LostCache::fail,
                                            .shutdown_timeout = seconds{33},
                                            .lease = LeaseCare::leave});
    CHECK(plan.warnings.empty());
    CHECK(policy_of(plan_of("nbdroot=a,root").options) == Policy{});
    CHECK(plan_of("nbdroot=nbd:h:root:ext4::lost-cache=continue").options.lost_cache == LostCache::go_on);
    for (const auto& [option, mend] : {std::pair{"dead-after=2"s, "dead-after= takes"s},
                                       {"probe=x", "probe= takes"},
                                       {"connections=0", "connections= takes a whole number from 1 to 8"},
                                       {"C=many", "C= takes a whole number from 1 to 8"},
                                       {"lost-cache", "lost-cache= takes continue or fail"},
                                       {"lost-cache=no", "lost-cache= takes continue or fail, not no"},
                                       {"lease=keep", "lease= takes renew or leave, not keep"},
                                       {"lostcache=fail", "neither a device"}})
        check_wrong("nbdroot=a,root,nbd0," + option, "nbdroot=a,root,nbd0," + option, mend);
}

TEST_CASE("more connections than there can be do not keep a machine from booting") {
    const BootPlan plan = plan_of("nbdroot=a,root,nbd0,connections=16");
    CHECK(plan.options.connections == 1U);
    REQUIRE(plan.warnings.size() == 1);
    CHECK(plan.warnings[0].find("one connection is used") != std::string::npos);
}

TEST_CASE("the configuration file gives what the command line leaves open, and no more") {
    const std::string file =
        "[defaults]\ntimeout = 1\nprobe = 2\nwait = 40\n"
        "[nbd0]\nserver = c,root\ntimeout = 3\nread-only = yes\n[nbd1]\nprobe = 9\n";
    const BootPlan plan = plan_of("nbdroot=a,root,nbd0,dead-after=30", {}, file);
    CHECK(uris_of(plan) == "nbd://a/root");
    CHECK(plan.options.timeout == seconds{3});
    CHECK(plan.options.probe == seconds{2});
    CHECK(plan.options.dead_after == seconds{30});
    CHECK(plan.options.read_only == true);
    CHECK(plan.patience == seconds{40});
    CHECK(plan.warnings.empty());
    CHECK(plan_of("nbdroot=a,root,nbd0,timeout=9,rw", {}, file).options.timeout == seconds{9});
    CHECK(plan_of("nbdroot=a,root,nbd0,timeout=9,rw", {}, file).options.read_only == false);
    CHECK(plan_of("nbdroot=a,root,nbd1", {}, file).options.probe == seconds{9});
    CHECK(plan_of("nbdroot=a,root rootdelay=5", {}, file).patience == seconds{30});
    CHECK(plan_of("nbdroot=a,root", {}, "[defaults]\nwait = 5\n").patience == seconds{30});
}

TEST_CASE("a command line that names no server takes the configuration file's before DHCP's") {
    const std::string file = "[nbd0]\nserver = one,root\nserver = two,root\n[nbd2]\ntimeout = 5\n";
    for (const char* line : {"root=/dev/nbd0", "root=/dev/nbd0p1 nbdroot=", "nbdroot",
                             "nbddev=nbd0 root=LABEL=x", "nbddev= root=/dev/vg/root"}) {
        INFO(line);
        const BootPlan plan = plan_of(line, dhcp("192.0.2.1,root,nbd1"), file);
        CHECK(uris_of(plan) == "nbd://one/root nbd://two/root");
        CHECK(plan.device_index == 0);
        // Without a network from DHCP, too.
        CHECK(uris_of(plan_of(line, {}, file)) == "nbd://one/root nbd://two/root");
    }
    const std::string other_device = "root=/dev/nbd2";
    CHECK(uris_of(plan_of(other_device, dhcp("192.0.2.1,root"), file)) == "nbd://192.0.2.1/root");
    CHECK(plan_of(other_device, dhcp("192.0.2.1,root"), file).options.timeout == seconds{5});
    CHECK(uris_of(plan_of("root=/dev/nbd0 nbdroot=dhcp", dhcp("192.0.2.1,root"), file)) ==
          "nbd://192.0.2.1/root");
    CHECK(uris_of(plan_of("nbdroot=dhcp,root", dhcp("", "192.0.2.9"), file)) == "nbd://192.0.2.9/root");
}

TEST_CASE("an empty nbdroot= beside others stands for the configuration file's servers, in its place") {
    const std::string file = "[nbd1]\nserver = one,root\nserver = a,root\n";
    const BootPlan plan = plan_of("nbdroot=a,root,nbd1 nbdroot= nbdroot=b,root", {}, file);
    CHECK(uris_of(plan) == "nbd://a/root nbd://one/root nbd://b/root");
    CHECK(plan.device_index == 1);
    std::string many = "nbdroot= ";
    for (int i = 0; i < 15; ++i) many += "nbdroot=h" + std::to_string(i) + ",root ";
    const auto request = read_boot_request(many);
    REQUIRE(request);
    const auto plan_of_many =
        make_boot_plan(**request, {}, config_of("[nbd0]\nserver = x,root\nserver = y,root\n"));
    REQUIRE_FALSE(plan_of_many);
    CHECK(plan_of_many.error().message.find("more than 16 servers") != std::string::npos);
}

TEST_CASE("a configuration file does not make a machine with a disk of its own attach one") {
    const auto request = read_boot_request("root=/dev/sda1 ro");
    REQUIRE(request);
    CHECK_FALSE(request->has_value());
}

TEST_CASE("wait= of an nbdroot= word lengthens the wait like rootdelay=") {
    CHECK(plan_of("nbdroot=a,b,wait=90").patience == seconds{90});
    CHECK(plan_of("nbdroot=a,b,wait=5").patience == seconds{30});
    CHECK(plan_of("nbdroot=a,b,wait=90 rootdelay=40").patience == seconds{90});
    CHECK(plan_of("nbdroot=a,b,wait=40 rootdelay=90").patience == seconds{90});
    CHECK(plan_of("nbdroot=a,b,wait=50", {}, "[defaults]\nwait = 40\n").patience == seconds{50});
}

TEST_CASE("the time for the attempts is known before there is a network") {
    const auto foreseen = [](std::string_view words, const std::string& file = "") {
        const auto request = read_boot_request(words);
        REQUIRE(request);
        return foreseen_patience(**request, config_of(file));
    };
    CHECK(foreseen("nbdroot=a,b") == seconds{30});
    CHECK(foreseen("nbdroot=dhcp,dhcp,nbd0,wait=120 rootdelay=40") == seconds{120});
    CHECK(foreseen("nbdroot=a,b,nbd1 rootdelay=90") == seconds{90});
    CHECK(foreseen("root=/dev/nbd1 nbdroot=a,b", "[nbd1]\nwait = 70\n[nbd0]\nwait = 80\n") == seconds{70});
    CHECK(foreseen("nbdroot=a,b,nbd0,wait=50", "[defaults]\nwait = 40\n") == seconds{50});
}

TEST_CASE("rootdelay= lengthens the wait, never shortens it") {
    CHECK(plan_of("nbdroot=a,b rootdelay=5").patience == seconds{30});
    CHECK(plan_of("nbdroot=a,b ip=10.0.0.5:10.0.0.1:10.0.0.1:255.255.255.0").warnings.size() == 1);
    auto request = read_boot_request("nbdroot=a,b rootdelay=90");
    REQUIRE(request);
    (*request)->limit = seconds{10};
    CHECK(make_boot_plan(**request, {})->patience == seconds{10});
    CHECK(plan_of("nbdroot=a,b rootdelay=90").patience == seconds{90});
    CHECK(plan_of("nbdroot=a,b rootdelay=90.5").patience == seconds{90});
    CHECK(plan_of("nbdroot=a,b rootdelay=99999999999999999999").patience == seconds{365 * 86400});
    for (const char* wrong : {"soon", "-1", "9s", "."}) {
        const BootPlan plan = plan_of("nbdroot=a,b rootdelay="s + wrong);
        CHECK(plan.patience == seconds{30});
        CHECK(plan.warnings.size() == 1);
    }
}

TEST_CASE("DHCP's root-path may have any form, also with the key that Debian allows") {
    CHECK(uris_of(plan_of("nbdroot=dhcp", dhcp("192.0.2.1,root,nbd1"))) == "nbd://192.0.2.1/root");
    CHECK(plan_of("nbdroot=dhcp", dhcp("192.0.2.1,root,nbd1")).device_index == 1);
    CHECK(uris_of(plan_of("nbdroot", dhcp("nbdroot=192.0.2.1,12345"))) == "nbd://192.0.2.1:12345/");
    CHECK(uris_of(plan_of("nbdroot=", dhcp(" nbd://h/a%20b "))) == "nbd://h/a%20b");
    CHECK(uris_of(plan_of("root=/dev/nbd0", dhcp("nbd:192.0.2.1:root"))) == "nbd://192.0.2.1/root");
    CHECK(uris_of(plan_of("nbddev=nbd0", dhcp("h:/root"))) == "nbd://h//root");
}

TEST_CASE("a root-path without a server means the machine that answered") {
    CHECK(uris_of(plan_of("nbdroot=dhcp", dhcp("/srv/root"))) == "nbd://192.0.2.9//srv/root");
    CHECK(uris_of(plan_of("nbdroot=dhcp", dhcp(",12345,nbd0"))) == "nbd://192.0.2.9:12345/");
    CHECK(uris_of(plan_of("nbdroot=dhcp", dhcp("dhcp,root"))) == "nbd://192.0.2.9/root");
    CHECK(uris_of(plan_of("nbdroot=dhcp,root", dhcp(""))) == "nbd://192.0.2.9/root");
    CHECK(uris_of(plan_of("nbdroot=dhcp,root", dhcp("192.0.2.1"))) == "nbd://192.0.2.1/root");
    CHECK(uris_of(plan_of("nbdroot=dhcp,root", dhcp("iscsi:what ever"))) == "nbd://192.0.2.9/root");
}

TEST_CASE("what DHCP did not say is told with the mend") {
    check_unplannable("nbdroot=dhcp", dhcp(""), "supplied no root-path");
    check_unplannable("nbdroot=dhcp", dhcp("dhcp"), "supplied no root-path");
    check_unplannable("root=/dev/nbd0", dhcp("h,70000"), "root-path from DHCP on eth0");
    check_unplannable("nbdroot=dhcp", dhcp("h,root,bad"), "root-path from DHCP on eth0");
    check_unplannable("nbdroot=dhcp", dhcp("/root", ""), "supplied no server");
    check_unplannable("nbdroot=dhcp,root", dhcp("", ""), "supplied no server");
    check_unplannable("nbdroot=dhcp,root", dhcp("", "1.2.3.4;reboot"), "the server from DHCP on eth0");
    check_unplannable("nbdroot=dhcp", dhcp("h,\x1b[2J"), "control character");
    check_unplannable("nbdroot=dhcp", {}, "no network");
    check_unplannable("root=/dev/nbd0 nbdrot=h,root", {}, "no network");
    check_unplannable("nbdroot=dhcp,root", {}, "no network");
}

TEST_CASE(
    "only a word that leaves something to DHCP needs DHCP's answer, and its lack is not the word's fault") {
    const auto request = read_boot_request("nbdroot=dhcp,root");
    REQUIRE(request);
    const auto plan = make_boot_plan(**request, {});
    REQUIRE_FALSE(plan);
    CHECK(plan.error().word.empty());
    CHECK(plan.error().message.starts_with("nbdroot=dhcp,root: no network"));
    CHECK(make_boot_plan(**request, dhcp("", "")).error().word == "nbdroot=dhcp,root");
    CHECK(plan_of("nbdroot=[fe80::1%eth0],root").servers.size() == 1);
}

TEST_CASE("a quoted word or value may have blanks") {
    CHECK(uris_of(plan_of("\"nbdroot=nbd://h/a b\"")) == "nbd://h/a%20b");
    CHECK(uris_of(plan_of("nbdroot=\"h,a b\" ro")) == "nbd://h/a%20b");
    CHECK(plan_of("\"nbdroot=h,root").servers.size() == 1);
}

TEST_CASE("a hostile command line is refused or ignored, without harm") {
    std::string many;
    for (int i = 0; i < 5000; ++i) many += "word" + std::to_string(i) + "=\"x y\" ";
    CHECK(uris_of(plan_of(many + "nbdroot=h,root")) == "nbd://h/root");
    check_wrong("nbdroot=h,"s + std::string(100000, 'n'), "nbdroot=h," + std::string(100000, 'n'),
                "100000 bytes");
    CHECK_FALSE(read_boot_request("nbdroot=h,a\0b"s));
    CHECK_FALSE(read_boot_request("nbdroot=h,a\x01"s));
    std::uint32_t seed = 7;
    const std::string alphabet = "nbdroot=/,[]:\" -dhcp01\0\x1b%"s;
    for (int round = 0; round < 5000; ++round) {
        std::string line = "nbdroot=";
        for (int length = round % 60; length > 0; --length) {
            seed = seed * 1664525U + 1013904223U;
            line += alphabet[(seed >> 16) % alphabet.size()];
        }
        const auto request = read_boot_request(line);
        if (request && *request) {
            const auto plan = make_boot_plan(**request, dhcp(line));
            if (plan) CHECK_FALSE(plan->servers.empty());
        }
    }
}

TEST_CASE("changes that stay in memory need a read-only disk, mounted read-only") {
    const BootPlan plan = plan_of("nbdroot=a,root root=/dev/nbd0 rw holdfast.overlay=RAM,size=1g");
    CHECK(plan.memory.overlay == "1g");
    CHECK(plan.options.read_only == true);
    CHECK(param_conf(plan) == "readonly=y\nfastboot=y\n");
    const BootPlan copied =
        plan_of("nbdroot=a,root root=/dev/nbd0p1 holdfast.toram", {}, "[defaults]\nread-only = false\n");
    CHECK(copied.options.read_only == true);
    CHECK(param_conf(copied).empty());
    check_wrong("nbdroot=a,root holdfast.overlay=disk", "holdfast.overlay=disk",
                "write holdfast.overlay=RAM");
    check_wrong("nbdroot=a,root,rw holdfast.overlay=RAM", "nbdroot=a,root,rw",
                "rw contradicts holdfast.overlay=");
}

TEST_CASE("a disk to resume from is ignored, and the initramfs does not wait for it") {
    const auto request = read_boot_request("nbdroot=a,root root=/dev/nbd0", {.resume = "UUID=1"});
    REQUIRE(request);
    const auto plan = make_boot_plan(**request, {});
    REQUIRE(plan);
    CHECK(param_conf(*plan) == "resume=\nnoresume=y\n");
    CHECK(plan->warnings.front().starts_with("resume=UUID=1: ignored"));
    CHECK(plan_of("nbdroot=a,root root=/dev/nbd0").warnings.empty());
}
