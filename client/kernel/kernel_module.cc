// Loads nbd explicitly: the module declares no alias for its netlink family, so the kernel does not load it.

#include "client/kernel/kernel_module.hh"

#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

namespace holdfast::client {
namespace {

// Returns the exit status of modprobe, 127 if there is no modprobe.
int load_module() {
    std::array<char*, 4> arguments{const_cast<char*>("modprobe"), const_cast<char*>("-q"),
                                   const_cast<char*>("nbd"), nullptr};
    for (const char* path : {"/sbin/modprobe", "/usr/sbin/modprobe", "/bin/modprobe"}) {
        pid_t child = 0;
        if (::posix_spawn(&child, path, nullptr, nullptr, arguments.data(), environ) != 0) continue;
        int status = 0;
        while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
    }
    return 127;
}

}  // namespace

std::expected<Netlink, std::string> open_netlink() {
    auto netlink = Netlink::open();
    if (!netlink && netlink.error().code == ENOENT) {
        const int status = load_module();
        netlink = Netlink::open();
        if (!netlink && netlink.error().code == ENOENT)
            return std::unexpected(
                "the kernel has no NBD netlink interface, and `modprobe nbd` exited with status " +
                std::to_string(status) +
                "; install the kernel's nbd module (in an initramfs: update-initramfs -u)");
    }
    if (!netlink) return std::unexpected("the kernel's NBD netlink interface: " + netlink.error().message());
    return std::move(*netlink);
}

}  // namespace holdfast::client
