// Which volumes are open. One volume is opened once, however many connections, exports and names lead to it,
// at the first use, and closed with the last: then an LV may be mounted or removed again, and the next use
// sees what has changed.
// Writers with the page cache and without it (O_DIRECT) do not see each other's data at every moment. So the
// one open of a volume that is written to serves both kinds of export, as the first of them had it opened.
// Readers may have it otherwise, because the kernel writes out or drops what it has in the cache before each
// of their reads and after each direct write.
// Opening a volume, asking for its size and closing it may wait for a disk that never answers. Each of these
// holds one thread of the volume's own and no lock, so that callers wait until their deadlines at most, and
// only for the disk that they want.
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

#include "server/volume/jobs.hh"
#include "server/volume/volume.hh"

namespace holdfast::server {

// A volume with the number of its users. The mutex is held for moments only.
struct VolumeSlot {
    // The call into the disk that goes on, of which there is one at a time (and one closing flush).
    enum class Call : std::uint8_t { none, opening, examining, closing };

    std::mutex mutex;
    std::condition_variable changed;
    std::unique_ptr<Volume> volume;  // set while users > 0, except before the first opening has ended
    std::unique_ptr<JobPool> jobs;   // the threads that wait for it; set with `volume`
    std::size_t users = 0;
    Call call = Call::none;
    bool flushing = false;  // the last user has left, and its thread flushes; a new user is let in meanwhile
    std::string name;       // for messages: the path that it was opened by
    DiskKey key;            // set once, when the slot is made
};

// The right to use an open volume. The last one closes it, when it is destroyed; that may block on the disk.
// Who acquires the volume meanwhile does not wait for that, unless the descriptors are being closed already.
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
    // As they were when the volume was acquired.
    [[nodiscard]] const Result<VolumeTraits>& traits() const { return traits_; }
    [[nodiscard]] const DiskKey& key() const { return slot_->key; }
    explicit operator bool() const { return slot_ != nullptr; }

private:
    std::shared_ptr<VolumeSlot> slot_;
    Result<VolumeTraits> traits_;
};

// What a client wants.
struct DiskWanted {
    std::string name;  // of the export
    std::string host;  // the client's address, or "unix"
    bool writable = false;
    std::chrono::steady_clock::time_point deadline;  // it is waited for no longer than this
    std::string path{};                              // for messages only: the source decides what is opened
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
    VolumeRegistry() = default;
    VolumeRegistry(const VolumeRegistry&) = delete;
    VolumeRegistry& operator=(const VolumeRegistry&) = delete;
    // Waits for the calls into disks that acquire() has left behind, see hanging().
    ~VolumeRegistry();

    // Opens the volume, unless it is open, and looks for its size. Blocks until the deadline of `wanted` at
    // most; `disks` must outlive the registry. The error names the disk that does not answer.
    [[nodiscard]] std::expected<VolumeUse, VolumeRefusal> acquire(DiskSource& disks,
                                                                  const DiskWanted& wanted);
    [[nodiscard]] Losses& losses() { return losses_; }

    // The names of the volumes that are being opened or examined now. Beyond every caller's deadline, those
    // whose disk does not answer.
    [[nodiscard]] std::vector<std::string> hanging() const;

private:
    class Opening;

    // Opened anew; refused where it is not what `key` says.
    [[nodiscard]] std::expected<std::unique_ptr<Volume>, VolumeRefusal> open(DiskSource& disks,
                                                                             const DiskWanted& wanted,
                                                                             const DiskKey& key);
    [[nodiscard]] std::shared_ptr<VolumeSlot> slot_for(const DiskKey& key);

    Losses losses_;
    mutable std::mutex mutex_;
    std::condition_variable opening_ended_;
    std::map<DiskKey, std::shared_ptr<VolumeSlot>> slots_;
    std::vector<const Opening*> openings_;  // that have a thread
};

}  // namespace holdfast::server
