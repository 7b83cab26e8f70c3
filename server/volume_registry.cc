// Two locks, never both: the map's for a moment, a slot's for as long as its volume takes to open or close.

#include "server/volume_registry.hh"

#include <sys/stat.h>

#include <utility>

namespace holdfast::server {

VolumeUse& VolumeUse::operator=(VolumeUse&& other) noexcept {
    std::swap(slot_, other.slot_);
    return *this;
}

VolumeUse::~VolumeUse() {
    if (!slot_) return;
    const std::lock_guard lock(slot_->mutex);
    // Closed under the lock: who opens it next must not find it still busy with us.
    if (--slot_->users > 0) return;
    slot_->jobs.reset();
    slot_->volume->end_writing();
    slot_->volume.reset();
}

// The path may lead elsewhere since the key was found. A slot that held another volume than its key says
// would give that one to whoever asks for the volume of the key.
std::expected<std::unique_ptr<Volume>, VolumeRefusal> VolumeRegistry::open(DiskSource& disks,
                                                                           const DiskWanted& wanted,
                                                                           const DiskKey& key) {
    std::expected<OpenedDisk, VolumeRefusal> disk = disks.open(wanted);
    if (!disk) return std::unexpected(disk.error());
    const bool writable = disk->facts.writable;
    const bool direct = disk->facts.direct;
    const std::string path = disk->facts.path;
    std::unique_ptr<Volume> opened = make_volume(std::move(*disk));
    const Result<struct stat> status = opened->status();
    if (!status || key_of(*status, writable, direct) != key)
        return std::unexpected(VolumeRefusal{false, path + " was replaced while it was opened"});
    if (writable) opened->begin_writing(losses_.of(opened->identity(), path));
    return opened;
}

std::shared_ptr<VolumeSlot> VolumeRegistry::slot_for(const DiskKey& key) {
    const std::lock_guard lock(mutex_);
    // Slots that nobody holds any more are forgotten here: there are never more than users.
    std::erase_if(slots_, [](const auto& one) { return one.second.use_count() == 1; });
    std::shared_ptr<VolumeSlot>& slot = slots_[key];
    if (!slot) slot = std::make_shared<VolumeSlot>();
    return slot;
}

std::expected<VolumeUse, VolumeRefusal> VolumeRegistry::acquire(DiskSource& disks, const DiskWanted& wanted) {
    const std::expected<DiskKey, VolumeRefusal> key = disks.find(wanted);
    if (!key) return std::unexpected(key.error());
    // The disk's side has a newer configuration than the connection.
    if (key->writable != wanted.writable)
        return std::unexpected(VolumeRefusal{false, "the configuration has just changed; connect again"});
    std::shared_ptr<VolumeSlot> slot = slot_for(*key);
    const std::lock_guard lock(slot->mutex);
    if (slot->users == 0) {
        std::expected<std::unique_ptr<Volume>, VolumeRefusal> opened = open(disks, wanted, *key);
        if (!opened) return std::unexpected(opened.error());
        slot->volume = std::move(*opened);
        slot->jobs = std::make_unique<JobPool>();
    }
    ++slot->users;
    return VolumeUse(slot);
}

}  // namespace holdfast::server
