// Which volumes are open. One volume is opened once, however many connections, exports and names lead to it,
// at the first use, and closed with the last: then an LV may be mounted or removed again, and the next use
// sees what has changed.
// Writers with the page cache and without it (O_DIRECT) do not see each other's data at every moment. So the
// one open of a volume that is written to serves both kinds of export, as the first of them had it opened.
// Readers may have it otherwise, because the kernel writes out or drops what it has in the cache before each
// of their reads and after each direct write.
#pragma once

#include <chrono>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "server/jobs.hh"
#include "server/volume.hh"

namespace holdfast::server {

// A volume with the number of its users. The mutex is held while it is opened and closed, which can take
// long: whoever wants the same volume meanwhile waits, whoever wants another does not.
struct VolumeSlot {
    std::mutex mutex;
    std::unique_ptr<Volume> volume;  // set while users > 0
    std::unique_ptr<JobPool> jobs;   // the threads that wait for it; set while users > 0
    std::size_t users = 0;
};

// The right to use an open volume. The last one closes it, when it is destroyed; that may block on the disk.
class VolumeUse {
public:
    VolumeUse() = default;
    explicit VolumeUse(std::shared_ptr<VolumeSlot> slot) : slot_(std::move(slot)) {}
    VolumeUse(VolumeUse&&) = default;
    VolumeUse& operator=(VolumeUse&& other) noexcept;
    ~VolumeUse();

    [[nodiscard]] Volume& volume() const { return *slot_->volume; }
    [[nodiscard]] JobPool& jobs() const { return *slot_->jobs; }
    explicit operator bool() const { return slot_ != nullptr; }

private:
    std::shared_ptr<VolumeSlot> slot_;
};

// What a client wants.
struct DiskWanted {
    std::string name;  // of the export
    std::string host;  // the client's address, or "unix"
    bool writable = false;
    std::chrono::steady_clock::time_point deadline;  // it is waited for no longer than this
};

// Where disks come from: by the names of exports, and by what the configuration makes of them.
class DiskSource {
public:
    virtual ~DiskSource() = default;
    // Which disk it is. A file that is missing and may be made is made.
    [[nodiscard]] virtual std::expected<DiskKey, VolumeRefusal> find(const DiskWanted& wanted) = 0;
    [[nodiscard]] virtual std::expected<OpenedDisk, VolumeRefusal> open(const DiskWanted& wanted) = 0;
};

// Safe to be called from any thread. Must outlive all its uses' threads, not the uses themselves.
class VolumeRegistry {
public:
    [[nodiscard]] std::expected<VolumeUse, VolumeRefusal> acquire(DiskSource& disks,
                                                                  const DiskWanted& wanted);

private:
    // Opened anew; refused where it is not what `key` says.
    [[nodiscard]] std::expected<std::unique_ptr<Volume>, VolumeRefusal> open(DiskSource& disks,
                                                                             const DiskWanted& wanted,
                                                                             const DiskKey& key);
    [[nodiscard]] std::shared_ptr<VolumeSlot> slot_for(const DiskKey& key);

    Losses losses_;
    std::mutex mutex_;
    std::map<DiskKey, std::shared_ptr<VolumeSlot>> slots_;
};

}  // namespace holdfast::server
