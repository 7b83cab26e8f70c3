// Registry of open volumes. A volume is opened once, however many connections, exports and names refer to it:
// at the first use. The last use closes the volume, so that an LV can be mounted or removed, and the next use
// sees changes. Writers with the page cache and writers without it (O_DIRECT) do not always see each other's
// data at once. So a writable volume is open only once and serves both kinds of export, in the mode of the
// first export. Readers may use another mode, because the kernel writes out or drops cached pages before each
// direct read and after each direct write. Opening a volume, querying its size and closing it may wait for a
// disk that never answers. Each of these operations uses a thread of the volume and no lock, so that callers
// wait at most until their deadlines, and only for the disk that they request.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/linux/clock.hh"
#include "server/volume/job_pool.hh"
#include "server/volume/volume.hh"

namespace holdfast::server {

// A volume and its user count. The mutex is held only briefly.
struct VolumeSlot {
    // Disk operation in progress, at most one at a time (plus a closing flush).
    enum class Call : std::uint8_t { none, opening, examining, closing };

    std::mutex mutex;
    std::condition_variable changed;
    std::unique_ptr<Volume> volume;  // set while users > 0, except until the first opening has ended
    std::unique_ptr<JobPool> jobs;   // threads for disk operations; set with `volume`
    std::size_t users = 0;
    Call call = Call::none;
    bool flushing =
        false;         // the last user has left, and its thread flushes; new users are admitted meanwhile
    std::string name;  // for messages: path used for opening
    DiskKey key;       // set once, when the slot is created
};

// Use of an open volume. Destroying the last use closes the volume, which may block on the disk. A caller
// that acquires the volume meanwhile does not wait, unless the descriptors are already being closed.
class VolumeUse {
public:
    VolumeUse() = default;
    explicit VolumeUse(std::shared_ptr<VolumeSlot> slot) : slot_(std::move(slot)) {}
    VolumeUse(std::shared_ptr<VolumeSlot> slot, Result<VolumeTraits> traits)
        : slot_(std::move(slot)), traits_(traits) {}
    VolumeUse(VolumeUse&&) = default;
    VolumeUse& operator=(VolumeUse&& other) noexcept;
    ~VolumeUse();

    [[nodiscard]] Volume& volume() const { return *slot_->volume; }
    [[nodiscard]] JobPool& jobs() const { return *slot_->jobs; }
    // Traits at the time of acquire().
    [[nodiscard]] const Result<VolumeTraits>& traits() const { return traits_; }
    [[nodiscard]] const DiskKey& key() const { return slot_->key; }
    explicit operator bool() const { return slot_ != nullptr; }

private:
    std::shared_ptr<VolumeSlot> slot_;
    Result<VolumeTraits> traits_;
};

// Disk request of a client.
struct DiskWanted {
    std::string name;  // export name
    std::string host;  // the client's address, or "unix"
    bool writable = false;
    Deadline deadline;      // latest end of the wait
    std::string path{};     // for messages only: the source chooses the disk to open
    std::string session{};  // word of the session whose volume it is (HostKind::session); empty: no session's
};

// Source of disks, by export name and configuration.
class DiskSource {
public:
    virtual ~DiskSource() = default;
    // Finds the disk. Creates a missing file, if the configuration permits.
    [[nodiscard]] virtual std::expected<DiskKey, VolumeRefusal> find(const DiskWanted& wanted) = 0;
    [[nodiscard]] virtual std::expected<OpenedDisk, VolumeRefusal> open(const DiskWanted& wanted) = 0;
};

// Safe to be called from any thread. Must outlive the threads of all its uses, but not the uses themselves.
class VolumeRegistry {
public:
    VolumeRegistry() = default;
    VolumeRegistry(const VolumeRegistry&) = delete;
    VolumeRegistry& operator=(const VolumeRegistry&) = delete;
    // Waits for disk operations that acquire() has abandoned, see hanging().
    ~VolumeRegistry();

    // Opens the volume, unless it is open, and queries its size. Blocks at most until the deadline of
    // `wanted`; `disks` must outlive the registry. The error names the disk that does not answer.
    [[nodiscard]] std::expected<VolumeUse, VolumeRefusal> acquire(DiskSource& disks,
                                                                  const DiskWanted& wanted);
    [[nodiscard]] LostWrites& losses() { return losses_; }

    // Present traits of the open block devices. Never waits for a disk.
    [[nodiscard]] std::map<DiskKey, VolumeTraits> device_traits() const;

    // Names of the volumes that are being opened or examined. After the deadlines of all callers, these are
    // the volumes whose disks do not answer.
    [[nodiscard]] std::vector<std::string> hanging() const;

private:
    class Opening;

    // Opens the volume; refuses if the opened disk does not match `key`.
    [[nodiscard]] std::expected<std::unique_ptr<Volume>, VolumeRefusal> open(DiskSource& disks,
                                                                             const DiskWanted& wanted,
                                                                             const DiskKey& key);
    [[nodiscard]] std::shared_ptr<VolumeSlot> slot_for(const DiskKey& key);

    LostWrites losses_;
    mutable std::mutex mutex_;
    std::condition_variable opening_ended_;
    std::map<DiskKey, std::shared_ptr<VolumeSlot>> slots_;
    std::vector<const Opening*> openings_;  // openings with a running thread
};

}  // namespace holdfast::server
