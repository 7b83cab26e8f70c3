// The command line, and the texts for the loaders.
#include <doctest/doctest.h>

#include <cctype>
#include <utility>

#include "netboot/loader/kernel_image.hh"
#include "netboot/loader/kernel_words.hh"
#include "netboot/loader/loader_texts.hh"

using namespace holdfast::netboot;

namespace {

BootMenu menu_of_two() {
    return {"the host ws0",
            {{"current", "ws0, Linux 6.1", "hosts/ws0/2", "root=/dev/nbd0 ip=dhcp a;b"},
             {"previous", "ws0, Linux 6.0", "hosts/ws0/1", "root=/dev/nbd0 ip=dhcp a;b"}},
            SerialLine{0, 9600}};
}

// Bytes like the start of a kernel of this release.
std::string kernel_of(const std::string& version) {
    std::string bytes(0x400, '\0');
    bytes.replace(0x202, 4, "HdrS");
    bytes[0x20e] = '\0';
    bytes[0x20f] = '\x01';  // 0x100 + 0x200
    bytes.replace(0x300, version.size(), version);
    return bytes;
}

}  // namespace

TEST_CASE("the command line of a host names its disk by a URI") {
    CHECK(command_line_of({"/dev/nbd0", "192.0.2.1", "ws0", {}, ""}) ==
          "root=/dev/nbd0 nbdroot=nbd://192.0.2.1/ws0 ip=dhcp");
    CHECK(
        command_line_of({"/dev/vg/root", "[2001:db8::1]:10810", "a b,c/2024", {"tty0", "ttyS0"}, "quiet"}) ==
        "root=/dev/vg/root nbdroot=nbd://[2001:db8::1]:10810/a%20b%2Cc/2024 ip=dhcp console=tty0 "
        "console=ttyS0 quiet");
    CHECK(command_line_of({"/dev/nbd0", "s", "e", {}, "ip=192.0.2.7::192.0.2.1:255.255.255.0::eth0:off"}) ==
          "root=/dev/nbd0 nbdroot=nbd://s/e ip=192.0.2.7::192.0.2.1:255.255.255.0::eth0:off");
}

TEST_CASE("the disk of several machines is read-only, with changes in memory") {
    const auto line_of = [](const std::string& append) {
        return command_line_of({"/dev/nbd0", "s", "e", {}, append, true});
    };
    CHECK(line_of("") == "root=/dev/nbd0 nbdroot=nbd://s/e ip=dhcp ro holdfast.overlay=RAM");
    CHECK(line_of("quiet").ends_with(" ro holdfast.overlay=RAM quiet"));
    CHECK(line_of("holdfast.overlay=RAM,size=1g").ends_with(" ro holdfast.overlay=RAM,size=1g"));
    CHECK(line_of("holdfast.toram").ends_with(" ro holdfast.toram"));
    CHECK(line_of("holdfast.toram=yes").ends_with(" ro holdfast.toram=yes"));
    CHECK(line_of("holdfast.toram=no").ends_with(" ro holdfast.overlay=RAM holdfast.toram=no"));
}

TEST_CASE("words that a loader would change or take as a command are refused") {
    CHECK(read_append("  quiet   loglevel=3 ") == "quiet loglevel=3");
    CHECK(read_append("") == "");
    CHECK(read_append("a --- b") == "a --- b");
    for (const char* words :
         {"a\nb", "a='b'", "a=\"b\"", "a=$b", "a\\", "`a`", "{", "a=\x01", "||", "&&", "#", "#a",
          "root=/dev/sda", "nbdroot=x", "BOOTIF=01-", "initrd=x", "BOOT_IMAGE=x", "a\xc2\xa0 ", "\xc3\xa4"})
        CHECK_MESSAGE(!read_append(words), words);
    CHECK(read_append("quiet\nLABEL evil").error().contains("line break"));
}

