// What the hand-over of the network writes, into folders of the test's own.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "client/boot/network_handover.hh"

using namespace holdfast::client;

namespace {

class Folder {
public:
    Folder() {
        std::string pattern = "/tmp/holdfast-handover-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
        std::filesystem::create_directories(path_ / "run");
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    HandoverFolders folders() const { return {path_ / "root", Init::systemd, path_ / "run", path_ / "net"}; }
    std::string text(const std::string& file) const {
        std::ostringstream text;
        text << std::ifstream(path_ / file).rdbuf();
        return text.str();
    }
    void make(const std::string& folder) const { std::filesystem::create_directories(path_ / folder); }

private:
    std::filesystem::path path_;
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("two root devices on two interfaces: both are kept, whoever comes last") {
    const Folder folder;
    const Handover handover = hand_over(
        folder.folders(), {{0, "10.0.0.1", {"eth0"}}, {1, "10.1.0.1", {"bond0", "eth1"}}}, NetworkChoices{});
    CHECK(handover.warnings.empty());
    CHECK(handover.kept_from.size() == 3);
    CHECK(contains(folder.text("run/systemd/network/00-holdfast.network"), "Name=eth0 bond0 eth1\n"));
    CHECK(contains(folder.text("run/holdfast/networking.env"), "EXCLUDE_INTERFACES=\"eth0 bond0 eth1\"\n"));
    CHECK(contains(folder.text("run/NetworkManager/conf.d/zz-holdfast.conf"),
                   "interface-name:=eth0,interface-name:=bond0,interface-name:=eth1\n"));
    CHECK(folder.text("run/network/ifstate") == "eth0=eth0\nbond0=bond0\neth1=eth1\n");
    CHECK(folder.text("run/holdfast/nbd0.network") ==
          "eth0 (10.0.0.1), kept from ifupdown, systemd-networkd, NetworkManager\n");
    CHECK(folder.text("run/holdfast/nbd1.network") ==
          "bond0, eth1 (10.1.0.1), kept from ifupdown, systemd-networkd, NetworkManager\n");
}

TEST_CASE("the facts of the root disk's interfaces are handed over, and those of no other") {
    const Folder folder;
    NetworkAnswer eth0;
    eth0.interface = "eth0";
    eth0.name_servers = {"10.0.0.53"};
    eth0.host_name = "client7";
    NetworkAnswer eth1 = eth0;
    eth1.interface = "eth1";
    NetworkAnswer eth2;
    eth2.interface = "eth2";
    const std::vector<RootNetwork> networks{{0, "10.0.0.1", {"bond0", "eth0", "eth2"}}};
    CHECK(hand_over_facts(folder.folders(), networks, {eth0, eth1, eth2}, NetworkChoices{}).empty());
    CHECK(folder.text("run/holdfast/facts/eth0.boot") == "dns 10.0.0.53\n");
    CHECK(folder.text("run/holdfast/facts/eth1.boot").empty());
    CHECK(folder.text("run/holdfast/facts/eth2.boot").empty());
    CHECK(hand_over_facts(folder.folders(), networks, {eth0}, NetworkChoices{.host_name = true}).empty());
    CHECK(folder.text("run/holdfast/facts/eth0.boot") == "dns 10.0.0.53\nhostname client7\n");
}

TEST_CASE(
    "facts of several answers for one interface are all handed over, those of DHCPv6 in a second file") {
    const Folder folder;
    NetworkAnswer ipv4;
    ipv4.interface = "eth0";
    ipv4.address = "10.0.0.7";
    ipv4.name_servers = {"10.0.0.53"};
    ipv4.domain = "lab.test";
    NetworkAnswer second = ipv4;
    second.name_servers = {"10.0.0.53", "10.0.0.54"};
    second.domain = "other.test";
    second.search = {"a.test"};
    second.time_servers = {"10.0.0.4", "10.0.0.5"};
    second.host_name = "client7";
    NetworkAnswer ipv6;
    ipv6.interface = "eth0";
    ipv6.address = "fd00::7";
    ipv6.name_servers = {"fd00::53"};
    ipv6.search = {"six.test"};
    const std::vector<RootNetwork> networks{{0, "10.0.0.1", {"eth0"}}};
    CHECK(hand_over_facts(folder.folders(), networks, {ipv4, second, ipv6}, NetworkChoices{.host_name = true})
              .empty());
    CHECK(folder.text("run/holdfast/facts/eth0.boot") ==
          "dns 10.0.0.53 10.0.0.54\ndomain lab.test\nsearch a.test\nntp 10.0.0.4 10.0.0.5\n"
          "hostname client7\n");
    CHECK(folder.text("run/holdfast/facts/eth0.boot6") == "dns fd00::53\nsearch six.test\n");
}

TEST_CASE("two root devices on one interface name it once") {
    const Folder folder;
    (void)hand_over(folder.folders(), {{0, "10.0.0.1", {"eth0"}}, {1, "10.0.0.1", {"eth0"}}},
                    NetworkChoices{});
    CHECK(contains(folder.text("run/systemd/network/00-holdfast.network"), "Name=eth0\n"));
}

TEST_CASE("the interface of a server that is not in use yet is kept, too, after that of the one in use") {
    const Folder folder;
    folder.make("net/bond0/lower_eth2");
    KnownDevice known;
    known.record.index = 4;
    for (const char* where : {"a", "b", "c"}) {
        Target target;
        target.endpoint.text = where;
        known.record.targets.push_back(target);
    }
    known.live.target = 1;
    const RootNetwork network = network_towards(folder.folders(), known, [](const Endpoint& endpoint) {
        if (endpoint.text == "a") return Way{"10.0.0.1", "bond0"};
        if (endpoint.text == "b") return Way{"10.1.0.1", "eth1"};
        return Way{};
    });
    CHECK(network.device == 4);
    CHECK(network.address == "10.1.0.1");
    CHECK(network.interfaces == std::vector<std::string>{"eth1", "bond0", "eth2"});
    CHECK_FALSE(network.lost);
}

TEST_CASE("a network without a route to the server in use is lost; that of a UNIX socket is not") {
    const Folder folder;
    KnownDevice known;
    known.record.targets.resize(1);
    const auto no_way = [](const Endpoint&) { return Way{}; };
    known.record.targets[0].endpoint.address.ss_family = AF_INET;
    CHECK(network_towards(folder.folders(), known, no_way).lost);
    known.record.targets[0].endpoint.address.ss_family = AF_UNIX;
    CHECK_FALSE(network_towards(folder.folders(), known, no_way).lost);
}
