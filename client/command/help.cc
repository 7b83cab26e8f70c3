// Texts of --help. The man page has more detail; keep both consistent.

#include <array>
#include <utility>

#include "client/command/options.hh"

namespace holdfast::client {
namespace {

constexpr std::string_view overview = R"(holdfast-client: attach NBD exports as persistent block devices

  holdfast-client attach EXPORT... [OPTION]...   attach an export as /dev/nbdN
  holdfast-client attach --device DEVICE ...     attach a configured device
  holdfast-client detach DEVICE [--force]        flush and disconnect a device
  holdfast-client status [DEVICE] [--json]       show the attached devices
  holdfast-client takeover [DEVICE]              replace the daemon by this program
  holdfast-client takeover DEVICE --server ...   also change the servers or the policy
  holdfast-client resize DEVICE                  grow the device if the export has grown
  holdfast-client confine [DEVICE]               put the daemon into its AppArmor profile
  holdfast-client devices [FILE] [--check]       list or check the table of devices
  holdfast-client import-config [--write]        import the devices of nbd-client
  holdfast-client list SERVER [--long] [--json]  list the exports of a server
  holdfast-client bootfiles [DEVICE] [--push]    hand kernel and initramfs to the server
  holdfast-client boot                           attach the disk of the kernel command line
  holdfast-client prepare-root                   mount the overlay of holdfast.overlay=
  holdfast-client keep-network                   protect the root disk's network interface
  holdfast-client help COMMAND                   show the options of a command
  holdfast-client --version                      show the version

EXPORT is nbd://HOST[:PORT]/NAME, nbd+unix:///NAME?socket=PATH, or a classic form
(HOST,PORT or HOST,NAME or HOST,PORT,NAME). Settings not given on the command line come from
/etc/holdfast/devices and /etc/holdfast/client.conf. See holdfast-client(8), holdfast-devices(5)
and holdfast-client.conf(5).
)";

constexpr std::string_view attach = R"(holdfast-client attach EXPORT... [OPTION]...
holdfast-client attach --device DEVICE [OPTION]...

Attach an export as /dev/nbdN and return when the device is ready. A daemon keeps running and
reconnects for as long as the device is attached. Several EXPORTs name servers of the same disk, in
order of preference. Without EXPORT, take the servers from DEVICE's line in /etc/holdfast/devices,
or else from its section in the configuration file.

  -d, --device DEVICE      use /dev/nbdN, nbdN or N (default: the first free device)
  -w, --wait SECONDS       keep trying for SECONDS if no server is usable (0: try each once)
  -t, --timeout SECONDS    let the kernel drop a link after a request of SECONDS (0: never)
      --dead-after SECONDS consider a server dead after SECONDS of silence (3 to 3600; default 15)
      --probe SECONDS      check the export every SECONDS (0: never; default 10)
  -C, --connections N      connections to one server; only one is used so far (see manual)
      --lost-cache ACTION  if the server's machine restarted and writes may be lost:
                           continue, or fail, which ends the device
      --shutdown-timeout SECONDS
                           at shutdown, wait at most SECONDS for an unreachable server
                           (10 or more; 0: no limit; default 90)
      --lease ACTION       renew the DHCP lease of the initramfs (renew; default in the initramfs)
                           or not (leave; default elsewhere)
  -b, --block-size BYTES   512, 1024, 2048 or 4096 (default: as the partition table, or the server)
  -r, --read-only          make the device read-only
      --read-write         make it writable, overriding the configuration file
      --config FILE        read FILE instead of /etc/holdfast/client.conf
      --service            for holdfast@.service: make the daemon the service's main process
  -q, --quiet              print errors only
)";

constexpr std::string_view detach = R"(holdfast-client detach DEVICE [--force]

Flush and disconnect the device, and end its daemon. Refuse if the device is in use.

  -f, --force   detach anyway; unwritten data is lost. Exit status 9: the server did not confirm that
                it discards old writes
      --service for holdfast@.service: do nothing if the daemon has died
)";

constexpr std::string_view status = R"(holdfast-client status [DEVICE] [--json | --prometheus]

Show the state of DEVICE, or of all attached devices. Exit status: 0 attached, 3 not attached,
7 attached but the link is down, 8 no daemon, or state unknown.

  -j, --json         print one object for DEVICE, an array without
  -p, --prometheus   print the Prometheus text format
)";

constexpr std::string_view takeover = R"(holdfast-client takeover [DEVICE] [OPTION]...

Replace the daemon of DEVICE, or of all attached devices, by this program, without interrupting I/O.
The old daemon exits once the new one is in charge; if the takeover fails, it stays. Options change
the settings of DEVICE until it is detached. New servers are checked first; if one has a different
disk, it is refused, and nothing changes.

  -s, --server EXPORT      use this server from now on; may be repeated, in order of preference
      --dead-after SECONDS, --probe SECONDS, --lost-cache ACTION, --shutdown-timeout SECONDS
                           as for attach
  -n, --dry-run            only query the servers, and print what would be done
)";

constexpr std::string_view resize = R"(holdfast-client resize DEVICE

Check the size of the export now instead of at the next probe, and grow the device if the export is
larger.
)";

