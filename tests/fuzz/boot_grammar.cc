// What a machine is told at boot: the kernel command line, NBDROOT and ROOT, ipconfig's answer with what DHCP
// put into it, and the configuration file. The initramfs's shell and its resolver read what comes out, so
// nothing of DHCP's may mean more to them than the value that it is.
#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "client/address/uri.hh"
#include "client/boot/boot_files.hh"
#include "client/boot/boot_plan.hh"
#include "client/boot/ipconfig.hh"
#include "client/boot/kernel_command_line.hh"
#include "tests/fuzz/input.hh"

using namespace holdfast::client;
using fuzz::check;

namespace {

void check_error(const BootError& error) {
    check(!error.message.empty(), "an error says something");
    check(fuzz::is_printable_line(error.message), "an error can be shown");
}

// Assignments as a shell reads them, each of a fixed word or of a quoted value: '...' and \' alone.
void check_shell_lines(std::string_view text) {
    constexpr std::array<std::string_view, 4> fixed{"readonly=y\n", "fastboot=y\n", "resume=\n",
                                                    "noresume=y\n"};
    while (!text.empty()) {
        const auto found = std::ranges::find_if(fixed, [&](auto line) { return text.starts_with(line); });
        if (found != fixed.end()) {
            text.remove_prefix(found->size());
            continue;
        }
        const std::size_t equals = text.find('=');
        const std::string_view key = text.substr(0, equals);
        check(key == "ROOT" || key == "ROOTFSTYPE" || key == "ROOTFLAGS", "only these are handed back");
        text.remove_prefix(key.size() + 1);
        while (!text.starts_with('\n')) {
            check(!text.empty(), "a line ends");
            if (text.starts_with("\\'")) {
                text.remove_prefix(2);
                continue;
            }
            check(text.starts_with('\''), "a value is quoted");
            const std::size_t end = text.find('\'', 1);
            check(end != std::string_view::npos, "a quote is closed");
            text.remove_prefix(end + 1);
        }
        text.remove_prefix(1);
    }
}

void check_resolver_lines(std::string_view text) {
    while (!text.empty()) {
        const std::string_view line = fuzz::take_line(text);
        check(line.starts_with("nameserver ") || line.starts_with("domain ") || line.starts_with("search "),
              "the resolver is told name servers and domains alone");
        check(fuzz::is_printable_line(line), "a line can be shown");
    }
}

void check_plan(const BootPlan& plan) {
    check(!plan.servers.empty(), "there is a server");
    for (auto server = plan.servers.begin(); server != plan.servers.end(); ++server) {
        check(std::find(plan.servers.begin(), server, *server) == server, "no two servers are alike");
        check(server->kind == ServerAddress::Kind::unix_socket || !server->host.empty(),
              "a server has a host");
        check(parse_uri(to_uri(*server)) == *server, "a server's URI names that server");
    }
    check(plan.patience.count() >= 30, "attaching is tried for half a minute");
    check(!plan.root.empty(), "there is a root");
    for (const std::string& warning : plan.warnings)
        check(fuzz::is_printable_line(warning), "a warning can be shown");
    check(fuzz::is_printable_line(describe(plan)), "a plan can be shown");
    check_shell_lines(param_conf(plan));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::string_view command_line = input.part();
    const std::string_view answer = input.part();
    const BootVariables variables{std::string(input.part()), std::string(input.part())};
    const auto config = read_config("client.conf", input.rest());

    std::vector<NetworkAnswer> answers;
    if (!answer.empty()) answers.push_back(parse_network_answer(answer));
    check_resolver_lines(resolver_configuration(answers));
    for (const KernelWord& word : split_command_line(command_line))
        if (word.key == "ip") {
            (void)leases_in(answers, word.value);
            check(fuzz::is_printable_line(network_problem({}, {"eth0"}, word.value)),
                  "a problem can be shown");
        }

    const auto request = read_boot_request(command_line, variables);
    if (!request) return check_error(request.error()), 0;
    if (!*request) return 0;
    check(!(*request)->servers.empty(), "a request has a word");
    const auto plan = make_boot_plan(**request, answers, config.value_or(Config{}));
    if (!plan) return check_error(plan.error()), 0;
    check_plan(*plan);
    return 0;
}
