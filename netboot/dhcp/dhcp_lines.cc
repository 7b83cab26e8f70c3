// Architectures of option 93: 0 BIOS, 7 and 9 UEFI on x86-64 (both numbers are in use), 16 UEFI HTTP boot.

#include "netboot/dhcp/dhcp_lines.hh"

#include <fmt/core.h>

namespace holdfast::netboot {
namespace {

std::string no_http(const DhcpFacts& facts) {
    return fmt::format("UEFI HTTP boot: the GRUB of this tree cannot read HTTP; `{}` adds iPXE.\n",
                       facts.command_for_ipxe);
}

// The lines, with the URL of the loader in the place of {}; or a remark.
std::string http_lines(const DhcpFacts& facts, std::string_view remark, std::string_view lines) {
    if (facts.http_loader.empty()) return fmt::format("{} {}", remark, no_http(facts));
    return fmt::format(fmt::runtime(lines), facts.http + "/" + facts.http_loader);
}

std::string dnsmasq_lines(const DhcpFacts& facts) {
    std::string text = fmt::format(
        "# Network boot from {0}, by holdfast-netboot. As /etc/dnsmasq.d/netboot.conf; {1}\n"
        "enable-tftp\n"
        "tftp-root={0}\n"
        "dhcp-match=set:bios,option:client-arch,0\n"
        "dhcp-match=set:efi64,option:client-arch,7\n"
        "dhcp-match=set:efi64,option:client-arch,9\n"
        "dhcp-match=set:http64,option:client-arch,16\n"
        "dhcp-match=set:ipxe,175\n",
        facts.folder,
        facts.proxy.empty() ? "add dhcp-range=FIRST,LAST for addresses." : "another server gives addresses.");
    if (!facts.proxy.empty())
        return text + fmt::format(
                          "port=0\n"
                          "dhcp-range={0},proxy\n"
                          "dhcp-boot=tag:ipxe,boot.ipxe,,{1}\n"
                          "pxe-service=tag:!ipxe,x86PC,\"Holdfast\",pxelinux.0\n"
                          "pxe-service=tag:!ipxe,x86-64_EFI,\"Holdfast\",shimx64.efi\n"
                          "pxe-service=tag:!ipxe,BC_EFI,\"Holdfast\",shimx64.efi\n",
                          facts.proxy, facts.address);
    return text + fmt::format(
                      "dhcp-boot=tag:ipxe,boot.ipxe\n"
                      "dhcp-boot=tag:!ipxe,tag:bios,pxelinux.0\n"
                      "dhcp-boot=tag:!ipxe,tag:efi64,shimx64.efi\n{}",
                      http_lines(facts, "#",
                                 "dhcp-option-force=tag:http64,60,HTTPClient\n"
                                 "dhcp-boot=tag:!ipxe,tag:http64,{}\n"));
}

std::string isc_lines(const DhcpFacts& facts) {
    return fmt::format(R"(# Network boot from {0}, by holdfast-netboot. Include it in dhcpd.conf.
option architecture code 93 = unsigned integer 16;
class "holdfast-netboot" {{
    match if substring(option vendor-class-identifier, 0, 9) = "PXEClient"
          or substring(option vendor-class-identifier, 0, 10) = "HTTPClient";
    next-server {1};
    if exists user-class and option user-class = "iPXE" {{
        filename "boot.ipxe";
    }} elsif option architecture = 7 or option architecture = 9 {{
        filename "shimx64.efi";
    }} elsif option architecture = 0 {{
        filename "pxelinux.0";
    }}{2}}}
)",
                       facts.folder, facts.address,
                       http_lines(facts, "\n    #",
                                  " elsif option architecture = 16 {{\n"
                                  "        option vendor-class-identifier \"HTTPClient\";\n"
                                  "        filename \"{}\";\n    }}\n"));
}

std::string kea_class(std::string_view name, std::string_view test, std::string_view address,
                      std::string_view file) {
    return fmt::format(R"(    {{ "name": "{}", "test": "{}",
      "next-server": "{}", "boot-file-name": "{}")",
                       name, test, address, file);
}

// Class for UEFI HTTP boot, after the other classes; or a remark.
std::string kea_http_class(const DhcpFacts& facts) {
    if (facts.http_loader.empty()) return fmt::format("\n// {}", no_http(facts));
    return ",\n" +
           kea_class("netboot-http64", "not member('netboot-ipxe') and option[93].hex == 0x0010",
                     facts.address, facts.http + "/" + facts.http_loader) +
           ",\n      \"option-data\": [ { \"name\": \"vendor-class-identifier\", \"data\": \"HTTPClient\" } "
           "] }\n";
}

std::string kea_lines(const DhcpFacts& facts) {
    constexpr std::string_view other = "not member('netboot-ipxe') and ";
    const auto arch = [&](std::string_view codes) { return std::string(other) + std::string(codes); };
    return "// Network boot from " + facts.folder + ", by holdfast-netboot. A member of \"Dhcp4\".\n" +
           "\"client-classes\": [\n" +
           kea_class("netboot-ipxe", "option[77].exists and option[77].hex == 'iPXE'", facts.address,
                     "boot.ipxe") +
           " },\n" +
           kea_class("netboot-bios", arch("option[93].hex == 0x0000"), facts.address, "pxelinux.0") +
           " },\n" +
           kea_class("netboot-efi64", arch("(option[93].hex == 0x0007 or option[93].hex == 0x0009)"),
                     facts.address, "shimx64.efi") +
           " }" + kea_http_class(facts) + "]\n";
}

}  // namespace

std::optional<DhcpServer> dhcp_server_of(std::string_view word) {
    if (word == "dnsmasq") return DhcpServer::dnsmasq;
    if (word == "isc") return DhcpServer::isc;
    if (word == "kea") return DhcpServer::kea;
    return std::nullopt;
}

std::string dhcp_lines(DhcpServer server, const DhcpFacts& facts) {
    switch (server) {
        case DhcpServer::dnsmasq: return dnsmasq_lines(facts);
        case DhcpServer::isc: return isc_lines(facts);
        case DhcpServer::kea: return kea_lines(facts);
    }
    return {};
}

}  // namespace holdfast::netboot
