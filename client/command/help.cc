// Texts of --help. The man page has more detail; keep both consistent.

#include <array>
#include <utility>

#include "client/command/options.hh"

namespace holdfast::client {
namespace {

constexpr std::string_view overview = R"(holdfast-client: block devices over the network, kept attached

  holdfast-client attach EXPORT... [OPTION]...   attach an export as /dev/nbdN
  holdfast-client attach --device DEVICE ...     the same, with the servers that the files name
  holdfast-client detach DEVICE [--force]        let go of it
  holdfast-client status [DEVICE] [--json]       what is attached, and how it is
  holdfast-client takeover [DEVICE]              replace its daemon by this program
  holdfast-client takeover DEVICE --server ...   ... and give it other servers, or another policy
  holdfast-client resize DEVICE                  look whether the export has grown, and grow it
  holdfast-client devices [FILE] [--check]       the table of further devices
  holdfast-client list SERVER [--long] [--json]  the exports of a server
  holdfast-client boot                           attach what the kernel command line names
  holdfast-client keep-network                   keep others from the root disk's network interface
  holdfast-client help COMMAND
  holdfast-client --version

EXPORT is nbd://HOST[:PORT]/NAME, nbd+unix:///NAME?socket=PATH, or a classic form
(HOST,PORT or HOST,NAME or HOST,PORT,NAME). More in holdfast-client(8); what is not said on the
command line is taken from /etc/holdfast/devices, holdfast-devices(5), and from
/etc/holdfast/client.conf, holdfast-client.conf(5).
)";

constexpr std::string_view attach = R"(holdfast-client attach EXPORT... [OPTION]...
holdfast-client attach --device DEVICE [OPTION]...

Attaches an export as /dev/nbdN and returns when the device is ready. A daemon stays, which
restores the link for as long as the device is attached. Several EXPORTs are servers of the same
disk, in order of preference; without any, they are those of DEVICE's line in /etc/holdfast/devices,
or else those of its section in the configuration file.

  -d, --device DEVICE      /dev/nbdN, nbdN or N; otherwise the first that is free
  -w, --wait SECONDS       go on trying for so long when no server can be used (0: try each once)
  -t, --timeout SECONDS    the kernel gives up a link on which a request takes longer (0: never)
      --dead-after SECONDS a server that is silent for so long is dead (3 to 3600; otherwise 15)
      --probe SECONDS      look at the export so often (0: never; otherwise 10)
  -C, --connections N      to one server at once; so far one is used (see the manual)
      --lost-cache WHAT    when the server's machine restarted and writes may be lost:
                           continue, or fail, which ends the device
      --shutdown-timeout SECONDS
                           a machine that goes down while the server is away is off after so long
                           (10 or more; 0: it waits for the server; otherwise 90)
      --lease WHAT         the DHCP lease that the initramfs left: renew (otherwise, in the initramfs),
                           or leave (otherwise, elsewhere)
  -b, --block-size BYTES   512, 1024, 2048 or 4096; otherwise the smallest that the server takes
  -r, --read-only          the device cannot be written to
      --read-write         it can, whatever the configuration file says
      --config FILE        instead of /etc/holdfast/client.conf
      --service            for holdfast@.service: the daemon is the service's main process
  -q, --quiet              print nothing but errors
)";

constexpr std::string_view detach = R"(holdfast-client detach DEVICE [--force]

Writes back what is still to be written, disconnects the device and ends its daemon. Refuses
when the device is in use.

  -f, --force   detach it all the same: what is not written yet is lost
      --service for holdfast@.service: nothing, where its daemon has died
)";

constexpr std::string_view status = R"(holdfast-client status [DEVICE] [--json]

Says how a device, or every attached one, is. Exit status: 0 attached, 3 not attached, 7 attached
and its link is down, 8 without a daemon or not known.

  -j, --json   one object for DEVICE, an array without
)";

constexpr std::string_view takeover = R"(holdfast-client takeover [DEVICE] [OPTION]...

Replaces the daemon of a device, or of every attached one, by this program, without a pause for
those who use the device. The old daemon leaves when the new one is in charge; where that fails,
it stays. With an option, the new daemon keeps DEVICE in another way from then on, until it is
detached. New servers are asked first; one that has another disk is refused, and nothing changes.

  -s, --server EXPORT      the server of the disk from now on; several times, in order of preference
      --dead-after SECONDS, --probe SECONDS, --lost-cache WHAT, --shutdown-timeout SECONDS
                           as for attach
  -n, --dry-run            only ask the servers, and say what would be done
)";

constexpr std::string_view resize = R"(holdfast-client resize DEVICE

Looks at the size of the export now rather than with the next probe, and makes the device grow
when it is larger.
)";

constexpr std::string_view devices = R"(holdfast-client devices [FILE] [--check] [--json]

Prints the devices of /etc/holdfast/devices, or of FILE: name, auto or noauto, and the servers, - where
the line has a mistake. Mistakes and what is passed over are told with file and line; with a mistake the
exit status is 2.

      --check  only that
  -j, --json   an array of objects
)";

constexpr std::string_view list = R"(holdfast-client list SERVER [--long] [--json]

Prints the names of a server's exports.

  -l, --long   with size, flags and description
  -j, --json   an array of objects
)";

constexpr std::string_view boot = R"(holdfast-client boot [OPTION]...

Attaches the disk that the kernel command line names (nbdroot=), as the initramfs does. Goes on
trying for 30 s, or rootdelay= where that is longer.

      --check          only check the command line: 0 it names a disk, 2 a word is wrong, 3 it names none;
                       with --config also that file: 0 both are good, 2 one has a mistake
      --print          print what would be attached, and attach nothing
      --cmdline FILE   read FILE instead of /proc/cmdline
      --config FILE    read FILE instead of /etc/holdfast/client.conf; a mistake in it is an error
)";

constexpr std::string_view keep_network =
    R"(holdfast-client keep-network [--root FOLDER] [--init FILE] [--config FILE]

What the initramfs runs before the system starts. Finds the network interface that the root disk
uses, and writes files below /run that make ifupdown, systemd-networkd and NetworkManager leave it
as it is. Tells of what the system's own configuration wants of that interface.

      --root FOLDER    where the root file system is mounted
      --init FILE      the program of it that is going to be process 1, if it is not /sbin/init
      --config FILE    instead of /etc/holdfast/client.conf there
)";

constexpr std::array texts{
    std::pair{std::string_view{""}, overview},
    std::pair{std::string_view{"attach"}, attach},
    std::pair{std::string_view{"detach"}, detach},
    std::pair{std::string_view{"status"}, status},
    std::pair{std::string_view{"takeover"}, takeover},
    std::pair{std::string_view{"resize"}, resize},
    std::pair{std::string_view{"devices"}, devices},
    std::pair{std::string_view{"list"}, list},
    std::pair{std::string_view{"boot"}, boot},
    std::pair{std::string_view{"keep-network"}, keep_network},
};

}  // namespace

std::string_view help_text(std::string_view command) noexcept {
    for (const auto& [name, text] : texts)
        if (name == command) return text;
    return {};
}

}  // namespace holdfast::client
