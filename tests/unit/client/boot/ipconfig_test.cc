// Answers of ipconfig, and the settings that follow from them.

#include <doctest/doctest.h>

#include <string>

#include "client/boot/ipconfig.hh"

using namespace holdfast::client;
using std::chrono::seconds;

TEST_CASE("ipconfig's answers are read as the shell would, and nothing is run") {
    const NetworkAnswer answer = parse_network_answer(
        "DEVICE='ens3'\nPROTO='dhcp'\nIPV4ADDR='10.0.2.15'\nIPV4DNS0='10.0.2.3'\nIPV4DNS1='0.0.0.0'\n"
        "HOSTNAME=''\nDNSDOMAIN='example.org'\nROOTSERVER='10.0.2.2'\nROOTPATH='nbd://h/it'\\''s'\n"
        "filename=''\nDOMAINSEARCH='a.example b.example'\nUPTIME='5'\n");
    CHECK(answer.interface == "ens3");
    CHECK(answer.address == "10.0.2.15");
    CHECK(answer.root_server == "10.0.2.2");
    CHECK(answer.root_path == "nbd://h/it's");
    CHECK(answer.name_servers == std::vector<std::string>{"10.0.2.3"});
    CHECK(resolver_configuration({answer, answer}) ==
          "domain example.org\nsearch a.example b.example\nnameserver 10.0.2.3\n");
    const NetworkAnswer odd = parse_network_answer(
        "ROOTPATH=$(reboot)\nROOTSERVER=\"`reboot`\"\nDEVICE='open\nIPV4ADDR=\"1.2.3.4\"\nIPV4DNS0='a\\nb'"
        "\nrubbish\n=x\n"
        "DNSDOMAIN='a b'\nDNSDOMAIN='x\noptions'");
    CHECK(odd == NetworkAnswer{.interface = {},
                               .address = "1.2.3.4",
                               .root_server = {},
                               .root_path = {},
                               .domain = {},
                               .search = {},
                               .name_servers = {}});
    CHECK(parse_network_answer("ROOTSERVER='0.0.0.0'\nIPV4ADDR=0.0.0.0").address.empty());
    CHECK(parse_network_answer("ROOTPATH=a\\ b\"c \\\" d\"'e'").root_path == "a bc \" de");
    CHECK(resolver_configuration({}).empty());
}

TEST_CASE("what an answer says besides the address becomes facts, the host name only on request") {
    const NetworkAnswer answer = parse_network_answer(
        "DEVICE='eth0'\nIPV4ADDR='10.0.2.15'\nIPV4DNS0='10.0.2.3'\nIPV4DNS1='10.0.2.4'\nHOSTNAME='client7'\n"
        "DNSDOMAIN='lab.test'\nDOMAINSEARCH='a.test b.test'\n");
    CHECK(lines_of(facts_of(answer, false)) ==
          "dns 10.0.2.3 10.0.2.4\ndomain lab.test\nsearch a.test b.test\n");
    CHECK(facts_of(answer, true).host_name == "client7");
    const NetworkAnswer lease = parse_network_answer(
        "ADDRESS=10.0.2.15\nDNS=10.0.2.3\nNTP=10.0.2.5 10.0.2.6\nHOSTNAME=client7\nDOMAINNAME=lab.test\n",
        DhcpSoftware::networkd);
    CHECK(lines_of(facts_of(lease, true)) ==
          "dns 10.0.2.3\ndomain lab.test\nntp 10.0.2.5 10.0.2.6\nhostname client7\n");
    const NetworkAnswer dhclient = parse_network_answer(
        "new_ip_address='10.0.2.15'\nnew_ntp_servers='10.0.2.5'\nnew_host_name='c;reboot'\n",
        DhcpSoftware::dhclient);
    CHECK(lines_of(facts_of(dhclient, true)) == "ntp 10.0.2.5\n");
    CHECK(lines_of(facts_of({}, true)).empty());
}

