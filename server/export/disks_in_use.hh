// Records the disk behind each export name while connections use the disk. An export's path may change with
// the configuration, or lead to another disk, while clients have the old disk open. A name whose connections
// were offered CAN_MULTI_CONN must not stand for two disks: data that a client writes and flushes through one
// connection would be missing on another. So clients of the new disk are refused until the old disk is
// released. If both are read-only, only clients with connections to the old disk are refused.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/volume/volume.hh"

namespace holdfast::server {

// Safe to be called from any thread; no function waits.
class DisksInUse {
public:
    struct Use {
        DiskKey disk;
        std::string path;    // for messages
        std::string client;  // equal for all connections that may belong to the same client
        bool read_only = false;
    };

    // Reason why the export may not be used this way at present, for log and client. nullopt: no conflict.
    [[nodiscard]] std::optional<std::string> conflict(const std::string& name, const Use& use) const;
    // Like conflict(); without a conflict, also records the use until leave().
    [[nodiscard]] std::optional<std::string> enter(const std::string& name, const Use& use);
    void leave(const std::string& name, const Use& use);

    // Connections that use the name with a path other than `path`.
    struct Others {
        std::string path;
        std::size_t connections = 0;
    };
    [[nodiscard]] Others others_than(std::string_view name, std::string_view path) const;

private:
    [[nodiscard]] std::optional<std::string> find_conflict(const std::string& name, const Use& use) const;

    mutable std::mutex mutex_;
    std::map<std::string, std::vector<Use>, std::less<>> uses_;  // an entry per connection
};

}  // namespace holdfast::server
