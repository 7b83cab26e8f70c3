// A word that names an export, from a person, the kernel command line or DHCP: the address is bounded and is
// read again from its URI, and what is said about a wrong word can be shown.
#include "client/address/export_address.hh"
#include "client/address/nbd_device.hh"
#include "client/address/uri.hh"

#include "common/text/printable.hh"
#include "tests/fuzz/input.hh"

using namespace holdfast::client;
using fuzz::check;
using holdfast::printable;

namespace {

void check_address(const ServerAddress& address) {
    check(address.export_name.size() <= longest_export_name, "a name is bounded");
    if (address.kind == ServerAddress::Kind::unix_socket) {
        check(address.socket_path.starts_with('/') && address.socket_path.size() <= longest_socket_path,
              "a socket's path can be used");
    } else {
        check(address.port != 0, "a port can be connected to");
        check(address.host.find('\0') == std::string::npos, "a host has no NUL");
    }
}

void check_usable(const ServerAddress& address) {
    check_address(address);
    check(address.kind == ServerAddress::Kind::unix_socket || !address.host.empty(), "a server has a host");
    const std::string uri = to_uri(address);
    check(fuzz::is_printable_line(uri), "a URI can be shown");
    check(parse_uri(uri) == address, "an address is read again from its URI");
}

void check_error(const std::string& error) {
    check(!error.empty(), "an error says something");
    check(fuzz::is_printable_line(error), "an error can be shown");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view word = fuzz::Input(data, size).rest();
    if (const auto named = parse_named_export(word); !named)
        check_error(named.error());
    else if (named->all_from_dhcp || named->server_from_dhcp)
        check_address(named->address);
    else
        check_usable(named->address);
    for (const auto& read : {parse_server_address(word), parse_uri(word)})
        if (!read)
            check_error(read.error());
        else
            check_usable(*read);
    if (const auto device = parse_nbd_device(word))
        check(parse_nbd_device(device_path(*device)) == device, "a device is read again from its path");
    check(fuzz::is_printable_line(printable(word)), "any word can be shown");
    return 0;
}
