// Words are checked before (kernel_words.hh): none has a quote, a dollar sign or a backslash.

#include "netboot/loader/loader_texts.hh"

#include <fmt/core.h>

#include "common/text/words.hh"

namespace holdfast::netboot {
namespace {

constexpr std::string_view unknown_machine =
    "No boot entry for this machine. On the boot server: holdfast-netboot add HOST --export NAME --mac "
    "ADDRESS";

// In single quotes GRUB changes nothing; without, it would expand patterns and take ; as the end of a
// command.
std::string quoted_for_grub(std::string_view words) {
    std::string text;
    for (const std::string_view word : words_of(words)) {
        const bool plain = word.find_first_of(";*?[](){}<>&|#!~^") == std::string_view::npos;
        text += plain ? fmt::format(" {}", word) : fmt::format(" '{}'", word);
    }
    return text;
}

std::string grub_serial(const SerialLine& serial) {
    return fmt::format(
        "if [ \"$grub_platform\" = pc ]; then\n"
        "    serial --unit={} --speed={}\n"
        "    terminal_input console serial\n"
        "    terminal_output console serial\n"
        "fi\n",
        serial.port, serial.speed);
}

// Octets as hexadecimal digits: GRUB's scripts cannot calculate, but can search a text.
std::string octet_table() {
    std::string table = ",";
    for (unsigned octet = 0; octet < 256; ++octet) table += fmt::format("{}={:02X},", octet, octet);
    return table;
}

}  // namespace

std::string pxelinux_text(const BootMenu& menu) {
    std::string text = remark_for(menu.owner);
    if (menu.serial) text += fmt::format("SERIAL {} {}\n", menu.serial->port, menu.serial->speed);
    if (menu.entries.empty())
        return text +
               fmt::format("SAY {}\nDEFAULT local\nPROMPT 1\nTIMEOUT 100\nLABEL local\n    LOCALBOOT 0\n",
                           unknown_machine);
    text += fmt::format("DEFAULT {}\n", menu.entries[0].label);
    for (const BootEntry& entry : menu.entries)
        if (menu.entries.size() > 1) text += fmt::format("SAY {}: {}\n", entry.label, entry.title);
    text += menu.entries.size() > 1 ? "PROMPT 1\nTIMEOUT 30\n" : "PROMPT 0\n";
    for (const BootEntry& entry : menu.entries)
        text += fmt::format(
            "LABEL {0}\n    KERNEL {1}/vmlinuz\n    INITRD {1}/initrd.img\n    APPEND {2}\n    IPAPPEND 2\n",
            entry.label, entry.folder, entry.words);
    return text;
}

std::string grub_text(const BootMenu& menu) {
    std::string text = remark_for(menu.owner);
    if (menu.serial) text += grub_serial(*menu.serial);
    if (menu.entries.empty())
        return text + fmt::format(
                          "echo \"{}\"\necho \"MAC address $net_default_mac, address $net_default_ip\"\n"
                          "sleep 10\nexit\n",
                          unknown_machine);
    text += fmt::format("set default=0\nset timeout={}\n", menu.entries.size() > 1 ? 3 : 0);
    if (menu.entries.size() > 1) text += "set fallback=1\n";
    for (const BootEntry& entry : menu.entries)
        text += fmt::format(
            "menuentry '{0}: {1}' --id {0} {{\n    linux /{2}/vmlinuz{3} BOOTIF=01-$net_default_mac\n"
            "    initrd /{2}/initrd.img\n}}\n",
            entry.label, entry.title, entry.folder, quoted_for_grub(entry.words));
    return text;
}

std::string grub_search_text() {
    return remark_for("the tree") + "set octets='" + octet_table() + R"('
smbios --type 1 --get-uuid 8 --set uuid
if regexp --set=1:a --set=2:b --set=3:c --set=4:d --set=5:e --set=6:f '^(..):(..):(..):(..):(..):(..)$' "$net_default_mac"; then
    set mac="01-$a-$b-$c-$d-$e-$f"
fi
if regexp --set=1:a --set=2:b --set=3:c --set=4:d '^([0-9]+)[.]([0-9]+)[.]([0-9]+)[.]([0-9]+)$' "$net_default_ip"; then
    regexp --set=1:a ",$a=(..)," "$octets"
    regexp --set=1:b ",$b=(..)," "$octets"
    regexp --set=1:c ",$c=(..)," "$octets"
    regexp --set=1:d ",$d=(..)," "$octets"
    set name="$a$b$c$d"
fi
if [ -n "$uuid" -a -e "$prefix/grub.cfg-$uuid" ]; then
    configfile "$prefix/grub.cfg-$uuid"
fi
if [ -n "$mac" -a -e "$prefix/grub.cfg-$mac" ]; then
    configfile "$prefix/grub.cfg-$mac"
fi
while [ -n "$name" ]; do
    if [ -e "$prefix/grub.cfg-$name" ]; then
        configfile "$prefix/grub.cfg-$name"
    fi
    regexp --set=1:name '^(.*).$' "$name"
done
configfile "$prefix/default.cfg"
)";
}

std::string ipxe_text(const BootMenu& menu) {
    std::string text = "#!ipxe\n" + remark_for(menu.owner);
    if (menu.entries.empty())
        return text +
               fmt::format("echo {}\necho MAC address ${{netX/mac}}, address ${{netX/ip}}\nsleep 10\nexit\n",
                           unknown_machine);
    if (menu.entries.size() > 1)
        text += "prompt --key p --timeout 3000 Press p for the previous kernel && goto previous ||\n";
    for (std::size_t at = 0; at < menu.entries.size(); ++at) {
        const BootEntry& entry = menu.entries[at];
        const std::string otherwise =
            at + 1 < menu.entries.size() ? " || goto " + menu.entries[at + 1].label : "";
        text += fmt::format(
            ":{0}\nimgfree ||\n"
            "kernel /{1}/vmlinuz {2} BOOTIF=01-${{netX/mac:hexhyp}} initrd=initrd.img{3}\n"
            "initrd /{1}/initrd.img{3}\nboot{3}\n",
            entry.label, entry.folder, entry.words, otherwise);
    }
    return text;
}

std::string ipxe_search_text() {
    return "#!ipxe\n" + remark_for("the tree") +
           "chain --autofree ipxe/${uuid}.ipxe ||\n"
           "chain --autofree ipxe/01-${netX/mac:hexhyp}.ipxe ||\n"
           "chain --autofree ipxe/${netX/ip:hexraw}.ipxe ||\n"
           "chain --autofree ipxe/default.ipxe\n";
}

}  // namespace holdfast::netboot
