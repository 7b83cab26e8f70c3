// The answers of the initramfs's DHCP client, ipconfig of klibc or a client of dracut, and the network
// settings that follow from them. Pure; use only before the daemon's seal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/lease/lease.hh"

namespace holdfast::client {

// A DHCP client's result for an interface, or a configured address. Fields not supplied are empty; 0.0.0.0 is
// converted to empty.
struct NetworkAnswer {
    std::string interface;
    std::string address{};
    std::string root_server{};  // DHCP's next-server, or the DHCP server itself
    std::string root_path{};    // DHCP option 17
    std::string domain{};
    std::vector<std::string> search{};
    std::vector<std::string> name_servers{};
    std::vector<std::string> time_servers{};
    std::string host_name{};
    bool from_dhcp = false;
    DhcpSoftware software = DhcpSoftware::ipconfig;  // valid only if from_dhcp
    std::uint32_t lease_seconds = 0;  // 0: not in DHCP's answer; infinite_lease (dhcp_message.hh): unlimited
    std::optional<std::uint64_t> leased_at = {};  // in seconds since the machine's start, rounded down

    bool operator==(const NetworkAnswer&) const = default;
};

// Parses the file that a DHCP client has left: ipconfig's net-IFACE.conf, also net6-IFACE.conf of Ubuntu's
// client for DHCPv6, systemd-networkd's file of a lease, or dracut's file of dhclient's variables, without
// executing them. Skips unneeded keys, and lines that are not KEY=value, for ipconfig and dhclient in the
// shell's plain quoting. Only ipconfig names the interface.
NetworkAnswer parse_network_answer(std::string_view text, DhcpSoftware software = DhcpSoftware::ipconfig);

// Returns the DHCP leases with an end, for the daemon to renew. Hardware addresses are not filled in.
// `ip_word`: ip= of the command line, from which the clients take the host name that they send.
std::vector<GrantedLease> leases_in(const std::vector<NetworkAnswer>& answers, std::string_view ip_word);

// True if ip= asks for an address of IPv4; the initramfs takes a missing ip= for ip=dhcp.
bool asks_for_ipv4(std::string_view ip_word);

// Explains why there is no network and how to fix it; empty if there is an address. An IPv6-only network also
// has no answer from ipconfig, so use the text to explain a failure, not to detect one.
std::string network_problem(const std::vector<NetworkAnswer>& answers,
                            const std::vector<std::string>& interfaces, std::string_view ip_word);

// Returns the facts of an answer that the system is told. The host name only on request.
NetworkFacts facts_of(const NetworkAnswer& answer, bool with_host_name);

// Returns the text of a resolv.conf for the answers; empty if they contain no name server.
std::string resolver_configuration(const std::vector<NetworkAnswer>& answers);

}  // namespace holdfast::client
