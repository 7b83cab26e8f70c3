// What keeps the managers of a network from an interface, and where an administrator has configured it.

#include "client/boot/network_managers.hh"

#include <doctest/doctest.h>

#include <algorithm>

using namespace holdfast::client;

namespace {

const std::vector<std::string> card{"eth0"};
const std::vector<std::string> bond{"bond0", "eth0", "eth1"};

std::string text_of(const std::vector<RunFile>& files, std::string_view path) {
    const auto found = std::ranges::find(files, path, &RunFile::path);
    return found == files.end() ? "no such file" : found->text;
}

}  // namespace

TEST_CASE("network owners: systemd-networkd is told that the interface is unmanaged") {
    const auto files = files_against(NetworkOwner::networkd, Init::systemd, bond);
    CHECK(text_of(files, "/run/systemd/network/00-holdfast.network")
              .ends_with("[Match]\nName=bond0 eth0 eth1\n\n[Link]\nUnmanaged=yes\n"));
}

TEST_CASE(
    "network owners: systemd waits for the network only if systemd-networkd has an interface to configure") {
    const auto files = files_against(NetworkOwner::networkd, Init::systemd, card);
    CHECK(files.size() == 2);
    CHECK(text_of(files, "/run/systemd/system/systemd-networkd-wait-online.service.d/holdfast.conf")
              .ends_with("[Service]\nExecCondition=/bin/sh /usr/libexec/holdfast/wait-online\n"));
    CHECK(files_against(NetworkOwner::networkd, Init::other, card).empty());
}

TEST_CASE("network owners: our files come before and after those that netplan and cloud-init generate") {
    // systemd-networkd takes the first file, whatever its folder.
    for (const char* generated :
         {"05-cloud-init-eth0.network", "10-cloud-init-eth0.network", "10-netplan-eth0.network",
          "10-netplan-all-en.network", "50-dhcp.network", "80-dhcp.network"})
        CHECK(network_file_name < generated);
    // NetworkManager lets a later file overwrite an earlier one.
    for (const char* generated : {"netplan.conf", "10-globally-managed-devices.conf", "10-netplan.conf"})
        CHECK(network_manager_file_name > generated);
}

TEST_CASE("network owners: NetworkManager is told the same, by exact names") {
    const auto files = files_against(NetworkOwner::network_manager, Init::systemd, bond);
    REQUIRE(files.size() == 1);
    CHECK(files[0].path == "/run/NetworkManager/conf.d/zz-holdfast.conf");
    CHECK(
        files[0].text.ends_with("[device-holdfast]\nmatch-device=interface-name:=bond0,interface-name:=eth0,"
                                "interface-name:=eth1\nmanaged=0\n"));
}

TEST_CASE(
    "network owners: ifupdown takes the interface for one that is up, and takes it down with none of its "
    "units") {
    const auto files = files_against(NetworkOwner::ifupdown, Init::systemd, card, {"wlan0 usb0"});
    CHECK(text_of(files, "/run/network/ifstate") == "eth0=eth0\n");
    CHECK(std::ranges::find(files, "/run/network/ifstate", &RunFile::path)->append);
    CHECK(
        text_of(files, "/run/holdfast/networking.env").ends_with("EXCLUDE_INTERFACES=\"wlan0 usb0 eth0\"\n"));
    CHECK(text_of(files, "/run/systemd/system/networking.service.d/holdfast.conf")
              .ends_with("[Service]\nEnvironmentFile=-/run/holdfast/networking.env\n"));
    CHECK(text_of(files, "/run/systemd/system/ifup@eth0.service.d/holdfast.conf")
              .ends_with("[Service]\nExecStop=\n"));
}

TEST_CASE("network owners: ifupdown brings a bridge of the interface up, and does not take it down") {
    const auto files = files_against(NetworkOwner::ifupdown, Init::systemd, card, {"", false, {"xenbr0"}});
    CHECK(text_of(files, "/run/network/ifstate") == "eth0=eth0\n");
    CHECK(text_of(files, "/run/holdfast/networking.env").ends_with("EXCLUDE_INTERFACES=\"eth0\"\n"));
    CHECK(text_of(files, "/run/systemd/system/networking.service.d/holdfast.conf")
              .ends_with("networking.env\nExecStop=\n"
                         "ExecStop=/sbin/ifdown -a --read-environment --exclude=lo --exclude=xenbr0\n"));
    CHECK(text_of(files, "/run/systemd/system/ifup@xenbr0.service.d/holdfast.conf")
              .ends_with("[Service]\nExecStop=\n"));
}

