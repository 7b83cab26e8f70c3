// Judges the path of an export without opening it: no disk is waited for, and no device is probed or claimed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "server/config/config.hh"

namespace holdfast::server {

// Whether the device rejects writes: BLKROGET, as /sys shows it. False if unknown.
[[nodiscard]] bool is_read_only_device(dev_t device, const std::string& sys = "/sys");

// Findings about a path; both empty: clients can use it.
struct PathFindings {
    std::string mistake;  // never usable as it is: wrong kind, or empty
    std::string warning;  // not usable at present, or not as configured
    bool usable{};        // despite the warning
};

// Reports what opening the path for a client would find. Blocks while the path's file system does not answer.
// `path` is the export's path; a path that depends on the client is not checked.
[[nodiscard]] PathFindings check_path(const ExportConfig& config, const std::string& sys = "/sys");

// Explains why a missing file cannot be created with `filesize`; empty: it can.
[[nodiscard]] std::string why_not_creatable(const std::string& path);

}  // namespace holdfast::server
