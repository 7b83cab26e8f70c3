// Says who holds a device or file that cannot be opened, so that a refusal tells the administrator what to
// do. Best effort: it looks where the kernel shows it, and says so where it finds nothing.
#pragma once

#include <sys/stat.h>

#include <string>

namespace holdfast::server {

// "mounted on /srv", "used as swap", "part of vg0-root (device mapper)", "open by process 123 (mkfs.ext4)".
// Of this process and of `server` it is not asked what they have open.
[[nodiscard]] std::string holder_of_device(dev_t device, pid_t server);
[[nodiscard]] std::string holder_of_file(const struct stat& file, pid_t server);

// The mount point of this device number in the text of /proc/self/mountinfo, its octal escapes undone; empty:
// not mounted.
[[nodiscard]] std::string mount_point(const std::string& mountinfo, unsigned device_major,
                                      unsigned device_minor);

}  // namespace holdfast::server
