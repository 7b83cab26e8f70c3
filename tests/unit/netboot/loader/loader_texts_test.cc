// The command line, and the texts for the loaders.
#include <doctest/doctest.h>

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

TEST_CASE("words that a loader would change or take as a command are refused") {
    CHECK(read_append("  quiet   loglevel=3 ") == "quiet loglevel=3");
    CHECK(read_append("") == "");
    CHECK(read_append("a --- b") == "a --- b");
    for (const char* words : {"a\nb", "a='b'", "a=\"b\"", "a=$b", "a\\", "`a`", "{", "a=\x01", "||", "&&",
                              "#", "root=/dev/sda", "nbdroot=x", "BOOTIF=01-"})
        CHECK_MESSAGE(!read_append(words), words);
    CHECK(read_append("quiet\nLABEL evil").error().contains("line break"));
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
    for (const char* word : {"", "a b", "a/b", "a,b", ":1", "a\n"}) CHECK_MESSAGE(!read_server(word), word);
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
