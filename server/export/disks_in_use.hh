// Which disk each export's name stands for, as long as connections use it. An export's path may change with
// the configuration, or come to lead elsewhere, while clients have the old disk open. A name whose
// connections were offered CAN_MULTI_CONN must not stand for two disks: what a client writes and flushes by
// one of them would not be seen by the others. So clients of another disk are refused until the old one is
// left. Where both are read-only, that concerns only a client that has connections to the old one itself.
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

// Safe to be called from any thread; nothing waits.
class DisksInUse {
public:
    struct Use {
        DiskKey disk;
        std::string path;    // for messages
        std::string client;  // the same for all connections that may be one client's
        bool read_only = false;
    };

    // Why the export may not be used so at present, for log and client. nullopt: it may.
    [[nodiscard]] std::optional<std::string> conflict(const std::string& name, const Use& use) const;
    // The same, and if it may be, it is used so until leave().
    [[nodiscard]] std::optional<std::string> enter(const std::string& name, const Use& use);
    void leave(const std::string& name, const Use& use);

    // How many connections use the name by another path than this one.
    struct Others {
        std::string path;
        std::size_t connections = 0;
    };
    [[nodiscard]] Others others_than(std::string_view name, std::string_view path) const;

private:
    [[nodiscard]] std::optional<std::string> find_conflict(const std::string& name, const Use& use) const;

    mutable std::mutex mutex_;
    std::map<std::string, std::vector<Use>, std::less<>> uses_;  // one for each connection
};

}  // namespace holdfast::server