constexpr std::string_view confine = R"(holdfast-client confine [DEVICE]

Make the daemon of DEVICE, or of all attached devices, enter the AppArmor profile holdfast-client. A
daemon that starts while the profile is loaded enters it by itself. At boot,
holdfast-apparmor.service runs this command, because the daemon of the root disk is older than the
profile.
)";

constexpr std::string_view devices = R"(holdfast-client devices [FILE] [--check] [--json]

Print the devices of /etc/holdfast/devices, or of FILE: name, auto or noauto, and the servers, or - if
the line has an error. Report errors and ignored options with file and line. Exit with status 2 on
errors.

      --check  only report errors, or that the file is good
  -j, --json   print an array of objects
)";

constexpr std::string_view import_config = R"(holdfast-client import-config [OPTION]...

Show the lines of /etc/holdfast/devices that take the place of nbd-client's configuration, and the
next steps. Report with file and line what has no counterpart. The files of nbd-client are not
changed, and /etc/nbd-client, a shell script, is not executed. Exit with status 2 on errors.

      --nbd-client FILE  read FILE, in the form of /etc/nbd-client
      --nbdtab FILE      read FILE, in the form of nbdtab(5); without these two, read
                         /etc/nbd-client and /etc/nbdtab, as far as they exist
      --devices FILE     use FILE instead of /etc/holdfast/devices
      --write            append the lines to /etc/holdfast/devices, all or none
  -j, --json             print an object
)";

constexpr std::string_view list = R"(holdfast-client list SERVER [--long] [--json]

Print the names of a server's exports.

  -l, --long   add size, flags and description
  -j, --json   print an array of objects
)";

constexpr std::string_view boot_files = R"(holdfast-client bootfiles [DEVICE] [OPTION]...

Show which kernel the server has published for the next boot of this machine, or hand it the
newest kernel with its initramfs. DEVICE defaults to the root disk. The server needs
bootfiles = yes for the export.

      --status       show what the next boot gets; this is the default
      --push         hand in the files that the server lacks
      --kernel FILE  this kernel, vmlinuz-VERSION, not the newest one; needs --initrd
      --initrd FILE  its initramfs
      --xen FILE     also this Xen, xen-VERSION.gz
  -j, --json         print an object
)";

constexpr std::string_view boot = R"(holdfast-client boot [OPTION]...

Attach the disk named on the kernel command line (nbdroot=), as the initramfs does. Keep trying for
30 s, or for wait= or rootdelay= if that is longer. Then attach the further disks of the root file
system: those of holdfast.disk=, and lines of /etc/holdfast/devices with the option initramfs.

      --check          only check the command line: 0 it names a disk, 2 invalid option, 3 no disk;
                       with --config also check that file: 0 both are valid, 2 one has an error
      --print          print what would be attached, and attach nothing
      --network        print the bonds, VLANs, the card and the time of the command line
      --limit SECONDS  try no longer than this
      --cmdline FILE   read FILE instead of /proc/cmdline
      --config FILE    read FILE instead of /etc/holdfast/client.conf, and fail if it has an error
)";

constexpr std::string_view keep_network =
    R"(holdfast-client keep-network [--root FOLDER] [--init FILE] [--config FILE]

Run by the initramfs before the system starts. Find the network interface that the root disk uses,
and write files below /run that make ifupdown, systemd-networkd and NetworkManager leave it alone.
Warn if the system's own configuration includes that interface.

      --root FOLDER    mount point of the root file system
      --init FILE      its program that becomes process 1 (default /sbin/init)
      --config FILE    read FILE there instead of /etc/holdfast/client.conf
)";

constexpr std::string_view prepare_root =
    R"(holdfast-client prepare-root --root FOLDER [--cmdline FILE]

Run by the initramfs after the root file system has been mounted. With holdfast.overlay= on the
kernel command line, mount an overlay in memory on it. If the root disk is attached, make systemd
refuse hibernation.

      --root FOLDER    mount point of the root file system
      --cmdline FILE   read FILE instead of /proc/cmdline
)";

constexpr std::array texts{
    std::pair{std::string_view{""}, overview},
    std::pair{std::string_view{"help"}, overview},
    std::pair{std::string_view{"attach"}, attach},
    std::pair{std::string_view{"detach"}, detach},
    std::pair{std::string_view{"status"}, status},
    std::pair{std::string_view{"takeover"}, takeover},
    std::pair{std::string_view{"resize"}, resize},
    std::pair{std::string_view{"confine"}, confine},
    std::pair{std::string_view{"devices"}, devices},
    std::pair{std::string_view{"import-config"}, import_config},
    std::pair{std::string_view{"list"}, list},
    std::pair{std::string_view{"bootfiles"}, boot_files},
    std::pair{std::string_view{"boot"}, boot},
    std::pair{std::string_view{"keep-network"}, keep_network},
    std::pair{std::string_view{"prepare-root"}, prepare_root},
};

}  // namespace

std::string_view help_text(std::string_view command) noexcept {
    for (const auto& [name, text] : texts)
        if (name == command) return text;
    return {};
}

}  // namespace holdfast::client
