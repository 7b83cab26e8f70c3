// The files of an initramfs's DHCP clients.

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cstdio>
#include <string>

#include "client/boot/boot_files.hh"

using namespace holdfast::client;

namespace {

// A folder of its own, with the places of an initramfs below.
class Initramfs {
public:
    Initramfs() {
        REQUIRE(::mkdtemp(folder_.data()) != nullptr);
        files.run = folder_ + "/run";
        files.tmp = folder_ + "/tmp";
        files.interfaces = folder_ + "/net";
        files.max_part = folder_ + "/sys/max_part";
    }
    Initramfs(const Initramfs&) = delete;
    Initramfs& operator=(const Initramfs&) = delete;
    ~Initramfs() { CHECK(std::system(("rm -r " + folder_).c_str()) == 0); }

    // NOLINTNEXTLINE(readability-make-member-function-const): changes the folder
    void write(const std::string& path, const std::string& text) {
        const std::string file = folder_ + path;
        for (std::size_t at = folder_.size(); (at = file.find('/', at + 1)) != std::string::npos;)
            ::mkdir(file.substr(0, at).c_str(), 0755);
        std::FILE* out = std::fopen(file.c_str(), "w");
        REQUIRE(out != nullptr);
        std::fputs(text.c_str(), out);
        std::fclose(out);
    }

    BootFiles files;

private:
    std::string folder_ = "/tmp/holdfast-boot-XXXXXX";
};

}  // namespace

TEST_CASE("each interface of dracut's initramfs has the facts of its own client") {
    Initramfs initramfs;
    initramfs.write("/net/eth0/ifindex", "2\n");
    initramfs.write("/net/eth1/ifindex", "3\n");
    initramfs.write("/net/eth2/ifindex", "4\n");
    initramfs.write("/net/lo/ifindex", "1\n");
    initramfs.write("/run/systemd/netif/leases/2", "ADDRESS=10.77.0.100\nLIFETIME=60\n");
    initramfs.write("/run/systemd/netif/links/2", "DNS=10.77.0.9\n");
    initramfs.write("/tmp/dhclient.eth0.dhcpopts",
                    "new_root_path='nbd:h:r'\n");  // as dracut does with networkd
    initramfs.write("/run/systemd/netif/links/3", "DNS=10.77.0.1\n");
    initramfs.write("/tmp/dhclient.eth2.dhcpopts", "new_ip_address='10.77.0.101'\nnew_dhcp_lease_time='7'\n");
    const auto answers = read_dracut_answers(initramfs.files);
    REQUIRE(answers.size() == 3);
    CHECK(answers[0].interface == "eth0");
    CHECK(answers[0].address == "10.77.0.100");
    CHECK(answers[0].software == DhcpSoftware::networkd);
    CHECK(answers[0].from_dhcp);
    CHECK(answers[0].name_servers == std::vector<std::string>{"10.77.0.9"});
    CHECK(answers[1].interface == "eth1");
    CHECK_FALSE(answers[1].from_dhcp);
    CHECK(answers[1].name_servers == std::vector<std::string>{"10.77.0.1"});
    CHECK(answers[2].interface == "eth2");
    CHECK(answers[2].software == DhcpSoftware::dhclient);
    CHECK(answers[2].lease_seconds == 7);
}

TEST_CASE("name servers from a router of IPv6 take no lease away from dracut's client") {
    Initramfs initramfs;
    initramfs.write("/run/net6-eth0.conf", "IPV6ADDR='fd77::5'\nIPV6DNS0='fd77::1'\n");
    initramfs.write("/net/eth0/ifindex", "2\n");
    initramfs.write("/run/systemd/netif/leases/2",
                    "ADDRESS=192.0.2.5\nNETMASK=255.255.255.0\nSERVER_ADDRESS=192.0.2.1\nLIFETIME=600\n");
    auto answers = read_network_answers(initramfs.files);
    REQUIRE(answers.size() == 1);
    add_dracut_answers(initramfs.files, answers);
    REQUIRE(answers.size() == 2);
    CHECK(answers[1].address == "192.0.2.5");
    CHECK(answers[1].from_dhcp);
    add_dracut_answers(initramfs.files, answers);
    CHECK(answers.size() == 2);
}

TEST_CASE("outside an initramfs, the files of dracut's clients are not used") {
    Initramfs initramfs;
    initramfs.write("/net/eth2/ifindex", "4\n");
    initramfs.write("/tmp/dhclient.eth2.dhcpopts", "new_ip_address='10.77.0.101'\nnew_dhcp_lease_time='7'\n");
    CHECK(read_network_answers(initramfs.files).empty());
    initramfs.write("/run/net-eth2.conf", "DEVICE='eth2'\nIPV4ADDR='10.77.0.102'\n");
    CHECK(read_network_answers(initramfs.files).at(0).address == "10.77.0.102");
}

TEST_CASE("the nbd module's parameter is known if the module is loaded") {
    Initramfs initramfs;
    CHECK(read_boot_variables(initramfs.files).max_part.empty());
    initramfs.write("/sys/max_part", "0\n");
    CHECK(read_boot_variables(initramfs.files).max_part == "0");
}

TEST_CASE("an address and name servers from DHCPv6 are an answer, without a lease to renew") {
    Initramfs initramfs;
    initramfs.write("/run/net6-eth0.conf",
                    "DEVICE6='eth0'\nIPV6PROTO='dhcp6'\nIPV6ADDR='fd77::1000'\nIPV6NETMASK='128'\n"
                    "IPV6DNS0='fd77::1 fd77::2'\nIPV6DOMAINSEARCH='example. lab.example.'\n");
    initramfs.write("/run/net6-eth1.conf", "IPV6ADDR='fd78::1000'\n");
    initramfs.write("/run/net6-eth2.conf", "IPV6ADDR=''\n");
    const auto answers = read_network_answers(initramfs.files);
    REQUIRE(answers.size() == 2);
    CHECK(answers[0].interface == "eth0");
    CHECK(answers[0].address == "fd77::1000");
    CHECK(answers[1].interface == "eth1");
    CHECK(leases_in(answers, "").empty());
    CHECK(resolver_configuration(answers) ==
          "search example. lab.example.\nnameserver fd77::1\nnameserver fd77::2\n");
}