namespace {

// Rest of the line that begins with `start`, up to `end`.
std::string between(const std::string& text, std::string_view start, std::string_view end) {
    const std::size_t at = text.find(start) + start.size();
    return text.substr(at, text.find(end, at) - at);
}

// Words that GRUB makes of a part of its script; "?" for a word that its lexer would not take as plain text.
std::string words_of_grub(std::string_view script) {
    std::string words;
    bool quoted = false;
    for (const char c : script) {
        const bool plain = std::string_view("._-+,:=/@% ").contains(c) || std::isalnum(c) != 0;
        if (c == '\'')
            quoted = !quoted;
        else
            words += quoted || plain ? c : '?';
    }
    return words;
}

std::string words_of_pxelinux(const std::string& words) {
    return between(pxelinux_text({"x", {{"current", "t", "f", words}}, {}}), "APPEND ", "\n");
}

std::string words_of_ipxe(const std::string& words) {
    const std::string line = between(ipxe_text({"x", {{"current", "t", "f", words}}, {}}), "vmlinuz ", "\n");
    // Comments, ends of commands, and variables.
    for (const char* special : {" #", " || ", " && ", " ; "})
        if (line.contains(special)) return "?";
    return line.substr(0, line.find(" BOOTIF=01-${netX/mac:hexhyp} initrd=initrd.img"));
}

}  // namespace

TEST_CASE("each loader hands on every word that is accepted") {
    unsigned accepted = 0;
    for (char c = 0x21; c < 0x7f; ++c)
        for (const std::string& word : {std::string("a") + c + "b", c + std::string("ab"),
                                        std::string("ab") + c, std::string(2, c) + "=a", std::string(2, c)}) {
            const auto read = read_append(word);
            if (!read) continue;
            ++accepted;
            const std::string words = "root=/dev/nbd0 " + *read;
            CHECK_MESSAGE(words_of_pxelinux(words) == words, word);
            CHECK_MESSAGE(words_of_grub(between(grub_text({"x", {{"current", "t", "f", words}}, {}}),
                                                "vmlinuz ", " BOOTIF=")) == words,
                          word);
            CHECK_MESSAGE(words_of_ipxe(words) == words, word);
        }
    CHECK(accepted > 300);
}

TEST_CASE(
    "the name of an export with blanks and special characters is escaped, and refused where it is lost") {
    CHECK(command_line_of({"/dev/nbd0", "s", "a b#$'\"\\%{\xc3\xa4", {}, ""}) ==
          "root=/dev/nbd0 nbdroot=nbd://s/a%20b%23%24%27%22%5C%25%7B%C3%A4 ip=dhcp");
    for (const char* name : {" a", "a ", " ", "\ta"}) CHECK_MESSAGE(!read_export(name), name);
    CHECK(read_export("a ").error().contains("begins or ends with a blank"));
    CHECK(read_export("a b") == "a b");
}

TEST_CASE("consoles, servers and devices are checked") {
    CHECK(read_console("ttyS0") == "ttyS0");
    CHECK(read_console("/dev/ttyS1,9600n8") == "ttyS1,9600n8");
    CHECK(!read_console("tty S0"));
    CHECK(!read_console(""));
    CHECK(serial_line_of("ttyS1,9600n8")->port == 1);
    CHECK(serial_line_of("ttyS1,9600n8")->speed == 9600);
    CHECK(serial_line_of("ttyS0")->speed == 115200);
    CHECK(!serial_line_of("tty0"));
    CHECK(!serial_line_of("ttySx"));
    CHECK(read_server("192.0.2.1:10810") == "192.0.2.1:10810");
    CHECK(read_server("2001:db8::1") == "[2001:db8::1]");
    CHECK(read_server("files.example.org") == "files.example.org");
    CHECK(read_server("[fe80::1%eth0]:10810") == "[fe80::1%eth0]:10810");
    CHECK(command_line_of({"/dev/nbd0", "[fe80::1%eth0]", "e", {}, ""})
              .contains("nbdroot=nbd://[fe80::1%25eth0]/e "));
    for (const char* word : {"", "a b", "a/b", "a,b", ":1", "a\n", "a:", "a:0", "a:65536", "a:x", "[::1",
                             "[::1]x", "[::1]:", "[x]", "a%b", "-a", "[]"})
        CHECK_MESSAGE(!read_server(word), word);
    CHECK(read_export("a b") == "a b");
    CHECK(!read_export(""));
    CHECK(!read_export("a\nb"));
    CHECK(read_root("UUID=0a-1") == "UUID=0a-1");
    CHECK(!read_root("/dev/nbd0 quiet"));
}

