// Opens disks and files for volumes, and explains failures. The only part of the server that passes paths to
// the kernel on behalf of a client: runs in the opener (opener.hh) only.
#pragma once

#include <optional>

#include "server/volume/volume.hh"

namespace holdfast::server {

// How a disk is opened.
struct VolumeRequest {
    std::string path;
    bool writable = false;          // a device that rejects writes is opened for reading anyway
    std::uint64_t create_size = 0;  // not 0: a missing file is created with this size
    // Whether to bypass the page cache with O_DIRECT. Empty: yes for a writable block device that keeps
    // requests of 512 bytes possible.
    std::optional<bool> direct = false;
    pid_t server = -1;  // process whose own descriptors do not count as a holder's
    // A snapshot of the disk is served, so that neither its users nor a read-only disk stand in the way.
    bool as_origin = false;
};

// Creates a missing file if `create_size` is set. Never below /dev: an inactive logical volume must not be
// replaced by a file in memory.
[[nodiscard]] std::expected<void, VolumeRefusal> create_missing_file(const VolumeRequest& request);

// Whether open_disk() would bypass the page cache. Does not open the disk.
[[nodiscard]] std::expected<bool, VolumeRefusal> find_direct(const VolumeRequest& request);

// Identifies the disk at the path without opening it.
[[nodiscard]] std::expected<DiskKey, VolumeRefusal> find_disk(const VolumeRequest& request);

// Opens the disk for serving. A writable block device is opened O_EXCL, a writable file is locked, to exclude
// every other writer that respects these. The error, for log and client, names the failure and the holder of
// a busy volume.
[[nodiscard]] std::expected<OpenedDisk, VolumeRefusal> open_disk(const VolumeRequest& request);

// Reads the volume's traits without claiming, changing or creating anything. Refuses a device that the kernel
// would not open for writing, because it is mounted here or part of another device.
[[nodiscard]] std::expected<VolumeTraits, VolumeRefusal> look_at_volume(const VolumeRequest& request);

}  // namespace holdfast::server
