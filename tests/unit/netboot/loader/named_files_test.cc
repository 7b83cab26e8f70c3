// The files that a loader's file names.
#include <doctest/doctest.h>

#include "netboot/loader/loader_texts.hh"
#include "netboot/loader/named_files.hh"

using namespace holdfast::netboot;
using Names = std::vector<std::string>;

TEST_CASE("the kernels of a generated text are found in it") {
    const BootMenu menu{"the host ws0",
                        {{"current", "t", "hosts/ws0/2", "root=/dev/nbd0"},
                         {"previous", "t", "hosts/ws0/1", "root=/dev/nbd0"}},
                        {}};
    const Names names{"hosts/ws0/2/vmlinuz", "hosts/ws0/2/initrd.img", "hosts/ws0/1/vmlinuz",
                      "hosts/ws0/1/initrd.img"};
    CHECK(files_named_in("pxelinux.cfg/01-52", pxelinux_text(menu)) == names);
    CHECK(files_named_in("grub/grub.cfg-01-52", grub_text(menu)) == names);
    CHECK(files_named_in("ipxe/01-52.ipxe", ipxe_text(menu)) == names);
    BootMenu with_xen = menu;
    for (BootEntry& entry : with_xen.entries) entry.xen = "dom0_mem=1G";
    const Names images{"hosts/ws0/2/xen.gz", "hosts/ws0/2/vmlinuz", "hosts/ws0/2/initrd.img",
                       "hosts/ws0/1/xen.gz", "hosts/ws0/1/vmlinuz", "hosts/ws0/1/initrd.img"};
    CHECK(files_named_in("grub/grub.cfg-01-52", grub_text(with_xen)) == images);
    CHECK(files_named_in("ipxe/01-52.ipxe", ipxe_text(with_xen)).empty());  // left to the other loaders
    CHECK(files_named_in("pxelinux.cfg/01-52", pxelinux_text(with_xen)).size() == 8);  // and mboot.c32
    CHECK(files_named_in("grub/grub.cfg", grub_search_text()).empty());
    CHECK(files_named_in("boot.ipxe", ipxe_search_text()) == Names{"ipxe/default.ipxe"});
}

TEST_CASE("names on a device that GRUB has searched for, or set as its root, are not of the tree") {
    CHECK(files_named_in("grub/default.cfg",
                         "menuentry 'disk' {\n  search --set=root --label boot\n  if true; then\n"
                         "  chainloader /EFI/debian/grubx64.efi\n  fi\n}\n"
                         "menuentry 'net' { linux /a }\nsubmenu 'x' { menuentry 'y' {\n"
                         "set root=(hd0,1)\nlinux /no\n}\nmenuentry 'z' { linux /b } }\n") ==
          Names{"a", "b"});
    CHECK(files_named_in("grub/default.cfg", "linux /a\nset root='hd0'\nmenuentry 'x' { linux /no }\n") ==
          Names{"a"});
    CHECK(files_named_in("grub/default.cfg", "set rooted=1\nresearch\nlinux /a\n") == Names{"a"});
}

TEST_CASE("the names in a file that was edited by hand are found in the spellings of its loader") {
    CHECK(files_named_in("pxelinux.cfg/default",
                         "# KERNEL no\n\tkernel /a/vmlinuz\n append x initrd=a/one,two quiet\n"
                         "LINUX http://192.0.2.1/x\nLINUX 192.0.2.1::x\n") ==
          Names{"a/vmlinuz", "a/one", "two"});
    CHECK(
        files_named_in("pxelinux.cfg/default",
                       "KERNEL mboot.c32\nAPPEND xen.gz dom0_mem=1G --- vmlinuz root=/x --- initrd.img\n") ==
        Names{"mboot.c32", "xen.gz", "vmlinuz", "initrd.img"});
    CHECK(files_named_in("grub/default.cfg",
                         "menuentry 'a; linux /no {' { linux \"/a/vmlinuz\" root=/x; initrd /b /c }\n"
                         "# linux /no\n  linux (http,192.0.2.1)/no\n  linux $prefix/no\n"
                         "  module2 --nounzip /d\n  multiboot2 /xen x=/no\n") ==
          Names{"a/vmlinuz", "b", "c", "d", "xen"});
    CHECK(files_named_in("ipxe/default.ipxe",
                         "kernel --name k /a/vmlinuz root=/no || goto x\ninitrd b\nmodule ${base}/no\n"
                         "chain http://192.0.2.1/no\necho /no\n") == Names{"a/vmlinuz", "ipxe/b"});
    CHECK(files_named_in("hosts/ws0/1/vmlinuz", "KERNEL a\n").empty());
    CHECK(files_named_in("grub/x86_64-efi/linux.mod", "linux /a\n").empty());
}
