// Small files read and written whole.

#include "client/boot/boot_files.hh"

#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/text/printable.hh"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>

#include <fmt/core.h>

namespace holdfast::client {

namespace {

constexpr std::size_t largest_file = 64 * 1024;

std::unexpected<std::string> failed(const std::string& path, const SysError& error) {
    return std::unexpected{fmt::format("{}: {}", path, error.message())};
}

std::expected<std::string, std::string> read_small_file(const std::string& path) {
    const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file) return failed(path, sys_error("open").error());
    std::string text;
    std::array<char, 4096> piece{};
    while (text.size() <= largest_file) {
        const ssize_t got = ::read(file.get(), piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed(path, sys_error("read").error());
        if (got == 0) return text;
        text.append(piece.data(), static_cast<std::size_t>(got));
    }
    return std::unexpected{
        fmt::format("{}: larger than {} bytes, which it never should be", path, largest_file)};
}

std::expected<void, std::string> write_small_file(const std::string& path, int flags, std::string_view text) {
    const Fd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644)};
    if (!file) return failed(path, sys_error("open").error());
    while (!text.empty()) {
        const ssize_t put = ::write(file.get(), text.data(), text.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return failed(path, sys_error("write").error());
        text.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

// Returns the names in a directory, sorted; empty if it is unreadable.
std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> names;
    struct Close {
        void operator()(DIR* directory) const { ::closedir(directory); }
    };
    const std::unique_ptr<DIR, Close> directory{::opendir(path.c_str())};
    if (!directory) return names;
    while (const dirent* entry = ::readdir(directory.get()))
        if (entry->d_name[0] != '.') names.emplace_back(static_cast<const char*>(entry->d_name));
    std::ranges::sort(names);
    return names;
}

// Decodes the value of a shell assignment written by a program: '...', "...", \c and plain characters,
// concatenated. Returns nullopt if the shell would expand or run anything, or if a quote is unclosed.
std::optional<std::string> unquote(std::string_view text) {
    std::string value;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\'') {
            const std::size_t end = text.find('\'', i + 1);
            if (end == std::string_view::npos) return {};
            value += text.substr(i + 1, end - i - 1);
            i = end;
        } else if (c == '"') {
            for (++i; i < text.size() && text[i] != '"'; ++i) {
                if (text[i] == '$' || text[i] == '`') return {};
                if (text[i] == '\\' && i + 1 < text.size()) ++i;
                value += text[i];
            }
            if (i == text.size()) return {};
        } else if (c == '\\') {
            if (++i == text.size()) return {};
            value += text[i];
        } else if (std::string_view{" \t$`;&|<>()#*?"}.find(c) != std::string_view::npos) {
            return {};
        } else {
            value += c;
        }
    }
    return value;
}

bool is_plain_name(std::string_view text) {
    constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:%";
    return !text.empty() && text.size() <= 253 && text.find_first_not_of(plain) == std::string_view::npos;
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return {};
    return value;
}

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

void take_value(std::string_view key, const std::string& value, NetworkAnswer& answer) {
    const bool unset = value.empty() || value == "0.0.0.0";
    if (unset) return;
    if (key == "DEVICE")
        answer.interface = value;
    else if (key == "IPV4ADDR")
        answer.address = value;
    else if (key == "ROOTSERVER")
        answer.root_server = value;
    else if (key == "ROOTPATH")
        answer.root_path = value;
    else if (key == "PROTO")
        answer.from_dhcp = value == "dhcp";
    else if (key == "DHCPLEASETIME")
        answer.lease_seconds = number_in<std::uint32_t>(value).value_or(0);
    else if (key == "UPTIME")
        answer.leased_at = number_in<std::uint64_t>(value);
    else if (key == "DNSDOMAIN" && is_plain_name(value))
        answer.domain = value;
    else if (key.starts_with("IPV4DNS") && is_plain_name(value))
        answer.name_servers.push_back(value);
    else if (key == "DOMAINSEARCH")
        for (std::size_t at = 0; at < value.size();) {
            const std::size_t end = std::min(value.find(' ', at), value.size());
            if (is_plain_name(std::string_view{value}.substr(at, end - at)))
                answer.search.push_back(value.substr(at, end - at));
            at = end + 1;
        }
}

}  // namespace