TEST_CASE("a DHCP lease that has an end is left to the daemon, and nothing else is") {
    const std::string text =
        "DEVICE='ens3'\nPROTO='dhcp'\nIPV4ADDR='10.77.0.100'\nUPTIME='5'\nDHCPLEASETIME='3600'\nHOSTNAME='"
        "given'\n";
    const auto leases_of = [](const std::string& answer, std::string_view ip = "dhcp") {
        return leases_in({parse_network_answer(answer)}, ip);
    };
    const auto leases = leases_of(text);
    REQUIRE(leases.size() == 1);
    CHECK(leases[0].record.interface == "ens3");
    CHECK(leases[0].record.address == 0x0a4d0064);
    CHECK(leases[0].record.client.hostname.empty());
    CHECK(leases[0].state.seconds == 3600);
    CHECK(leases[0].state.obtained_at == seconds{5});
    // ipconfig sends the name that it was told, not the one that it was given.
    CHECK(leases_of(text, "::::kelp::dhcp").at(0).record.client.hostname == "kelp");
    CHECK(leases_of(text, ":::::ens3:dhcp").at(0).record.client.hostname.empty());
    CHECK(leases_of(text, ":::").at(0).record.client.hostname.empty());
    const auto with = [&](std::string_view from, std::string_view to) {
        std::string changed = text;
        changed.replace(changed.find(from), from.size(), to);
        return leases_of(changed);
    };
    CHECK(with("'dhcp'", "'none'").empty());
    CHECK(with("'dhcp'", "'bootp'").empty());
    CHECK(with("'3600'", "'0'").empty());
    CHECK(with("'3600'", "'4294967295'").empty());
    CHECK(with("'3600'", "'4294967296'").empty());
    CHECK(with("'3600'", "'-1'").empty());
    CHECK(with("DHCPLEASETIME", "OTHER").empty());
    CHECK(with("10.77.0.100", "10.77.0.300").empty());
    // A lease is at most as old as the time since boot.
    CHECK(with("UPTIME", "OTHER").at(0).state.obtained_at == seconds{0});
    CHECK(with("'5'", "'18446744073709551615'").at(0).state.obtained_at == seconds{1'000'000'000});
}

TEST_CASE("the leases of dracut's DHCP clients are read, and remember their client") {
    const NetworkAnswer networkd = parse_network_answer(
        "# This is private data. Do not parse.\nADDRESS=10.77.0.100\nNETMASK=255.255.255.0\n"
        "NEXT_SERVER=10.77.0.1\nT1=30min\nLIFETIME=1h\nDNS=10.77.0.1 10.77.0.2\nDOMAINNAME=example.test\n"
        "DOMAIN_SEARCH_LIST=a.test b.test\nROOT_PATH=nbd:10.77.0.1:it's $(here)\nCLIENTID=0152540012\n",
        DhcpSoftware::networkd);
    CHECK(networkd == NetworkAnswer{.interface = {},
                                    .address = "10.77.0.100",
                                    .root_server = "10.77.0.1",
                                    .root_path = "nbd:10.77.0.1:it's $(here)",
                                    .domain = "example.test",
                                    .search = {"a.test", "b.test"},
                                    .name_servers = {"10.77.0.1", "10.77.0.2"},
                                    .from_dhcp = true,
                                    .software = DhcpSoftware::networkd,
                                    .lease_seconds = 3600});
    const auto leases = leases_in({networkd}, "dhcp");
    REQUIRE(leases.size() == 1);
    CHECK(leases[0].record.client.software == DhcpSoftware::networkd);
    CHECK(leases[0].state.obtained_at == seconds{0});  // unknown, so as old as the machine

    for (const auto& [text, duration] : {std::pair{"2min", 120U},
                                         {"1d 2h 3min 4s", 93784U},
                                         {"1month 1w", 3234600U},
                                         {"3600", 3600U},
                                         {"infinity", infinite_lease},
                                         {"9999y", infinite_lease},
                                         {"soon", 0U},
                                         {"5parsecs", 0U}})
        CHECK(parse_network_answer(std::string("LIFETIME=") + text, DhcpSoftware::networkd).lease_seconds ==
              duration);

    const NetworkAnswer dhclient = parse_network_answer(
        "new_ip_address='10.77.0.101'\nnew_dhcp_lease_time='60'\nnew_root_path='nbd:h:r'\nIPV4ADDR='1.2.3.4'"
        "\n"
        "new_domain_name_servers='10.77.0.1 10.77.0.2'\n",
        DhcpSoftware::dhclient);
    CHECK(dhclient.address == "10.77.0.101");
    CHECK(dhclient.root_path == "nbd:h:r");
    CHECK(dhclient.name_servers.size() == 2);
    CHECK(leases_in({dhclient}, "dhcp").at(0).record.client.software == DhcpSoftware::dhclient);
}

TEST_CASE("a machine without a network is told which interface and what to do") {
    NetworkAnswer answer;
    answer.interface = "eth0";
    CHECK(network_problem({answer}, {"eth0"}, "dhcp").empty());
    CHECK(network_problem({}, {}, "").find("no network interface") != std::string::npos);
    const std::string by_dhcp = network_problem({}, {"eth0", "eth1"}, "dhcp");
    CHECK(by_dhcp.starts_with("no network: eth0, eth1 got no address from DHCP"));
    const std::string by_hand = network_problem({}, {"eth0"}, "off");
    CHECK(by_hand.find("ip=off") != std::string::npos);
}

TEST_CASE("ip= asks for an address of IPv4, except where it names another protocol only") {
    for (const char* const word : {"", "dhcp", "on", "any", "eth0:dhcp",
                                   "10.0.0.2::10.0.0.1:255.0.0.0::eth0:off", ":::::eth0:dhcp", "both"})
        CHECK_MESSAGE(asks_for_ipv4(word), word);
    for (const char* const word : {"off", "none", "auto6", "link6", "dhcp6", ":::::eth0:off",
                                   ":::::eth0:none", "eth0:auto6", "eth0:dhcp6", "eth0:link6", "eth0:off"})
        CHECK_MESSAGE(!asks_for_ipv4(word), word);
}
