// Reads shell assignments without a shell: ipconfig and dhclient quote the values that DHCP sent.

#include "client/boot/ipconfig.hh"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"
#include "common/text/words.hh"

namespace holdfast::client {
namespace {

// Decodes the value of a shell assignment written by a program: '...', "...", \c and plain characters,
// concatenated. Fails if the shell would expand or run anything, or if a quote is unclosed.
class Unquoting {
public:
    explicit Unquoting(std::string_view text) : rest_(text) {}

    // Returns nullopt on failure.
    std::optional<std::string> value() {
        while (!rest_.empty())
            if (!take_piece()) return {};
        return std::move(value_);
    }

private:
    bool take_piece() {
        const char c = take_character();
        if (c == '\'') return take_single_quoted();
        if (c == '"') return take_double_quoted();
        if (c == '\\') return take_escaped();
        if (std::string_view{" \t$`;&|<>()#*?"}.find(c) != std::string_view::npos) return false;
        value_ += c;
        return true;
    }

    bool take_single_quoted() {
        const std::size_t end = rest_.find('\'');
        if (end == std::string_view::npos) return false;
        value_ += rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return true;
    }

    bool take_double_quoted() {
        while (!rest_.empty()) {
            const char c = take_character();
            if (c == '"') return true;
            if (c == '$' || c == '`') return false;
            if (c != '\\')
                value_ += c;
            else if (!take_escaped())
                return false;
        }
        return false;
    }

    bool take_escaped() {
        if (rest_.empty()) return false;
        value_ += take_character();
        return true;
    }

    char take_character() {
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return c;
    }

    std::string_view rest_;
    std::string value_;
};

// Parses an address such as "10.77.0.1".
std::optional<Ipv4> ipv4_in(const std::string& text) {
    in_addr address{};
    if (::inet_pton(AF_INET, text.c_str(), &address) != 1) return {};
    return ntohl(address.s_addr);
}

// Returns the host name that ipconfig sent: ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:...
std::string_view hostname_in(std::string_view ip_word) {
    for (int field = 0; field < 4; ++field) {
        const std::size_t end = ip_word.find(':');
        if (end == std::string_view::npos) return {};
        ip_word.remove_prefix(end + 1);
    }
    return ip_word.substr(0, ip_word.find(':'));
}

void take_name_servers(const std::string& value, NetworkAnswer& answer) {
    for (const std::string_view name : words_of(value))
        if (is_plain_name(name) && name != "0.0.0.0") answer.name_servers.emplace_back(name);
}

void take_search(const std::string& value, NetworkAnswer& answer) {
    for (const std::string_view name : words_of(value))
        if (is_plain_name(name)) answer.search.emplace_back(name);
}

struct TimeUnit {
    std::string_view name;
    std::uint32_t seconds;
};
constexpr TimeUnit time_units[] = {{"y", 31557600}, {"month", 2629800}, {"w", 604800}, {"d", 86400},
                                   {"h", 3600},     {"min", 60},        {"s", 1}};

// Returns the seconds of a word such as "30min"; 0 if the word is invalid.
std::uint64_t seconds_of(std::string_view word) {
    const std::size_t digits = std::min(word.find_first_not_of("0123456789"), word.size());
    const auto number = number_of<std::uint32_t>(word.substr(0, digits));
    const auto* const unit = std::ranges::find(time_units, word.substr(digits), &TimeUnit::name);
    return number && unit != std::end(time_units) ? std::uint64_t{*number} * unit->seconds : 0;
}

// Parses the duration of a lease, in seconds or, as networkd writes it, as a time span: "1h 30min",
// "infinity".
std::uint32_t duration_in(const std::string& value) {
    if (const auto number = number_of<std::uint32_t>(value)) return *number;
    if (value == "infinity") return infinite_lease;
    std::uint64_t sum = 0;
    for (const std::string_view word : words_of(value)) sum += seconds_of(word);
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(sum, infinite_lease));
}

// A fact, and its key in the file of each client; empty: not in that file.
struct Key {
    std::string_view ipconfig, networkd, dhclient;
    void (*take)(const std::string& value, NetworkAnswer& answer);