bool in_initramfs(const BootFiles& files) {
    struct statfs root {};
    if (::statfs(files.root.c_str(), &root) != 0 ||
        (root.f_type != TMPFS_MAGIC && root.f_type != RAMFS_MAGIC))
        return false;
    const auto is_there = [&](const char* file) { return ::access((files.root + file).c_str(), F_OK) == 0; };
    return is_there("/etc/initrd-release") || is_there("/conf/initramfs.conf");
}

std::expected<std::string, std::string> read_command_line(const BootFiles& files) {
    auto text = read_small_file(files.command_line);
    while (text && text->ends_with('\n')) text->pop_back();
    return text;
}

BootVariables read_boot_variables() {
    const auto value_of = [](const char* name) {
        const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
        return std::string{value ? value : ""};
    };
    return {.nbdroot = value_of("NBDROOT"), .root = value_of("ROOT")};
}

NetworkAnswer parse_network_answer(std::string_view text) {
    NetworkAnswer answer;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos) continue;
        if (const auto value = unquote(line.substr(equals + 1)))
            take_value(line.substr(0, equals), *value, answer);
    }
    return answer;
}

std::vector<NetworkAnswer> read_network_answers(const BootFiles& files) {
    std::vector<NetworkAnswer> answers;
    for (const std::string& name : names_in(files.run)) {
        if (!name.starts_with("net-") || !name.ends_with(".conf")) continue;
        const auto text = read_small_file(files.run + "/" + name);
        if (!text) continue;
        NetworkAnswer answer = parse_network_answer(*text);
        if (answer.interface.empty()) answer.interface = name.substr(4, name.size() - 9);
        if (!answer.address.empty()) answers.push_back(std::move(answer));
    }
    return answers;
}

std::string ip_word(const BootFiles& files) {
    std::string value;
    for (KernelWord& word : split_command_line(read_command_line(files).value_or("")))
        if (word.key == "ip") value = std::move(word.value);
    return value;
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
        lease.record.client.hostname = hostname_in(ip_word);
        lease.state.seconds = answer.lease_seconds;
        lease.state.obtained_at = std::chrono::seconds{std::min(answer.leased_at.value_or(0), longest)};
        leases.push_back(lease);
    }
    return leases;
}

std::vector<std::string> network_interfaces(const BootFiles& files) {
    std::vector<std::string> names = names_in(files.interfaces);
    std::erase(names, "lo");
    return names;
}

std::string network_problem(const std::vector<NetworkAnswer>& answers,
                            const std::vector<std::string>& interfaces, std::string_view ip_word) {
    if (!answers.empty()) return {};
    if (interfaces.empty())
        return "no network: this machine has no network interface; the driver may be missing in the "
               "initramfs "
               "(MODULES=most or its name in /etc/initramfs-tools/modules)";
    std::string names;
    for (const std::string& name : interfaces) names += (names.empty() ? "" : ", ") + printable(name);
    if (ip_word.empty() || ip_word == "dhcp" || ip_word == "on" || ip_word == "any" ||
        ip_word.ends_with(":dhcp"))
        return fmt::format(
            "no network: {} got no address from DHCP; see to the cable, the switch and the DHCP server, "
            "or give an address: ip=ADDRESS::GATEWAY:NETMASK::INTERFACE:off",
            names);
    return fmt::format(
        "no network: {} got no address with ip={}; correct it (ip=dhcp, or "
        "ip=ADDRESS::GATEWAY:NETMASK::INTERFACE:off)",
        names, printable(ip_word));
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

std::expected<void, std::string> write_resolver_configuration(const BootFiles& files,
                                                              const std::vector<NetworkAnswer>& answers) {
    const std::string text = resolver_configuration(answers);
    if (text.empty()) return {};
    if (const auto present = read_small_file(files.resolv_conf);
        present && present->find("nameserver") != present->npos)
        return {};
    return write_small_file(files.resolv_conf, O_TRUNC, text);
}

std::expected<void, std::string> hand_back(const BootFiles& files, const BootPlan& plan) {
    const std::string text = param_conf(plan);
    if (text.empty()) return {};
    return write_small_file(files.param_conf, O_APPEND, text);
}

}  // namespace holdfast::client
