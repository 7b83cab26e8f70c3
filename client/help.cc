// The texts of --help. The man page says more; the two change together.

#include <array>
#include <utility>

#include "client/options.hh"

namespace holdfast::client {
namespace {

constexpr std::string_view overview = R"(holdfast-client: block devices over the network, kept attached

  holdfast-client attach EXPORT... [OPTION]...   attach an export as /dev/nbdN
  holdfast-client detach DEVICE [--force]        let go of it
  holdfast-client status [DEVICE] [--json]       what is attached, and how it is
  holdfast-client list SERVER [--long] [--json]  the exports of a server
  holdfast-client boot                           attach what the kernel command line names
  holdfast-client help COMMAND
  holdfast-client --version

EXPORT is nbd://HOST[:PORT]/NAME, nbd+unix:///NAME?socket=PATH, or a classic form
(HOST,PORT or HOST,NAME or HOST,PORT,NAME). More in holdfast-client(8).
)";

constexpr std::string_view attach = R"(holdfast-client attach EXPORT... [OPTION]...

Attaches an export as /dev/nbdN and returns when the device is ready. A daemon stays, which
restores the link for as long as the device is attached. Several EXPORTs are servers of the same
disk, in order of preference.

  -d, --device DEVICE      /dev/nbdN, nbdN or N; otherwise the kernel picks one
  -w, --wait SECONDS       go on trying for so long when no server can be used (0: try each once)
  -t, --timeout SECONDS    the kernel gives up a link on which a request takes longer (0: never)
  -b, --block-size BYTES   512, 1024, 2048 or 4096; otherwise the smallest that the server takes
  -r, --read-only          the device cannot be written to
  -q, --quiet              print nothing but errors
)";

constexpr std::string_view detach = R"(holdfast-client detach DEVICE [--force]

Writes back what is still to be written, disconnects the device and ends its daemon. Refuses
when the device is in use.

  -f, --force   detach it all the same: what is not written yet is lost
)";

constexpr std::string_view status = R"(holdfast-client status [DEVICE] [--json]

Says how a device, or every attached one, is. Exit status: 0 attached, 3 not attached, 7 attached
and its link is down.

  -j, --json   one object for DEVICE, an array without
)";

constexpr std::string_view list = R"(holdfast-client list SERVER [--long] [--json]

Prints the names of a server's exports.

  -l, --long   with size, flags and description
  -j, --json   an array of objects
)";

constexpr std::string_view boot = R"(holdfast-client boot [OPTION]...

Attaches the disk that the kernel command line names (nbdroot=), as the initramfs does. Goes on
trying for 30 s, or rootdelay= where that is longer.

      --check          only judge the command line: 0 it names a disk, 2 a word is wrong, 3 it names none
      --print          print what would be attached, and attach nothing
      --cmdline FILE   read FILE instead of /proc/cmdline
)";

constexpr std::array texts{
    std::pair{std::string_view{""}, overview},     std::pair{std::string_view{"attach"}, attach},
    std::pair{std::string_view{"detach"}, detach}, std::pair{std::string_view{"status"}, status},
    std::pair{std::string_view{"list"}, list},     std::pair{std::string_view{"boot"}, boot},
};

}  // namespace

std::string_view help_text(std::string_view command) noexcept {
    for (const auto& [name, text] : texts)
        if (name == command) return text;
    return {};
}

}  // namespace holdfast::client
