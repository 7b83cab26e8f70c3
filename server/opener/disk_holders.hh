// Names the holder of a device or file that cannot be opened, so that the administrator can act on a refusal.
// Best effort: checks the places that the kernel shows; if there is nothing, the text says so.
#pragma once

#include <sys/stat.h>

#include <string>

namespace holdfast::server {

// Returns "mounted on /srv", "used as swap", "part of vg0-root (device mapper)", "open by process 123
// (mkfs.ext4)". Ignores the open files of this process and of `server`.
[[nodiscard]] std::string holder_of_device(dev_t device, pid_t server);
// The same without processes; empty if only a process may have the device open.
[[nodiscard]] std::string kernel_holder_of(dev_t device);
[[nodiscard]] std::string holder_of_file(const struct stat& file, pid_t server);

// Returns the mount point of this device number in `mountinfo`, the text of /proc/self/mountinfo, with octal
// escapes decoded; empty: not mounted.
[[nodiscard]] std::string mount_point(const std::string& mountinfo, unsigned device_major,
                                      unsigned device_minor);

}  // namespace holdfast::server
