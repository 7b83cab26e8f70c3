// The disks that a loader's file names.
#include <doctest/doctest.h>

#include <algorithm>

#include "netboot/loader/named_disks.hh"

using namespace holdfast::netboot;

namespace {

// True if one of the disks is this, and whether the machine writes to it.
bool has(const std::vector<NamedDisk>& disks, const std::string& server, const std::string& name,
         bool writes) {
    return std::ranges::any_of(disks, [&](const NamedDisk& disk) {
        return std::ranges::count(disk.servers, server) != 0 && std::ranges::count(disk.exports, name) != 0 &&
               disk.writes == writes;
    });
}

}  // namespace

TEST_CASE("the disk of a command line is found in each form of its word") {
    const auto names = [](const std::string& word, const std::string& server, const std::string& name) {
        return has(disks_named_in("pxelinux.cfg/x", "  APPEND ro " + word + " quiet\n"), server, name, true);
    };
    CHECK(names("nbdroot=nbd://192.0.2.1/a%20b%2Cc", "192.0.2.1", "a b,c"));
    CHECK(names("nbdroot=nbd://[fe80::1%25eth0]:10810//srv/a", "[fe80::1%eth0]:10810", "/srv/a"));
    CHECK(names("nbdroot=192.0.2.1,10810,a,nbd0", "192.0.2.1:10810", "a"));
    CHECK(names("nbdroot=192.0.2.1,a,ro", "192.0.2.1", "a"));
    CHECK(names("nbdroot=192.0.2.1,12345", "192.0.2.1", "12345"));
    CHECK(names("nbdroot=192.0.2.1:10810/vg0/a", "192.0.2.1:10810", "vg0/a"));
    CHECK(names("nbdroot=192.0.2.1:10810,a", "192.0.2.1:10810", "a"));
    CHECK(names("nbdroot=192.0.2.1:/srv/a", "192.0.2.1", "/srv/a"));
    CHECK(names("nbdroot=2001:db8::1,a", "[2001:db8::1]", "a"));
    CHECK(names("nbdroot=[2001:db8::1]:10810/a", "[2001:db8::1]:10810", "a"));
    CHECK(names("nbdroot=nbd:192.0.2.1:a:ext4", "192.0.2.1", "a"));
    CHECK(names("root=nbd:[2001:db8::1]:a", "[2001:db8::1]", "a"));
    CHECK(names("netroot=nbd:192.0.2.1:10810/a", "192.0.2.1:10810", "a"));
    CHECK(names("holdfast.disk=nbd1=192.0.2.1,10810,a,nofail", "192.0.2.1:10810", "a"));
    CHECK(names("holdfast.disk=/dev/nbd1=nbd://192.0.2.1/a", "192.0.2.1", "a"));
    CHECK(disks_named_in("pxelinux.cfg/x", "APPEND holdfast.disk= x\nAPPEND holdfast.disk=nbd1\n").empty());
    CHECK(
        disks_named_in("pxelinux.cfg/x", "APPEND root=/dev/nbd0 BOOTIF=01\n# APPEND nbdroot=s,a\n").empty());
}

TEST_CASE("quotes of the kernel, and those of GRUB, do not hide a disk, and hold its blanks together") {
    const auto names = [](const std::string& path, const std::string& line, const std::string& name) {
        return has(disks_named_in(path, line + "\n"), "s", name, true);
    };
    for (const char* path : {"pxelinux.cfg/x", "grub/grub.cfg-x", "ipxe/x.ipxe"}) {
        CHECK(names(path, "linux x nbdroot=\"s,a\" quiet", "a"));
        CHECK(names(path, "linux x \"nbdroot=s,a\"", "a"));
        CHECK(names(path, "linux x nbdroot=\"s,a b\" holdfast.overlay", "a b"));
        CHECK(names(path, "linux x nbdroot=s,a \"foo=x holdfast.overlay=RAM\"", "a"));
        CHECK(names(path, "linux x nbdroot=s,a -- holdfast.overlay=RAM", "a"));
        CHECK(!names(path, "linux x nbdroot=\"s,a\" \"holdfast.overlay=RAM\"", "a"));
    }
    CHECK(names("pxelinux.cfg/x", "SAY 3\" disks\nAPPEND nbdroot=s,a", "a"));
    CHECK(names("grub/x.cfg", "linux x nbdroot='s,a b'", "a b"));
    CHECK(names("grub/x.cfg", "linux x nbdroot=\\\"s,a\\\"", "a"));
    CHECK(names("grub/x.cfg", "linux x nbdroot=s,\\a", "a"));
    CHECK(names("grub/x.cfg", "eval \"linux x nbdroot=s,a quiet\"", "a"));
    CHECK(has(disks_named_in("grub/x.cfg", "linux x nbdroot=${s},a; x\n"), "${s}", "a", true));
    CHECK(names("grub/x.cfg", "menuentry \"$x\" {linux ${x} nbdroot=s,a}", "a"));
    CHECK(names("grub/x.cfg", "words='quiet nbdroot=s,a quiet'", "a"));
}

TEST_CASE("a disk is written to unless its own command line keeps the changes in memory") {
    const auto writes = [](const std::string& path, const std::string& text) {
        return has(disks_named_in(path, text), "s", "a", true);
    };
    for (const char* path : {"pxelinux.cfg/x", "grub/grub.cfg-x", "ipxe/x.ipxe"}) {
        CHECK(writes(path, "linux x nbdroot=nbd://s/a ro\n"));
        CHECK(writes(path, "linux x nbdroot=nbd://s/a\nlinux x holdfast.overlay=RAM\n"));
        CHECK(!writes(path, "linux x nbdroot=nbd://s/a holdfast.overlay=RAM\n"));
        CHECK(!writes(path, "linux x holdfast.toram nbdroot=nbd://s/a\n"));
        CHECK(writes(path, "linux x holdfast.toram=no nbdroot=nbd://s/a\n"));
    }
    CHECK(writes("grub/x.cfg",
                 "# don't\nmenuentry 'x' { linux x 'nbdroot=nbd://s/a'; linux y holdfast.toram }"));
    CHECK(writes("grub/x.cfg", "linux x nbdroot=nbd://s/a # holdfast.toram\n"));
    CHECK(writes("grub/x.cfg", "if true; then linux x nbdroot=nbd://s/a; fi\n"));
    CHECK(!writes("grub/x.cfg", "linux x nbdroot=nbd://s/a \\\n  holdfast.toram\n"));
    CHECK(!writes("grub/x.cfg", "set words=\"nbdroot=nbd://s/a holdfast.toram\"\n"));
    CHECK(writes("ipxe/x.ipxe", "iseq 1 1 && kernel x nbdroot=nbd://s/a || kernel y holdfast.toram\n"));
    CHECK(writes("ipxe/x.ipxe", "echo don't\nkernel x nbdroot=nbd://s/a\necho don't holdfast.toram\n"));
}
