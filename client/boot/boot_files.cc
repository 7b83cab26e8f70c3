// Small files read and written whole.

#include "client/boot/boot_files.hh"

#include "client/boot/kernel_command_line.hh"
#include "common/linux/fd.hh"
#include "common/linux/folder.hh"
#include "common/linux/result.hh"
#include "common/linux/text_file.hh"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include <fmt/core.h>

namespace holdfast::client {

namespace {

constexpr std::size_t largest_file = std::size_t{64} * 1024;

std::unexpected<std::string> failed(const std::string& path, const SysError& error) {
    return std::unexpected{fmt::format("{}: {}", path, error.message())};
}

std::expected<std::string, std::string> read_small_file(const std::string& path) {
    const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file) return failed(path, sys_error("open").error());
    auto text = read_to_end(file.get(), largest_file);
    if (text) return *std::move(text);
    if (text.error().code != EFBIG) return failed(path, text.error());
    return std::unexpected{
        fmt::format("{}: larger than {} bytes, which is not expected", path, largest_file)};
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

std::string text_of(const std::string& path) { return read_small_file(path).value_or(""); }

std::vector<NetworkAnswer> read_ipconfig_answers(const BootFiles& files) {
    std::vector<NetworkAnswer> answers;
    for (const std::string& name : names_in(files.run)) {
        const bool ours = name.starts_with("net-") || name.starts_with("net6-");
        if (!ours || !name.ends_with(".conf")) continue;
        NetworkAnswer answer = parse_network_answer(text_of(files.run + "/" + name));
        if (answer.interface.empty())
            answer.interface = name.substr(name.find('-') + 1, name.rfind('.') - name.find('-') - 1);
        answers.push_back(std::move(answer));
    }
    return answers;
}

// Reads the facts of an interface, from the lease and, for a name server that is not from DHCP, from the
// link.
NetworkAnswer read_networkd_answer(const BootFiles& files, const std::string& interface) {
    std::string index = text_of(fmt::format("{}/{}/ifindex", files.interfaces, interface));
    while (index.ends_with('\n')) index.pop_back();
    const std::string lease = text_of(fmt::format("{}/systemd/netif/leases/{}", files.run, index));
    NetworkAnswer answer = parse_network_answer(lease, DhcpSoftware::networkd);
    answer.from_dhcp = !lease.empty();
    if (answer.name_servers.empty()) {
        const std::string link = text_of(fmt::format("{}/systemd/netif/links/{}", files.run, index));
        answer.name_servers = parse_network_answer(link, DhcpSoftware::networkd).name_servers;
    }
    answer.interface = interface;
    return answer;
}

// Fills in the address of each interface without one: static, or from a client that leaves no file.
void add_configured_addresses(std::vector<NetworkAnswer>& answers) {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return;
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
        const auto answer = std::ranges::find(answers, entry->ifa_name, &NetworkAnswer::interface);
        if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET || answer == answers.end() ||
            !answer->address.empty())
            continue;
        std::array<char, INET_ADDRSTRLEN> text{};
        const void* const bytes = &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr;
        if (::inet_ntop(AF_INET, bytes, text.data(), text.size()) != nullptr) answer->address = text.data();
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

BootVariables read_boot_variables(const BootFiles& files) {
    const auto value_of = [](const char* name) {
        const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
        return std::string{value ? value : ""};
    };
    const std::string max_part = read_small_file(files.max_part).value_or("");
    return {.nbdroot = value_of("NBDROOT"),
            .root = value_of("ROOT"),
            .max_part = max_part.substr(0, max_part.find('\n')),
            .resume = value_of("resume")};
}

std::vector<NetworkAnswer> read_network_answers(const BootFiles& files) {
    std::vector<NetworkAnswer> answers = read_ipconfig_answers(files);
    // Outside an initramfs, other users may write to /tmp, and the leases have an owner.
    if (in_initramfs(files)) add_dracut_answers(files, answers);
    std::erase_if(answers, [](const NetworkAnswer& answer) { return answer.address.empty(); });
    return answers;
}

void add_dracut_answers(const BootFiles& files, std::vector<NetworkAnswer>& answers) {
    // An answer of IPv6 may be the boot's own, from a router: net6-IFACE.conf.
    const auto is_of_ipconfig = [](const NetworkAnswer& answer) {
        return !answer.address.empty() && answer.address.find(':') == std::string::npos;
    };
    if (std::ranges::any_of(answers, is_of_ipconfig)) return;
    auto others = read_dracut_answers(files);
    add_configured_addresses(others);
    answers.insert(answers.end(), std::move_iterator(others.begin()), std::move_iterator(others.end()));
}

std::vector<NetworkAnswer> read_dracut_answers(const BootFiles& files) {
    std::vector<NetworkAnswer> answers;
    for (const std::string& name : network_interfaces(files)) {
        NetworkAnswer answer = read_networkd_answer(files, name);
        const std::string text = text_of(fmt::format("{}/dhclient.{}.dhcpopts", files.tmp, name));
        // With networkd, dracut writes a part of the facts there, without the address.
        if (NetworkAnswer other = parse_network_answer(text, DhcpSoftware::dhclient);
            !other.address.empty()) {
            answer = std::move(other);
            answer.interface = name;
        }
        answers.push_back(std::move(answer));
    }
    return answers;
}

std::string ip_word(const BootFiles& files) {
    std::string value;
    for (KernelWord& word : split_command_line(read_command_line(files).value_or("")))
        if (word.key == "ip") value = std::move(word.value);
    return value;
}

std::vector<std::string> network_interfaces(const BootFiles& files) {
    std::vector<std::string> names = names_in(files.interfaces);
    std::erase_if(names, [](const std::string& name) { return name == "lo" || name == "bonding_masters"; });
    return names;
}

bool names_resolver(const BootFiles& files) {
    return text_of(files.resolv_conf).find("nameserver") != std::string::npos;
}

std::expected<void, std::string> write_resolver_configuration(const BootFiles& files,
                                                              const std::vector<NetworkAnswer>& answers) {
    const std::string text = resolver_configuration(answers);
    if (text.empty() || names_resolver(files)) return {};
    return write_small_file(files.resolv_conf, O_TRUNC, text);
}

std::expected<void, std::string> hand_back(const BootFiles& files, const BootPlan& plan) {
    const std::string text = param_conf(plan);
    if (text.empty()) return {};
    return write_small_file(files.param_conf, O_APPEND, text);
}

}  // namespace holdfast::client