    [[nodiscard]] std::string_view of(DhcpSoftware software) const {
        switch (software) {
            case DhcpSoftware::ipconfig: return ipconfig;
            case DhcpSoftware::networkd: return networkd;
            case DhcpSoftware::dhclient: return dhclient;
        }
        return {};
    }
};
constexpr Key keys[] = {
    {"DEVICE", "", "", [](const std::string& value, NetworkAnswer& answer) { answer.interface = value; }},
    {"IPV4ADDR", "ADDRESS", "new_ip_address",
     [](const std::string& value, NetworkAnswer& answer) { answer.address = value; }},
    {"ROOTSERVER", "NEXT_SERVER", "new_next_server",
     [](const std::string& value, NetworkAnswer& answer) { answer.root_server = value; }},
    {"ROOTPATH", "ROOT_PATH", "new_root_path",
     [](const std::string& value, NetworkAnswer& answer) { answer.root_path = value; }},
    {"PROTO", "", "",
     [](const std::string& value, NetworkAnswer& answer) { answer.from_dhcp = value == "dhcp"; }},
    {"DHCPLEASETIME", "LIFETIME", "new_dhcp_lease_time",
     [](const std::string& value, NetworkAnswer& answer) { answer.lease_seconds = duration_in(value); }},
    {"UPTIME", "", "",
     [](const std::string& value, NetworkAnswer& answer) {
         answer.leased_at = number_of<std::uint64_t>(value);
     }},
    {"IPV4DNS0", "DNS", "new_domain_name_servers", take_name_servers},
    {"IPV4DNS1", "", "", take_name_servers},
    {"", "NTP", "new_ntp_servers",
     [](const std::string& value, NetworkAnswer& answer) {
         for (const std::string_view name : words_of(value))
             if (is_plain_name(name)) answer.time_servers.emplace_back(name);
     }},
    {"HOSTNAME", "HOSTNAME", "new_host_name",
     [](const std::string& value, NetworkAnswer& answer) {
         if (is_plain_name(value)) answer.host_name = value;
     }},
    {"DNSDOMAIN", "DOMAINNAME", "new_domain_name",
     [](const std::string& value, NetworkAnswer& answer) {
         if (is_plain_name(value)) answer.domain = value;
     }},
    {"DOMAINSEARCH", "DOMAIN_SEARCH_LIST", "new_domain_search", take_search},
    // Ubuntu's net6-IFACE.conf.
    {"DEVICE6", "", "", [](const std::string& value, NetworkAnswer& answer) { answer.interface = value; }},
    {"IPV6ADDR", "", "", [](const std::string& value, NetworkAnswer& answer) { answer.address = value; }},
    {"IPV6DNS0", "", "", take_name_servers},
    {"IPV6DNS1", "", "", take_name_servers},
    {"IPV6DOMAINSEARCH", "", "", take_search},
};

void take_value(std::string_view key, const std::string& value, NetworkAnswer& answer) {
    const bool unset = key.empty() || value.empty() || value == "0.0.0.0";
    if (unset) return;
    for (const Key& known : keys)
        if (known.of(answer.software) == key) return known.take(value, answer);
}

}  // namespace

NetworkAnswer parse_network_answer(std::string_view text, DhcpSoftware software) {
    NetworkAnswer answer;
    answer.software = software;
    answer.from_dhcp = software != DhcpSoftware::ipconfig;
    while (!text.empty()) {
        const std::string_view line = take_line(text);
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos) continue;
        // networkd quotes nothing.
        const auto value = software == DhcpSoftware::networkd ? std::string{line.substr(equals + 1)}
                                                              : Unquoting(line.substr(equals + 1)).value();
        if (value) take_value(line.substr(0, equals), *value, answer);
    }
    return answer;
}

