// Opens disks and files for volumes, and says why where that cannot be. The one part of the server that names
// paths to the kernel for a client's sake: it runs in the opener (opener.hh) only.
#pragma once

#include <optional>

#include "server/volume/volume.hh"

namespace holdfast::server {

// How a disk is to be opened.
struct VolumeRequest {
    std::string path;
    bool writable = false;
    std::uint64_t create_size = 0;  // not 0: a file that does not exist is made with this size
    // Around the page cache, with O_DIRECT. Empty: where it is a block device that is written to, and clients
    // can go on with requests of 512 bytes.
    std::optional<bool> direct = false;
    pid_t server = -1;  // the process whose own descriptors do not count as a holder's
};

// Makes the file where `create_size` asks for that and there is nothing yet. Not below /dev: a logical volume
// that is not active is not to be replaced by a file in memory.
[[nodiscard]] std::expected<void, VolumeRefusal> create_missing_file(const VolumeRequest& request);

// Whether open_disk() goes around the page cache. The disk is not opened.
[[nodiscard]] std::expected<bool, VolumeRefusal> find_direct(const VolumeRequest& request);

// What is at the path; it is not opened.
[[nodiscard]] std::expected<DiskKey, VolumeRefusal> find_disk(const VolumeRequest& request);

// Opens it for serving. A writable block device is opened O_EXCL, a writable file is locked, so that nobody
// else who plays by the rules writes to it. The error is for log and client: what failed and, for a busy
// volume, who holds it.
[[nodiscard]] std::expected<OpenedDisk, VolumeRefusal> open_disk(const VolumeRequest& request);

// Looks at its traits without taking it into use, and without changing or creating anything.
[[nodiscard]] std::expected<VolumeTraits, VolumeRefusal> look_at_volume(const VolumeRequest& request);

}  // namespace holdfast::server
