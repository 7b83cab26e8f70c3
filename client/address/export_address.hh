// Where an export is: a server and a name on it, read from a word that a person wrote or that DHCP gave.
//
// Two families of words name an export: NBD URIs, and the classic forms that Debian's nbd-client and dracut
// document for the kernel command line. Both are read here, by one parser, so that `attach` and `boot` cannot
// disagree about a word. What each classic form means is written down once, in client/address/boot_forms.txt,
// which the man page shows and the unit test reads.
//
// Pure: no I/O, no name is resolved here. Every word may come from an attacker (DHCP): lengths and characters
// are checked, and messages quote a word only in printable form. Nothing here is for after the daemon's seal.
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
inline constexpr std::size_t longest_socket_path = 107;   // sun_path, less its NUL

struct ServerAddress {
    enum class Kind { tcp, unix_socket };

    Kind kind = Kind::tcp;
    std::string host;  // tcp: a host name or an address; IPv6 without brackets, zone as %IFACE
    std::uint16_t port = default_nbd_port;  // tcp
    bool port_given = false;                // tcp: the word named the port
    std::string socket_path;                // unix_socket: absolute
    std::string export_name;                // UTF-8; empty is the server's default export

    bool operator==(const ServerAddress&) const = default;
};

// The kernel's minor numbers have 20 bits, 5 of them for the partitions (drivers/block/nbd.c, max_part=16).
inline constexpr std::uint32_t most_devices = 32768;

// A whole disk nbdN, or a partition nbdNpM of it.
struct NbdDevice {
    std::uint32_t index = 0;
    std::uint32_t partition = 0;  // 0: the whole disk

    bool operator==(const NbdDevice&) const = default;
};

// What a word said, before it is known whether its user (attach, boot) can do all of that.
struct NamedExport {
    ServerAddress address;            // address.host is empty when server_from_dhcp
    bool all_from_dhcp = false;       // the word is empty or `dhcp`: everything is in the DHCP root-path
    bool server_from_dhcp = false;    // the word leaves the server to DHCP, and names the rest
    std::optional<NbdDevice> device;  // classic forms: `,nbd0`
    std::vector<std::string>
        options;            // classic forms: what follows the device; dracut's nbdopts. Not yet checked
    std::string fstype;     // dracut form
    std::string rootflags;  // dracut form
};

// Reads a word of either family. The error names the word, what is wrong with it, and the mend; it has no
// newline.
std::expected<NamedExport, std::string> parse_named_export(std::string_view word);

// The same for `attach` and `list`, with the word in the error: a URI or a classic form that names a server,
// and no device, options or DHCP. HOST alone is the server's default export.
std::expected<ServerAddress, std::string> parse_server_address(std::string_view word);

// An NBD URI alone (nbd:// or nbd+unix://). The error names it.
std::expected<ServerAddress, std::string> parse_uri(std::string_view uri);

// The URI that parse_uri() reads back as the same address.
std::string to_uri(const ServerAddress& address);

// nbd0, /dev/nbd0, nbd0p1, /dev/nbd0p1. Empty when the word is none of these.
std::optional<NbdDevice> parse_nbd_device(std::string_view word);

// "/dev/nbd0" or "/dev/nbd0p1".
std::string device_path(const NbdDevice& device);

}  // namespace holdfast::client
