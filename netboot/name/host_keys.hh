// Names of hosts, and the three keys by which loaders find the file of a machine: UUID, MAC address, IPv4
// address. Each is read once into its canonical form, which all other code relies on. Pure.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::netboot {

template <class T>
using Read = std::expected<T, std::string>;  // the error is a line without the program's name

// Letters, digits, hyphens and dots (RFC 1123), at most 63 characters; also the name of a folder.
[[nodiscard]] Read<std::string> read_host_name(std::string_view word);

// Six bytes, with colons, hyphens or nothing between them. Returns "52:54:00:12:34:56", in lower case.
// Refuses addresses that no card has.
[[nodiscard]] Read<std::string> read_mac(std::string_view word);

// The UUID as dmidecode(8) shows it. Returns lower case. Refuses values that
// many mainboards share.
[[nodiscard]] Read<std::string> read_uuid(std::string_view word);

// True for a UUID of any value in lower case: states of older versions have values that read_uuid() refuses.
[[nodiscard]] bool is_stored_uuid(std::string_view word);

// "192.0.2.5", or a network "192.0.2.0/28", whose length is a multiple of 4: loaders drop hexadecimal digits
// one by one. Returns the same, without leading zeros; "/32" is omitted.
[[nodiscard]] Read<std::string> read_ip(std::string_view word);

// Canonical keys of a machine or a host.
struct Keys {
    std::string uuid;  // empty: none
    std::vector<std::string> macs;
    std::vector<std::string> ips;

    [[nodiscard]] bool empty() const { return uuid.empty() && macs.empty() && ips.empty(); }
    bool operator==(const Keys&) const = default;
};

// The UUID with its bytes in the order of SMBIOS, in which the first three numbers have their last byte
// first. So pxelinux writes the UUID of the firmware (seen with pxelinux 6.04 and QEMU); dmidecode(8), GRUB
// and iPXE turn these numbers.
[[nodiscard]] std::string uuid_in_smbios_order(std::string_view uuid);

// "01-52-54-00-12-34-56": the hardware type of Ethernet, and the address.
[[nodiscard]] std::string file_name_of_mac(std::string_view mac);
// "C0000205"; of a network its common digits, "C000020".
[[nodiscard]] std::string file_name_of_ip(std::string_view ip);
// The names of the files for these keys, in the order in which pxelinux and GRUB try them; a UUID has two.
[[nodiscard]] std::vector<std::string> file_names_of(const Keys& keys);
// The names that a loader tries for a machine with these keys: those above, and each shorter prefix of the
// addresses.
[[nodiscard]] std::vector<std::string> names_tried_for(const Keys& keys);

}  // namespace holdfast::netboot