std::vector<GrantedLease> leases_in(const std::vector<NetworkAnswer>& answers, std::string_view ip_word) {
    constexpr std::uint64_t longest = 1'000'000'000;  // 30 years, longer than any uptime
    std::vector<GrantedLease> leases;
    for (const NetworkAnswer& answer : answers) {
        const auto address = ipv4_in(answer.address);
        const bool ends = answer.lease_seconds != 0 && answer.lease_seconds != infinite_lease;
        if (!answer.from_dhcp || !ends || !address) continue;
        GrantedLease lease;
        lease.record.interface = answer.interface;
        lease.record.address = *address;
        lease.record.client.software = answer.software;
        lease.record.client.hostname = hostname_in(ip_word);
        lease.state.seconds = answer.lease_seconds;
        lease.state.obtained_at = std::chrono::seconds{std::min(answer.leased_at.value_or(0), longest)};
        leases.push_back(lease);
    }
    return leases;
}

bool asks_for_ipv4(std::string_view ip_word) {
    // The forms of an address, ADDRESS:...:PROTOCOL, end with another protocol for the card's other
    // addresses.
    const auto colons = std::ranges::count(ip_word, ':');
    if (ip_word.starts_with(':') || colons == 1) ip_word.remove_prefix(ip_word.rfind(':') + 1);
    constexpr std::array without{"off", "none", "auto6", "link6", "dhcp6", "link-local"};
    return std::ranges::none_of(without, [&](std::string_view word) { return ip_word == word; });
}

std::string network_problem(const std::vector<NetworkAnswer>& answers,
                            const std::vector<std::string>& interfaces, std::string_view ip_word) {
    if (!answers.empty()) return {};
    if (interfaces.empty())
        return "no network: no network interface found; the driver may be missing in the initramfs (set "
               "MODULES=most, or add the driver to /etc/initramfs-tools/modules; with dracut, to "
               "add_drivers)";
    std::string names;
    for (const std::string& name : interfaces) names += (names.empty() ? "" : ", ") + printable(name);
    if (ip_word.empty() || ip_word == "dhcp" || ip_word == "on" || ip_word == "any" ||
        ip_word.ends_with(":dhcp"))
        return fmt::format(
            "no network: {} got no address from DHCP; check the cable, the switch and the DHCP server, or "
            "set an address: ip=ADDRESS::GATEWAY:NETMASK::INTERFACE:off",
            names);
    return fmt::format(
        "no network: {} got no address with ip={}; use ip=dhcp, or "
        "ip=ADDRESS::GATEWAY:NETMASK::INTERFACE:off",
        names, printable(ip_word));
}

NetworkFacts facts_of(const NetworkAnswer& answer, bool with_host_name) {
    NetworkFacts facts;
    for (const std::string& name : answer.name_servers) add_word(facts.name_servers, name);
    for (const std::string& name : answer.search) add_word(facts.search, name);
    for (const std::string& name : answer.time_servers) add_word(facts.time_servers, name);
    facts.domain = answer.domain;
    if (with_host_name) facts.host_name = answer.host_name;
    return facts;
}

std::string resolver_configuration(const std::vector<NetworkAnswer>& answers) {
    std::string servers;
    std::string domain;
    std::string search;
    for (const NetworkAnswer& answer : answers) {
        for (const std::string& server : answer.name_servers)
            if (const std::string line = "nameserver " + server + "\n";
                servers.find(line) == std::string::npos)
                servers += line;
        if (domain.empty() && !answer.domain.empty()) domain = "domain " + answer.domain + "\n";
        for (const std::string& name : answer.search)
            if ((search + " ").find(" " + name + " ") == std::string::npos) search += " " + name;
    }
    if (servers.empty()) return {};
    return domain + (search.empty() ? "" : "search" + search + "\n") + servers;
}

}  // namespace holdfast::client