TEST_CASE("network owners: bridges and bonds of the interface are found in interfaces(5)") {
    const std::string text =
        "auto lo\niface lo inet loopback\n\niface eth0 inet manual\n\n"
        "auto xenbr0\niface xenbr0 inet dhcp\n\tbridge_ports eth1 eth0\n\tbridge_fd 0\n"
        "iface xenbr0 inet6 auto\n    bridge-ports eth0\n"
        "iface br1 inet manual\n    bridge_ports eth1 eth00\n# bridge_ports eth0\n    bridge_stp eth0\n"
        "iface bond0 inet manual\n    bond-slaves eth0\n"
        "iface br2 inet manual\n    bridge_ports bond0\n"
        "iface br3 inet manual\n    bridge_ports regex eth.*\n";
    CHECK(interfaces_above(text, card) == std::vector<std::string>{"xenbr0", "bond0", "br2", "br3"});
    CHECK(interfaces_above("bridge_ports eth0\n", card).empty());
}

TEST_CASE(
    "network owners: ifupdown-ng takes the interface for one that is up, and its unit takes nothing down") {
    const auto files = files_against(NetworkOwner::ifupdown, Init::systemd, card, {"", true});
    CHECK(files.size() == 2);
    CHECK(text_of(files, "/run/ifstate") == "eth0=eth0 1 explicit\n");
    CHECK(text_of(files, "/run/systemd/system/networking.service.d/holdfast.conf")
              .ends_with("[Service]\nExecStop=\n"));
    CHECK(files_against(NetworkOwner::ifupdown, Init::other, card, {"", true}).size() == 1);
}

TEST_CASE("network owners: every file is below /run, and without an interface there is none") {
    for (const NetworkOwner owner :
         {NetworkOwner::ifupdown, NetworkOwner::networkd, NetworkOwner::network_manager}) {
        CHECK(files_against(owner, Init::systemd, {}).empty());
        for (const RunFile& file : files_against(owner, Init::systemd, bond))
            CHECK(file.path.starts_with("/run/"));
        CHECK(NetworkChoices{}.keeps_from(owner));
        CHECK_FALSE(NetworkChoices{false, false, false}.keeps_from(owner));
    }
}

TEST_CASE("network owners: what /etc/default/networking excludes") {
    CHECK(excluded_interfaces("") == "");
    CHECK(excluded_interfaces("# EXCLUDE_INTERFACES=eth9\nVERBOSE=no\n") == "");
    CHECK(excluded_interfaces("EXCLUDE_INTERFACES=\"a b\"\n") == "a b");
    CHECK(excluded_interfaces("EXCLUDE_INTERFACES=a\nEXCLUDE_INTERFACES='c'") == "c");
}

TEST_CASE("network owners: an iface stanza is found with its line") {
    constexpr std::string_view file = "/etc/network/interfaces";
    CHECK(place_in_interfaces(file, "auto lo\niface lo inet loopback\n\n\tiface\teth0 inet dhcp\n", card) ==
          "/etc/network/interfaces:4");
    CHECK_FALSE(
        place_in_interfaces(file, "auto eth0\n#iface eth0 inet dhcp\niface eth01 inet dhcp\niface\n", card));
    CHECK(place_in_interfaces(file, "iface eth1 inet manual", bond) == "/etc/network/interfaces:1");
    CHECK_FALSE(place_in_interfaces(file, "", card));
}

TEST_CASE("network owners: a .network file that matches is found with its line") {
    constexpr std::string_view file = "/etc/systemd/network/50-lan.network";
    CHECK(place_in_network_file(file, "[Match]\nName=wl* e*\n[Network]\nDHCP=yes\n", card) ==
          "/etc/systemd/network/50-lan.network:2");
    CHECK_FALSE(place_in_network_file(file, "[Match]\nName=wl*\n[Network]\nName=eth0\n", card));
    CHECK_FALSE(place_in_network_file(file, "nonsense\n[\n=\n", card));
}

TEST_CASE("network owners: a NetworkManager connection is found with its line") {
    constexpr std::string_view file = "/etc/NetworkManager/system-connections/lan";
    CHECK(place_in_keyfile(file, "[connection]\nid=lan\ninterface-name=eth0\n", card) ==
          "/etc/NetworkManager/system-connections/lan:3");
    CHECK_FALSE(place_in_keyfile(file, "[connection]\nid=eth0\n[ipv4]\ninterface-name=eth0\n", card));
}

TEST_CASE("network owners: without systemd there is nothing that says that systemd runs") {
    for (const NetworkOwner owner :
         {NetworkOwner::ifupdown, NetworkOwner::networkd, NetworkOwner::network_manager})
        for (const RunFile& file : files_against(owner, Init::other, bond))
            CHECK_FALSE(file.path.starts_with("/run/systemd"));
    CHECK(files_against(NetworkOwner::networkd, Init::other, card).empty());
    CHECK(text_of(files_against(NetworkOwner::ifupdown, Init::other, card), "/run/network/ifstate") ==
          "eth0=eth0\n");
}
