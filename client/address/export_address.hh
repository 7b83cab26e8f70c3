// Parses the address of an export (server and export name) from a word written by a person or received by
// DHCP.
//
// Two families of words name an export: NBD URIs, and the classic forms that Debian's nbd-client and dracut
// document for the kernel command line. A single parser reads both, so that `attach` and `boot` agree on
// every word. The meaning of each classic form is defined once, in client/address/boot_forms.txt, which the
// man page shows and the unit test reads.
//
// Pure: no I/O, no name resolution. Every word may come from an attacker (DHCP): lengths and characters are
// checked, and messages quote a word only in printable form. Use only before the daemon's seal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::client {

inline constexpr std::uint16_t default_nbd_port = 10809;
inline constexpr std::size_t longest_export_name = 4096;  // "Values", NBD protocol
inline constexpr std::size_t longest_socket_path = 107;   // sun_path without its NUL

struct ServerAddress {
    enum class Kind { tcp, unix_socket };

    Kind kind = Kind::tcp;
    std::string host;  // tcp: host name or address; IPv6 without brackets, zone as %IFACE
    std::uint16_t port = default_nbd_port;  // tcp
    bool port_given = false;                // tcp: the word includes the port
    std::string socket_path;                // unix_socket: absolute
    std::string export_name;                // UTF-8; empty: the server's default export

    bool operator==(const ServerAddress&) const = default;
};

// Number of devices: the kernel's minor numbers have 20 bits, 5 of them for partitions (drivers/block/nbd.c,
// max_part=16).
inline constexpr std::uint32_t most_devices = 32768;

// A whole disk nbdN, or its partition nbdNpM.
struct NbdDevice {
    std::uint32_t index = 0;
    std::uint32_t partition = 0;  // 0: the whole disk

    bool operator==(const NbdDevice&) const = default;
};

// Parsed word, before checking whether its user (attach, boot) supports every field.
struct NamedExport {
    ServerAddress address;            // address.host is empty when server_from_dhcp
    bool all_from_dhcp = false;       // the word is empty or `dhcp`: the DHCP root-path has everything
    bool server_from_dhcp = false;    // DHCP supplies the server; the word supplies the rest
    std::optional<NbdDevice> device;  // classic forms: `,nbd0`
    std::vector<std::string>
        options;            // classic forms: fields after the device; dracut's nbdopts. Not yet checked
    std::string fstype;     // dracut form
    std::string rootflags;  // dracut form
};

// Parses a word of either family. The error names the word, the fault and the fix, without a newline.
std::expected<NamedExport, std::string> parse_named_export(std::string_view word);

// Parses a word for `attach` and `list`: a URI or a classic form that names a server, without device, options
// or DHCP. HOST alone means the server's default export. The error includes the word.
std::expected<ServerAddress, std::string> parse_server_address(std::string_view word);

// Parses an NBD URI only (nbd:// or nbd+unix://). The error includes the URI.
std::expected<ServerAddress, std::string> parse_uri(std::string_view uri);

// Returns a URI that parse_uri() parses to the same address.
std::string to_uri(const ServerAddress& address);

// Parses nbd0, /dev/nbd0, nbd0p1, /dev/nbd0p1. Returns nullopt for any other word.
std::optional<NbdDevice> parse_nbd_device(std::string_view word);

// Returns "/dev/nbd0" or "/dev/nbd0p1".
std::string device_path(const NbdDevice& device);

}  // namespace holdfast::client
