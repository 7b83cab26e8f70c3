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

// mboot.c32 would hand what IPAPPEND adds to the last module, the initramfs.
std::string pxelinux_entry(const BootEntry& entry, const std::string& card) {
    if (!entry.xen)
        return fmt::format(
            "LABEL {0}\n    KERNEL {1}/vmlinuz\n    INITRD {1}/initrd.img\n    APPEND {2}\n    IPAPPEND 2\n",
            entry.label, entry.folder, entry.words);
    return fmt::format(
        "LABEL {0}\n    KERNEL mboot.c32\n    APPEND {1}/xen.gz{2} --- {1}/vmlinuz {3}{4} --- "
        "{1}/initrd.img\n",
        entry.label, entry.folder, entry.xen->empty() ? "" : " " + *entry.xen, entry.words,
        card.empty() ? "" : " BOOTIF=" + card);
}

// The first word of each image's line is omitted by Xen, or not: Debian's scripts, too, put this one there.
std::string grub_commands(const BootEntry& entry) {
    const std::string words = quoted_for_grub(entry.words);
    if (!entry.xen)
        return fmt::format(
            "    linux /{0}/vmlinuz{1} BOOTIF=01-$net_default_mac\n    initrd /{0}/initrd.img\n",
            entry.folder, words);
    return fmt::format(
        "    insmod multiboot2\n    multiboot2 /{0}/xen.gz placeholder{1}\n"
        "    module2 /{0}/vmlinuz placeholder{2} BOOTIF=01-$net_default_mac\n"
        "    module2 --nounzip /{0}/initrd.img\n",
        entry.folder, quoted_for_grub(*entry.xen), words);
}

std::string ipxe_commands(const BootEntry& entry, const std::string& otherwise) {
    return fmt::format(
        "kernel /{0}/vmlinuz {1} BOOTIF=01-${{netX/mac:hexhyp}} initrd=initrd.img{2}\n"
        "initrd /{0}/initrd.img{2}\nboot{2}\n",
        entry.folder, entry.words, otherwise);
}

// Debian's iPXE cannot unpack xen.gz, and that for UEFI knows no multiboot: the other loaders boot Xen by
// their own files for the machine. GRUB without shim, because GRUB refuses the modules for Xen under Secure
// Boot anyway, and shim refuses what an older iPXE gives it.
std::string ipxe_chain_for_xen(const std::string& next) {
    return "echo Xen boots by pxelinux or GRUB, which choose the kernel again\n"
           "iseq ${platform} pcbios && chain --autofree /pxelinux.0 && exit ||\n"
           "iseq ${platform} efi && chain --autofree /grubx64.efi && exit ||\n"
           "echo iPXE cannot boot Xen, and pxelinux.0 (BIOS) or grubx64.efi (UEFI) cannot be loaded. On the "
           "boot server: holdfast-netboot init --loaders bios,uefi,xen,ipxe\nsleep 10\n" +
           (next.empty() ? "exit" : next) + "\n";
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
    for (const BootEntry& entry : menu.entries) text += pxelinux_entry(entry, menu.card);
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
        text += fmt::format("menuentry '{0}: {1}' --id {0} {{\n{2}}}\n", entry.label, entry.title,
                            grub_commands(entry));
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
# On TFTP and HTTP, GRUB finds no file by "test -e". A file that is missing costs a line on the screen.
if [ -n "$uuid" ]; then
    configfile "$prefix/grub.cfg-$uuid"
fi
if [ -n "$mac" ]; then
    configfile "$prefix/grub.cfg-$mac"
fi
while [ -n "$name" ]; do
    configfile "$prefix/grub.cfg-$name"
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
    if (menu.entries.size() > 1 && menu.entries[1].label == "previous")
        text += "prompt --key p --timeout 3000 Press p for the previous kernel && goto previous ||\n";
    for (std::size_t at = 0; at < menu.entries.size(); ++at) {
        const BootEntry& entry = menu.entries[at];
        const std::string next = at + 1 < menu.entries.size() ? "goto " + menu.entries[at + 1].label : "";
        const std::string otherwise = next.empty() ? "" : " || " + next;
        text += fmt::format(":{}\nimgfree ||\n{}", entry.label,
                            entry.xen ? ipxe_chain_for_xen(next) : ipxe_commands(entry, otherwise));
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
