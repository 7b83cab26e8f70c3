// Use of an export by one connection, from a successful open to the end of the connection.
#pragma once

#include <utility>

#include "server/config/config.hh"
#include "server/export/shared.hh"

namespace holdfast::server {

class OpenExport {
public:
    // `disk_use` must have been entered in shared.disks, unless the export is virtual.
    OpenExport(const ExportConfig& config, Shared& shared, VolumeUse use, ConnectionFacts facts,
               DisksInUse::Use disk_use)
        : config_(config),
          counts_(shared.counts),
          disks_(shared.disks),
          disk_use_(std::move(disk_use)),
          in_session_(facts.session.has_value()),
          full_disk_(shared.full_disks.of(config)),
          use_(std::move(use)),
          counted_connection_(shared.statistics, std::move(facts)) {}
    OpenExport(const OpenExport&) = delete;
    OpenExport& operator=(const OpenExport&) = delete;
    ~OpenExport() { leave_count(); }

    // Stops counting this connection, though the volume is still held.
    void leave_count() {
        if (!std::exchange(counted_, false)) return;
        counts_.leave(config_.name);
        counts_.leave(ConnectionCounts::all);
        if (!config_.is_virtual()) disks_.leave(config_.name, disk_use_);
    }

    [[nodiscard]] const ExportConfig& config() const { return config_; }
    [[nodiscard]] Volume& volume() const { return use_.volume(); }
    [[nodiscard]] const DisksInUse::Use& disk_use() const { return disk_use_; }
    // Whether the client has claimed a session, and so comes back by itself.
    [[nodiscard]] bool in_session() const { return in_session_; }
    // Writer for Volume::flush(). Set before the first request; until then, a Writer that cannot write.
    void set_writer(Writer writer) { writer_ = std::move(writer); }
    [[nodiscard]] const Writer& writer() const { return writer_; }
    [[nodiscard]] RequestCounters& counters() { return counted_connection_.counters; }
    [[nodiscard]] JobPool& jobs() const { return use_.jobs(); }
    [[nodiscard]] FullDiskName full_disk_name() const {
        return {disk_use_.path, use_.key().inode == 0, volume().thin_pool()};
    }
    [[nodiscard]] const std::shared_ptr<FullDisk>& full_disk() const { return full_disk_; }

private:
    const ExportConfig& config_;
    ConnectionCounts& counts_;
    DisksInUse& disks_;
    const DisksInUse::Use disk_use_;
    const bool in_session_;
    bool counted_ = true;
    const std::shared_ptr<FullDisk> full_disk_;
    VolumeUse use_;
    Writer writer_;
    Statistics::Connection counted_connection_;
};

}  // namespace holdfast::server
