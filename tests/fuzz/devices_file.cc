// The table of further devices: a mistake is its line's alone, and a line that is not refused can be used.
#include "client/address/uri.hh"
#include "client/config/device_table.hh"

#include "tests/fuzz/input.hh"

using namespace holdfast;
using namespace holdfast::client;
using fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const DeviceTable table = read_device_table("devices", fuzz::Input(data, size).rest());
    unsigned refused = 0;
    for (const DeviceLine& line : table.devices) {
        check(table.find(line.index) == &line, "a device has one line");
        check(line.servers.empty() == line.refused, "a line that is not refused names a server");
        for (const ServerAddress& server : line.servers)
            check(parse_uri(to_uri(server)) == server, "a server's URI names that server");
        check(fuzz::is_printable_line(describe(policy_of(line.choices))), "a policy can be shown");
        refused += line.refused ? 1 : 0;
    }
    check(table.errors.size() >= refused, "a refused line has an error");
    for (const auto* remarks : {&table.errors, &table.warnings})
        for (const Remark& remark : *remarks) {
            check(remark.position.line > 0, "a remark has its line");
            check(fuzz::is_printable_line(remark.text), "a remark can be shown");
        }
    return 0;
}
