// Uses two kinds of lock, the map's and a slot's, never both at once and never during a disk operation.

#include "server/volume/volume_registry.hh"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "server/process/thread.hh"

namespace holdfast::server {
namespace {

using Call = VolumeSlot::Call;
using Lock = std::unique_lock<std::mutex>;

std::string_view in_words(Call call) {
    switch (call) {
        case Call::opening: return "opening";
        case Call::closing: return "closing after the last client";
        case Call::examining:
        case Call::none: break;
    }
    return "reading the size";
}

std::unexpected<VolumeRefusal> does_not_answer(const VolumeSlot& slot) {
    return std::unexpected(VolumeRefusal{
        false, fmt::format("{}: the disk does not answer ({} timed out)", slot.name, in_words(slot.call))});
}

// Ends a use. The last user flushes and closes, in its own thread. The flush may take as long as the disk
// needs; a user that arrives meanwhile keeps the volume open. A user that leaves meanwhile leaves the rest to
// the flushing thread, so that a hanging disk blocks only one thread however many clients come and go.
void release(VolumeSlot& slot) {
    Lock lock(slot.mutex);
    if (--slot.users > 0 || slot.flushing || !slot.volume) return;
    slot.flushing = true;
    do {
        lock.unlock();
        slot.volume->end_writing();
        lock.lock();
    } while (slot.users == 0 && slot.volume->has_unflushed());
    slot.flushing = false;
    if (slot.users > 0) return;
    slot.call = Call::closing;
    std::unique_ptr<JobPool> jobs = std::move(slot.jobs);
    std::unique_ptr<Volume> volume = std::move(slot.volume);
    lock.unlock();
    jobs.reset();
    volume.reset();
    lock.lock();
    slot.call = Call::none;
    slot.changed.notify_all();
}

}  // namespace

VolumeUse& VolumeUse::operator=(VolumeUse&& other) noexcept {
    std::swap(slot_, other.slot_);
    std::swap(traits_, other.traits_);
    return *this;
}

VolumeUse::~VolumeUse() {
    if (slot_) release(*slot_);
}

// A call of acquire(), as carried out by its thread. The caller may have left at its deadline: then the
// thread releases the result.
class VolumeRegistry::Opening : public std::enable_shared_from_this<VolumeRegistry::Opening> {
public:
    Opening(VolumeRegistry& registry, DiskSource& disks, DiskWanted wanted, const DiskKey& key,
            std::shared_ptr<VolumeSlot> slot)
        : registry_(registry),
          disks_(disks),
          wanted_(std::move(wanted)),
          key_(key),
          slot_(std::move(slot)),
          slot_name_(slot_->name) {}

    // Called with the slot's lock held, by the thread of acquire(). Waits until the deadline.
    [[nodiscard]] std::expected<VolumeUse, VolumeRefusal> run(Lock& lock);
    [[nodiscard]] const std::string& name() const { return slot_name_; }

private:
    [[nodiscard]] Result<void> start();
    static void* thread_main(void* self);
    void work();

