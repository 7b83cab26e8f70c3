// Two locks, never both: the map's for a moment, a slot's for as long as its volume takes to open or close.

#include "server/volume_registry.hh"

#include <fmt/format.h>
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
    slot_->volume->end_writing();
    slot_->volume.reset();
}

VolumeRegistry::Key VolumeRegistry::key_of(const struct stat& status, const VolumeRequest& request) {
    const bool direct = !request.writable && request.direct;
    if (S_ISBLK(status.st_mode)) return Key{status.st_rdev, 0, request.writable, direct};
    return Key{status.st_dev, status.st_ino, request.writable, direct};
}

std::expected<VolumeRegistry::Key, VolumeRefusal> VolumeRegistry::find_key(const VolumeRequest& request) {
    struct stat status {};
    if (::stat(request.path.c_str(), &status) != 0) {
        const SysError error{errno, "stat"};
        return std::unexpected(
            VolumeRefusal{error.code == ENOENT, fmt::format("{}: {}", request.path, error.message())});
    }
    return key_of(status, request);
}

// The path may lead elsewhere since the key was found. A slot that held another volume than its key says
// would give that one to whoever asks for the volume of the key.
std::expected<std::unique_ptr<Volume>, VolumeRefusal> VolumeRegistry::open(const VolumeRequest& request,
                                                                           const Key& key) {
    std::expected<std::unique_ptr<Volume>, VolumeRefusal> opened = open_volume(request);
    if (!opened) return opened;
    const Result<struct stat> status = (*opened)->status();
    if (!status || key_of(*status, request) != key) {
        return std::unexpected(
            VolumeRefusal{false, fmt::format("{} was replaced while it was opened", request.path)});
    }
    if (!request.writable) return opened;
    const Result<std::string> identity = (*opened)->identity();
    if (!identity) {
        return std::unexpected(
            VolumeRefusal{false, fmt::format("{}: {}", request.path, identity.error().message())});
    }
    (*opened)->begin_writing(losses_.of(*identity, request.path));
    return opened;
}

std::shared_ptr<VolumeSlot> VolumeRegistry::slot_for(const Key& key) {
    const std::lock_guard lock(mutex_);
    // Slots that nobody holds any more are forgotten here: there are never more than users.
    std::erase_if(slots_, [](const auto& one) { return one.second.use_count() == 1; });
    std::shared_ptr<VolumeSlot>& slot = slots_[key];
    if (!slot) slot = std::make_shared<VolumeSlot>();
    return slot;
}

std::expected<VolumeUse, VolumeRefusal> VolumeRegistry::acquire(const VolumeRequest& request) {
    if (const auto created = create_missing_file(request); !created) return std::unexpected(created.error());
    const std::expected<Key, VolumeRefusal> key = find_key(request);
    if (!key) return std::unexpected(key.error());
    std::shared_ptr<VolumeSlot> slot = slot_for(*key);
    const std::lock_guard lock(slot->mutex);
    if (slot->users == 0) {
        std::expected<std::unique_ptr<Volume>, VolumeRefusal> opened = open(request, *key);
        if (!opened) return std::unexpected(opened.error());
        slot->volume = std::move(*opened);
    }
    ++slot->users;
    return VolumeUse(slot);
}

}  // namespace holdfast::server
