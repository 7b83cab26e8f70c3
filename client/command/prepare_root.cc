// prepare-root: runs in the initramfs after the root file system is mounted, and before its programs run.

#include <fmt/core.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "client/boot/boot_files.hh"
#include "client/boot/memory_root.hh"
#include "client/boot/root_overlay.hh"
#include "client/command/commands.hh"
#include "client/control/record_file.hh"
#include "client/kernel/sysfs.hh"
#include "common/linux/fd.hh"
#include "common/linux/log.hh"
#include "common/linux/result.hh"

namespace holdfast::client {
namespace {

// Prints on the console, and logs to the kernel's log for dmesg.
void tell(std::string_view line) {
    complain(line);
    log::debug(line);
}

// Makes systemd refuse hibernation: see systemd-sleep.conf(5). The image could not be read back, because the
// root disk is in use before the network is up again.
void refuse_hibernation() {
    const std::string folder = "/run/systemd/sleep.conf.d";
    const std::string path = folder + "/50-holdfast.conf";
    constexpr std::string_view text =
        "# Written by holdfast-client: the root disk is on the network, so this machine cannot resume from "
        "hibernation.\n"
        "[Sleep]\nAllowHibernation=no\nAllowHybridSleep=no\nAllowSuspendThenHibernate=no\n";
    ::mkdir("/run/systemd", 0755);
    ::mkdir(folder.c_str(), 0755);
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        tell(fmt::format("{}: {}; do not hibernate this machine", path, SysError{errno, "write"}.message()));
}

}  // namespace

ExitCode run_prepare_root(const PrepareRootOptions& options) {
    log::open("holdfast-client", log::Sink::kernel, log::Level::debug);
    BootFiles files;
    if (options.command_line_file) files.command_line = *options.command_line_file;
    const auto command_line = read_command_line(files);
    if (!command_line) {
        tell(command_line.error());
        return ExitCode::failure;
    }
    const auto memory = read_memory_root(*command_line);
    if (!memory) {
        tell(memory.error().message);
        return ExitCode::usage;
    }
    if (std::ranges::any_of(nbd_devices(), carries_root)) refuse_hibernation();
    if (!memory->overlay) return ExitCode::ok;
    if (const auto mounted = mount_overlay(options.root, *memory->overlay); !mounted) {
        tell(mounted.error());
        return ExitCode::failure;
    }
    if (const auto adapted = adapt_fstab(options.root); !adapted)
        tell(fmt::format("warning: {}; remove the entry of / from /etc/fstab in the image", adapted.error()));
    tell(fmt::format("changes of the root file system stay in memory (holdfast.overlay, size={})",
                     *memory->overlay));
    return ExitCode::ok;
}

}  // namespace holdfast::client
