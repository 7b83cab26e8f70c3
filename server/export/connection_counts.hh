// Counts connections by export, for the limits of the configuration. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace holdfast::server {

// Number of connections per export name; preserved across reloads of the configuration.
class ConnectionCounts {
public:
    // Counts a connection, unless `limit` connections exist already (0: no limit).
    [[nodiscard]] bool enter(const std::string& name, std::uint32_t limit);
    void leave(const std::string& name);
    [[nodiscard]] std::uint32_t count(std::string_view name) const;
    // Use in place of an export's name: all connections of the server that have an export.
    static constexpr const char* all = "";

private:
    mutable std::mutex mutex_;
    std::map<std::string, std::uint32_t, std::less<>> counts_;
};

}  // namespace holdfast::server