TEST_CASE("pxelinux gets both kernels, and a prompt to choose the older") {
    CHECK(pxelinux_text(menu_of_two()) ==
          "# Written by holdfast-netboot for the host ws0. Changes by hand are noticed and kept; see "
          "holdfast-netboot(8).\n"
          "SERIAL 0 9600\nDEFAULT current\nSAY current: ws0, Linux 6.1\nSAY previous: ws0, Linux 6.0\n"
          "PROMPT 1\nTIMEOUT 30\n"
          "LABEL current\n    KERNEL hosts/ws0/2/vmlinuz\n    INITRD hosts/ws0/2/initrd.img\n"
          "    APPEND root=/dev/nbd0 ip=dhcp a;b\n    IPAPPEND 2\n"
          "LABEL previous\n    KERNEL hosts/ws0/1/vmlinuz\n    INITRD hosts/ws0/1/initrd.img\n"
          "    APPEND root=/dev/nbd0 ip=dhcp a;b\n    IPAPPEND 2\n");
    BootMenu menu = menu_of_two();
    menu.entries.pop_back();
    CHECK(pxelinux_text(menu).contains("PROMPT 0\n"));
    CHECK(pxelinux_text({"x", {}, {}}).contains("LOCALBOOT 0"));
}

TEST_CASE("GRUB gets a fallback, and words with its special characters in quotes") {
    const std::string text = grub_text(menu_of_two());
    CHECK(text.contains("set fallback=1\n"));
    CHECK(text.contains(
        "    linux /hosts/ws0/2/vmlinuz root=/dev/nbd0 ip=dhcp 'a;b' BOOTIF=01-$net_default_mac\n"
        "    initrd /hosts/ws0/2/initrd.img\n"));
    CHECK(text.contains("serial --unit=0 --speed=9600\n"));
    CHECK(grub_text({"x", {}, {}}).contains("exit\n"));
    CHECK(grub_search_text().contains(",9=09,10=0A,"));
    CHECK_FALSE(grub_search_text().contains(" -e \"$prefix"));  // is false for every file of a network
    CHECK(grub_search_text().contains(",255=FF,'"));
}

TEST_CASE("iPXE goes on with the previous kernel if the current one cannot be loaded") {
    const std::string text = ipxe_text(menu_of_two());
    CHECK(text.starts_with("#!ipxe\n"));
    CHECK(
        text.contains("kernel /hosts/ws0/2/vmlinuz root=/dev/nbd0 ip=dhcp a;b BOOTIF=01-${netX/mac:hexhyp} "
                      "initrd=initrd.img || goto previous\n"));
    CHECK(text.contains(":previous\n"));
    CHECK(text.ends_with("initrd /hosts/ws0/1/initrd.img\nboot\n"));
    CHECK(ipxe_search_text().contains("ipxe/${netX/ip:hexraw}.ipxe ||\n"));
}

TEST_CASE("Xen gets its images from each loader, and its kernel the card from which it boots") {
    const BootMenu menu{"the host ws0",
                        {{"current", "ws0, Xen", "hosts/ws0/2", "root=/dev/nbd0 a;b", "dom0_mem=1G,max:1G"},
                         {"previous", "ws0", "hosts/ws0/1", "root=/dev/nbd0", ""}},
                        {},
                        "01-52-54-00-00-00-01"};
    CHECK(pxelinux_text(menu).contains(
        "LABEL current\n    KERNEL mboot.c32\n    APPEND hosts/ws0/2/xen.gz dom0_mem=1G,max:1G --- "
        "hosts/ws0/2/vmlinuz root=/dev/nbd0 a;b BOOTIF=01-52-54-00-00-00-01 --- hosts/ws0/2/initrd.img\n"));
    CHECK(!pxelinux_text(menu).contains("IPAPPEND"));
    CHECK(grub_text(menu).contains(
        "    insmod multiboot2\n    multiboot2 /hosts/ws0/2/xen.gz placeholder dom0_mem=1G,max:1G\n"
        "    module2 /hosts/ws0/2/vmlinuz placeholder root=/dev/nbd0 'a;b' BOOTIF=01-$net_default_mac\n"
        "    module2 --nounzip /hosts/ws0/2/initrd.img\n}\n"));
}

