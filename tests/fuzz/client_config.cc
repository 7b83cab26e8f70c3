// The client's configuration file: a configuration, or lines that name every mistake.
#include "client/address/uri.hh"
#include "client/config/config.hh"

#include <set>

#include "tests/fuzz/input.hh"

using namespace holdfast::client;
using fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto config = read_config("client.conf", fuzz::Input(data, size).rest());
    if (!config) {
        check(!config.error().empty(), "no configuration without a mistake");
        for (const std::string& mistake : config.error()) {
            check(mistake.starts_with("client.conf"), "a mistake has its place");
            check(fuzz::is_printable_line(mistake), "a mistake can be shown");
        }
        return 0;
    }
    std::set<std::uint32_t> indices;
    for (const DeviceSection& device : config->devices) {
        check(indices.insert(device.index).second, "a device has one section");
        check(config->servers_of(device.index) == device.servers, "a device has the servers of its section");
        for (const ServerAddress& server : device.servers)
            check(parse_uri(to_uri(server)) == server, "a server's URI names that server");
    }
    const Policy policy = policy_of(config->choices_for(0));
    check(policy.dead_after.count() >= 3 && policy.connections >= 1, "what is chosen is within its bounds");
    check(fuzz::is_printable_line(describe(policy)), "a policy can be shown");
    return 0;
}
