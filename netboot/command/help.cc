// Texts of `holdfast-netboot help`. holdfast-netboot(8) has more.

#include <array>
#include <utility>

#include "netboot/command/options.hh"

namespace holdfast::netboot {
namespace {

constexpr std::string_view overview = R"(holdfast-netboot COMMAND [OPTION]...

Make and keep the tree that TFTP and web servers serve to machines without disks.

  init     make a tree with loaders, and print the lines for a DHCP server
  add      add a host, or change its settings or its kernel
  remove   remove a host
  default  choose the host whose entry unknown machines get
  take     publish the boot files that hosts have handed to holdfast-server
  list     list the hosts
  check    print what a host gets, by which file, and what is wrong

`holdfast-netboot help COMMAND` shows the options of a command; --version prints the version.
)";

constexpr std::string_view init = R"(holdfast-netboot init [FOLDER] [OPTION]...

Make the tree in FOLDER (default /srv/tftp), the root of the TFTP server, with loaders from Debian's packages:
pxelinux for BIOS; shim and GRUB, signed for Secure Boot, for UEFI. In an existing tree, renew the loaders.

  -s, --server ADDRESS   NBD server of hosts that name none
  -d, --dhcp SERVER      print the lines for dnsmasq, isc or kea
      --dhcp-file FILE   write these lines to FILE instead
      --address ADDRESS  IPv4 address of this boot server, for these lines (default: that of --server)
      --http URL         the tree on a web server, for UEFI HTTP boot (default: http://ADDRESS)
      --proxy NETWORK    with dnsmasq: another DHCP server gives addresses in this network
      --loaders LIST     of bios, uefi, xen and ipxe (default: those of the tree, or bios,uefi)
      --from FOLDER      take the loaders from the Debian system in FOLDER (default /)
  -n, --dry-run          print what would change
      --keep, --force    keep, or overwrite, files that were edited by hand and would change; --force also
                         restores all edited files of the tree, but none of hosts that would not change
)";

constexpr std::string_view add = R"(holdfast-netboot add HOST [OPTION]...

Add a host, or change the named settings of a host. An empty value clears a setting.

  -e, --export NAME     export with its disk; required for a new host
  -s, --server ADDRESS  NBD server (default: that of the tree)
  -m, --mac ADDRESS     MAC address; may be repeated
  -u, --uuid UUID       UUID of the machine
  -i, --ip ADDRESS      IPv4 address, or a network; may be repeated
  -r, --root DEVICE     root= of the kernel (default /dev/nbd0)
  -c, --console DEVICE  console such as ttyS0,115200; may be repeated
  -a, --append WORDS    further words for the kernel
      --shared          several machines use the export: read-only, with changes in memory
      --no-shared       this host alone uses it (default)
  -k, --kernel FILE     copy this kernel into the tree; the one in use becomes the fallback
      --initrd FILE     and its initramfs
  -x, --xen FILE        and the Xen hypervisor below it
      --xen-append WORDS  words for the hypervisor
  -t, --tree FOLDER     the tree (default /srv/tftp)
  -n, --dry-run         print what would change
      --keep, --force   keep, or overwrite, files that were edited by hand and would change; --force also
                        restores all edited files of this host
)";

constexpr std::string_view remove = R"(holdfast-netboot remove HOST [OPTION]...

Remove a host with its files and kernels.

  -t, --tree FOLDER    the tree (default /srv/tftp)
  -n, --dry-run        print what would change
      --keep, --force  keep, or remove, files that were edited by hand
)";

constexpr std::string_view default_ = R"(holdfast-netboot default HOST | --none [OPTION]...

Give machines that no other entry fits the entry of HOST. With --none, and in a new tree, they get a
message and boot from their next device.

  -t, --tree FOLDER    the tree (default /srv/tftp)
  -n, --dry-run        print what would change
      --keep, --force  keep, or overwrite, files that were edited by hand and would change
)";

constexpr std::string_view take = R"(holdfast-netboot take HOST... | --all [OPTION]...

Check the boot files that hosts have handed to holdfast-server, and publish them: the new kernel boots next, and
the one before it is the fallback. Exit with status 4 if files were refused; the old kernel boots then.

      --all            all hosts of the tree, or of several trees
  -s, --server ADDRESS  the NBD server on this machine, as the hosts name it (default: that of the tree);
                       may be repeated
      --spool FOLDER   where holdfast-server keeps the files (default /var/spool/holdfast-server)
  -j, --json           print an array of objects
  -t, --tree FOLDER    the tree (default /srv/tftp); may be repeated with --all
      --keep, --force  keep, or overwrite, files that were edited by hand and would change
)";

constexpr std::string_view list = R"(holdfast-netboot list [--json] [--tree FOLDER]

List the hosts with their disks, kernels and keys.

  -j, --json         print an array of objects
  -t, --tree FOLDER  the tree (default /srv/tftp)
)";

constexpr std::string_view check = R"(holdfast-netboot check [HOST] [OPTION]...

Print what each host, or HOST, gets from which file, and what is wrong. Exit with status 4 if anything is.

  -m, --mac ADDRESS, -u, --uuid UUID, -i, --ip ADDRESS
                     only the host that a machine with these keys would become
      --from FOLDER  compare the loaders with the Debian system in FOLDER (default /)
  -t, --tree FOLDER  the tree (default /srv/tftp)
)";

constexpr std::array texts{
    std::pair{std::string_view{""}, overview},        std::pair{std::string_view{"init"}, init},
    std::pair{std::string_view{"add"}, add},          std::pair{std::string_view{"remove"}, remove},
    std::pair{std::string_view{"default"}, default_}, std::pair{std::string_view{"list"}, list},
    std::pair{std::string_view{"check"}, check},      std::pair{std::string_view{"take"}, take},
};

}  // namespace

std::string_view help_text(std::string_view command) noexcept {
    for (const auto& [name, text] : texts)
        if (name == command) return text;
    return {};
}

}  // namespace holdfast::netboot