    VolumeRegistry& registry_;
    DiskSource& disks_;
    const DiskWanted wanted_;
    const DiskKey key_;
    const std::shared_ptr<VolumeSlot> slot_;
    const std::string slot_name_;
    pthread_t thread_{};               // joined by run(), unless abandoned
    std::shared_ptr<Opening> itself_;  // set while the thread runs
    // Under the slot's mutex:
    bool abandoned_ = false;
    std::optional<std::expected<VolumeUse, VolumeRefusal>> result_;
};

Result<void> VolumeRegistry::Opening::start() {
    const std::lock_guard lock(registry_.mutex_);
    itself_ = shared_from_this();
    const Result<pthread_t> thread = start_thread(thread_main, this);
    if (!thread) {
        itself_.reset();
        return std::unexpected(thread.error());
    }
    thread_ = *thread;
    registry_.openings_.push_back(this);
    return {};
}

std::expected<VolumeUse, VolumeRefusal> VolumeRegistry::Opening::run(Lock& lock) {
    VolumeSlot& slot = *slot_;
    slot.call = slot.volume ? Call::examining : Call::opening;
    ++slot.users;
    lock.unlock();
    const Result<void> started = start();
    lock.lock();
    if (!started) {
        slot.call = Call::none;
        slot.changed.notify_all();
        lock.unlock();
        release(slot);
        return std::unexpected(VolumeRefusal{false, started.error().message()});
    }
    if (slot.changed.wait_until(lock, wanted_.deadline, [this] { return result_.has_value(); })) {
        lock.unlock();
        (void)::pthread_join(thread_, nullptr);  // the thread has ended, or is about to
        return std::move(*result_);
    }
    abandoned_ = true;
    return does_not_answer(slot);
}

void* VolumeRegistry::Opening::thread_main(void* self) {
    static_cast<Opening*>(self)->work();
    return nullptr;
}

// While this call runs, the slot cannot change: the slot has a user, so no thread closes it, and no other
// thread opens it.
void VolumeRegistry::Opening::work() {
    VolumeSlot& slot = *slot_;
    std::expected<std::unique_ptr<Volume>, VolumeRefusal> opened;
    if (!slot.volume) opened = registry_.open(disks_, wanted_, key_);
    Result<VolumeTraits> traits;
    if (const Volume* const volume = slot.volume ? slot.volume.get() : opened ? opened->get() : nullptr)
        traits = volume->traits();
    std::optional<VolumeUse> left_over;
    bool abandoned = false;
    {
        const Lock lock(slot.mutex);
        abandoned = abandoned_;
        slot.call = Call::none;
        if (!opened) {
            --slot.users;
            result_ = std::unexpected(opened.error());
        } else {
            if (!slot.volume) {
                slot.volume = std::move(*opened);
                slot.jobs = std::make_unique<JobPool>();
            }
            if (abandoned_) {
                left_over.emplace(slot_, traits);
            } else {
                result_.emplace(VolumeUse(slot_, traits));
            }
        }
        slot.changed.notify_all();
    }
    if (abandoned) (void)::pthread_detach(::pthread_self());
    left_over.reset();
    const std::shared_ptr<Opening> until_the_end = std::move(itself_);
    const std::lock_guard lock(registry_.mutex_);
    std::erase(registry_.openings_, this);
    registry_.opening_ended_.notify_all();
}

VolumeRegistry::~VolumeRegistry() {
    Lock lock(mutex_);
    opening_ended_.wait(lock, [this] { return openings_.empty(); });
}

std::vector<std::string> VolumeRegistry::hanging() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const Opening* one : openings_) names.push_back(one->name());
    return names;
}

// The size of a block device is a number in memory; only a file's size may have to be asked from a server.
std::map<DiskKey, VolumeTraits> VolumeRegistry::device_traits() const {
    std::vector<std::shared_ptr<VolumeSlot>> devices;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [key, slot] : slots_) {
            if (key.inode == 0) devices.push_back(slot);
        }
    }
    std::map<DiskKey, VolumeTraits> found;
    for (const auto& slot : devices) {
        const std::lock_guard lock(slot->mutex);
        if (!slot->volume) continue;
        if (const Result<VolumeTraits> traits = slot->volume->traits()) found.emplace(slot->key, *traits);
    }
    return found;
}

// Compares the keys, since the path may lead to another disk since the key was found. A slot with a disk that
// does not match its key would hand out the wrong disk.
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
        return std::unexpected(VolumeRefusal{false, path + " was replaced while being opened"});
    if (writable) opened->begin_writing(losses_.of(opened->identity(), path));
    return opened;
}

std::shared_ptr<VolumeSlot> VolumeRegistry::slot_for(const DiskKey& key) {
    const std::lock_guard lock(mutex_);
    // Removes unused slots: there are never more slots than users.
    std::erase_if(slots_, [](const auto& one) { return one.second.use_count() == 1; });
    std::shared_ptr<VolumeSlot>& slot = slots_[key];
    if (!slot) {
        slot = std::make_shared<VolumeSlot>();
        slot->key = key;
    }
    return slot;
}

std::expected<VolumeUse, VolumeRefusal> VolumeRegistry::acquire(DiskSource& disks, const DiskWanted& wanted) {
    const std::expected<DiskKey, VolumeRefusal> key = disks.find(wanted);
    if (!key) return std::unexpected(key.error());
    // The process that opens disks has a newer configuration than the connection. Of devices, some reject
    // writes: VolumeTraits::read_only.
    const bool may_be_read_only = key->inode == 0 && !key->writable;
    if (key->writable != wanted.writable && !may_be_read_only)
        return std::unexpected(VolumeRefusal{false, "the configuration has just changed; connect again"});
    std::shared_ptr<VolumeSlot> slot = slot_for(*key);
    Lock lock(slot->mutex);
    const auto free = [&] { return slot->call == Call::none; };
    if (!slot->changed.wait_until(lock, wanted.deadline, free)) return does_not_answer(*slot);
    if (!slot->volume) slot->name = wanted.path;
    return std::make_shared<Opening>(*this, disks, wanted, *key, slot)->run(lock);
}

}  // namespace holdfast::server