TEST_CASE("iPXE, which cannot boot Xen, hands over to the loaders that can, or says which are missing") {
    BootMenu menu = menu_of_two();
    menu.entries[0].xen = "dom0_mem=1G";
    const std::string chain =
        "iseq ${platform} pcbios && chain --autofree /pxelinux.0 && exit ||\n"
        "iseq ${platform} efi && chain --autofree /grubx64.efi && exit ||\n";
    const std::string text = ipxe_text(menu);
    CHECK(text.contains(":current\nimgfree ||\necho Xen boots by pxelinux or GRUB"));
    CHECK(text.contains(chain + "echo iPXE cannot boot Xen"));
    CHECK(text.contains("init --loaders bios,uefi,xen,ipxe\nsleep 10\ngoto previous\n:previous\n"));
    CHECK(text.ends_with("initrd /hosts/ws0/1/initrd.img\nboot\n"));
    CHECK(!text.contains("xen.gz"));
    std::swap(menu.entries[0].xen, menu.entries[1].xen);
    CHECK(
        ipxe_text(menu).contains("initrd /hosts/ws0/2/initrd.img || goto previous\nboot || goto previous\n"));
    CHECK(ipxe_text(menu).contains(chain));
    CHECK(ipxe_text(menu).ends_with("\nsleep 10\nexit\n"));
}

TEST_CASE("Xen owns the serial line, and Linux writes to the console of Xen") {
    CHECK(command_line_of({"/dev/nbd0", "s", "e", {"tty0", "ttyS1,9600n8"}, "quiet", false, true}) ==
          "root=/dev/nbd0 nbdroot=nbd://s/e ip=dhcp console=tty0 console=hvc0 quiet");
    CHECK(xen_words_of({"tty0", "ttyS1,9600n8"}, "dom0_mem=1G") ==
          "com2=9600,8n1 console=com2,vga dom0_mem=1G");
    CHECK(xen_words_of({"tty0"}, "") == "");
    CHECK(has_separator("a --- b"));
    CHECK(!has_separator("a---b"));
}

TEST_CASE("a hypervisor is no kernel, and the cloud kernel runs under none") {
    CHECK(check_hypervisor("\x1f\x8b\x08"));
    CHECK(
        check_hypervisor("\x7f"
                         "ELF"));
    CHECK(!check_hypervisor(kernel_of("6.1")));
    CHECK(!check_hypervisor(""));
    CHECK(check_first_domain("6.1.0-37-amd64"));
    CHECK(check_first_domain("6.1.0-37-cloud-amd64").error().contains("hangs"));
}

TEST_CASE("a kernel is recognized by its boot header, and a wrong file is named") {
    CHECK(kernel_release(kernel_of("6.1.0-37-amd64 (debian-kernel@lists.debian.org) #1 SMP")) ==
          "6.1.0-37-amd64");
    CHECK(kernel_release(kernel_of("6.1'x evil")) == "unknown");
    CHECK(kernel_release("070701000").error().contains("--initrd"));
    CHECK(kernel_release("\x7f"
                         "ELF")
              .error()
              .contains("vmlinuz"));
    CHECK(!kernel_release(""));
    CHECK(!kernel_release(std::string(4096, 'x')));
    std::string beyond = kernel_of("6.1");
    beyond[0x20f] = '\x70';
    CHECK(kernel_release(beyond) == "unknown");
    CHECK(check_initramfs("070701000"));
    CHECK(check_initramfs("\x28\xb5\x2f\xfd..."));
    CHECK(!check_initramfs(""));
    CHECK(!check_initramfs(kernel_of("6.1")));
}
