// vlan=, bond=, BOOTIF= and the device in ip=, and the steps for the initramfs's script.

#include <doctest/doctest.h>

#include "client/boot/network_words.hh"

using namespace holdfast::client;

namespace {

std::string steps(std::string_view command_line, const std::vector<NetworkCard>& cards = {}) {
    const auto words = read_network_words(command_line);
    if (!words) return "error: " + words.error().message;
    return network_steps(*words, cards);
}

const std::vector<NetworkCard> two_cards{{"eth0", "52:54:00:77:00:01"}, {"eth1", "52:54:00:77:00:0a"}};

}  // namespace

TEST_CASE("a command line without words for the network leaves the cards to the script") {
    CHECK(steps("root=/dev/nbd0 nbdroot=10.0.0.1/root ip=dhcp", two_cards).empty());
    CHECK(steps("ip=10.0.0.2::10.0.0.1:255.255.255.0 BOOTIF=", two_cards).empty());
}

TEST_CASE("the device all in ip= is each card, and the device any is an error that names it") {
    CHECK(steps("ip=::::host:all:dhcp", two_cards).empty());
    CHECK(steps("ip=::::host:all:dhcp BOOTIF=01-52-54-00-77-00-0a", two_cards) == "card eth1\n");
    CHECK(steps("ip=::::host:all:dhcp vlan=eth0.5:eth0") == "vlan eth0.5 eth0 5\ncard eth0.5\n");
    CHECK(steps("ip=::::host:any:dhcp", two_cards)
              .starts_with("error: ip=::::host:any:dhcp: \"any\" is no network device; "));
    CHECK(steps("ip=::::host::any", two_cards).empty());
    CHECK(steps("ip=any", two_cards).empty());
}

TEST_CASE("vlan= has the ID at the end of the name") {
    CHECK(steps("vlan=eth0.5:eth0") == "vlan eth0.5 eth0 5\ncard eth0.5\n");
    CHECK(steps("vlan=eth0.0005:eth0") == "vlan eth0.0005 eth0 5\ncard eth0.0005\n");
    CHECK(steps("vlan=vlan4094:enp1s0f0") == "vlan vlan4094 enp1s0f0 4094\ncard vlan4094\n");
    CHECK(steps("vlan=vlan0005:eth1") == "vlan vlan0005 eth1 5\ncard vlan0005\n");
    CHECK(steps("vlan=encc000.1234:encc000 ip=10.0.0.2::10.0.0.1:255.255.255.0::encc000.1234:none") ==
          "vlan encc000.1234 encc000 1234\ncard encc000.1234\n");
}

TEST_CASE("a word for a VLAN or a bond that has no meaning is an error") {
    for (const char* word : {"vlan=",
                             "vlan=eth0.5",
                             "vlan=eth0.5:",
                             "vlan=:eth0",
                             "vlan=eth0.0:eth0",
                             "vlan=eth0.4095:eth0",
                             "vlan=eth0.70000:eth0",
                             "vlan=storage:eth0",
                             "vlan=eth0.5:eth0:x",
                             "vlan=a/b5:eth0",
                             "vlan=5:eth0",
                             "vlan=a-name-too-long5:eth0",
                             "vlan=$(reboot)5:eth0",
                             "bond=bond0:eth0,,eth1",
                             "bond=a/b:eth0",
                             "bond=bond0:eth0:mode",
                             "bond=bond0:eth0:../mode=1",
                             "bond=bond0:eth0:mode=$x",
                             "bond=..:eth0",
                             "bond=bond0:eth0:=1",
                             "bond=bond0:eth0:mode=",
                             "bond=bond0:eth0:mode=1:x",
                             "bond=bond0:eth0::70000",
                             "bond=bond0:eth0:mode=1:1500:x",
                             "bond=-x:eth0",
                             "\"bond=bond0:eth0 eth1\""}) {
        CAPTURE(word);
        CHECK(steps(word).starts_with("error: "));
    }
    CHECK(steps("vlan=eth0.5") ==
          "error: vlan=eth0.5: not a VLAN; write vlan=NAME:DEVICE, for example vlan=eth0.5:eth0");
}

