// Compares the size of a disk with the size that a client was offered. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "server/config/config.hh"
#include "server/volume/volume.hh"

namespace holdfast::server {

struct SizeChange {
    enum class Kind : std::uint8_t {
        none,
        grown,   // a new connection would be offered `now` bytes
        shrunk,  // the disk has only `now` bytes
        gone,    // the disk was removed, and has no byte left
    };
    Kind kind = Kind::none;
    std::uint64_t now = 0;

    bool operator==(const SizeChange&) const = default;
};

// `offered`: bytes that the client was offered. `config`: the export's present configuration; null if there
// is none, or if it names another path, so that the client would not be offered this disk.
[[nodiscard]] SizeChange size_change(std::uint64_t offered, const ExportConfig* config,
                                     const VolumeTraits& traits);

// Client whose disk has changed.
struct SizeNews {
    std::string export_name;
    std::string path;
    std::string peer;
    std::uint64_t offered = 0;  // bytes
    bool in_session = false;    // the client probes the export, and reconnects for a new size
};
// Format lines for the log.
[[nodiscard]] std::string grown_text(const SizeNews& news, const SizeChange& change);
[[nodiscard]] std::string shrunk_text(const SizeNews& news, const SizeChange& change);

}  // namespace holdfast::server