TEST_CASE("bond= has ports, options and an MTU, with dracut's defaults") {
    CHECK(steps("bond=bond0:eth0,eth1:mode=active-backup,miimon=100") ==
          "bond bond0 0 eth0,eth1 mode=active-backup miimon=100\ncard bond0\n");
    CHECK(steps("bond=lag:eno1,eno2,eno3:miimon=100,mode=802.3ad,lacp_rate=fast:9000") ==
          "bond lag 9000 eno1,eno2,eno3 mode=802.3ad miimon=100 lacp_rate=fast\ncard lag\n");
    CHECK(steps("bond=bond0:eth0,eth1:mode=1,arp_interval=100,arp_ip_target=10.0.0.1;10.0.0.2") ==
          "bond bond0 0 eth0,eth1 mode=1 arp_interval=100 arp_ip_target=10.0.0.1;10.0.0.2\ncard bond0\n");
    CHECK(steps("bond=bond1:eth4::9000") == "bond bond1 9000 eth4\ncard bond1\n");
    CHECK(steps("bond=bond1:eth4::") == "bond bond1 0 eth4\ncard bond1\n");
    CHECK(steps("bond") == "bond bond0 0 eth0,eth1\ncard bond0\n");
    CHECK(steps("bond=bond7") == "bond bond7 0 eth0,eth1\ncard bond7\n");
}

TEST_CASE("what is configured carries no other device, unless ip= names one") {
    CHECK(steps("vlan=bond0.7:bond0 bond=bond0:eth0,eth1") ==
          "bond bond0 0 eth0,eth1\nvlan bond0.7 bond0 7\ncard bond0.7\n");
    CHECK(steps("vlan=bond0.7:bond0 bond=bond0:eth0 ip=:::::bond0:dhcp") ==
          "bond bond0 0 eth0\nvlan bond0.7 bond0 7\ncard bond0\n");
    CHECK(
        steps("vlan=eth0.5:eth0 vlan=eth0.6:eth0 ip=dhcp") ==
        "error: ip=dhcp: names no interface, and there are eth0.5 and eth0.6; name one: ip=:::::eth0.5:dhcp");
    CHECK(steps("\"vlan=eth0.5:eth0 eth0.6:eth0\" ip=10.0.0.2::10.0.0.1:255.255.255.0::eth0.6") ==
          "vlan eth0.5 eth0 5\nvlan eth0.6 eth0 6\ncard eth0.6\n");
    CHECK(steps("ip=10.0.0.2::10.0.0.1:255.255.255.0:host:eth1:off BOOTIF=01-52-54-00-77-00-01", two_cards) ==
          "card eth1\n");
}

TEST_CASE("BOOTIF= chooses the card by its address, as each boot loader writes it") {
    for (const char* word : {"BOOTIF=01-52-54-00-77-00-0a", "BOOTIF=01-52-54-00-77-00-0A",
                             "BOOTIF=52:54:00:77:00:0a", "BOOTIF=52-54-00-77-00-0A"}) {
        CAPTURE(word);
        CHECK(steps(word, two_cards) == "card eth1\n");
    }
    CHECK(steps("BOOTIF=01-52-54-00-77-00-0b", two_cards) == "card -\n");
    CHECK(steps("BOOTIF=01-52-54-00-77-00-0a vlan=eth1.5:eth1", two_cards) ==
          "vlan eth1.5 eth1 5\ncard eth1.5\n");
    CHECK(steps("BOOTIF=20-00-02-55-00-cf-13-04", two_cards).empty());
    for (const char* word : {"BOOTIF=eth1", "BOOTIF=01-52-54-00-77", "BOOTIF=01-52-54-00-77-00-0g"})
        CHECK(steps(word, two_cards).starts_with("error: "));
}

TEST_CASE("an address that pxelinux took from DHCP is noticed, and one of the administrator is not") {
    CHECK(
        leased_address_warning("10.0.0.5:10.0.0.1:10.0.0.254:255.255.255.0") ==
        "ip=10.0.0.5:10.0.0.1:10.0.0.254:255.255.255.0: as written by pxelinux (IPAPPEND 1), with an address "
        "from DHCP whose lease nothing renews; write IPAPPEND 2 and ip=dhcp");
    for (const char* ip : {"", "dhcp", "10.0.0.5::10.0.0.1:255.255.255.0",
                           "10.0.0.5:10.0.0.1:10.0.0.254:255.255.255.0::eth0:off",
                           "10.0.0.5:10.0.0.1:10.0.0.254:255.255.255.0:host", ":::", "a:b:c:d"}) {
        CAPTURE(ip);
        CHECK(leased_address_warning(ip).empty());
    }
}
