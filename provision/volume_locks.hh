// Locks in files, so that they end with their process. A lock on a group is held for LVM's commands only; a
// lock on a volume is held as long as the volume is being made.
#pragma once

#include <optional>
#include <string>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::provision {

// A held lock on a volume. Removes the file at its end, so that names that clients invent leave no files
// behind.
class VolumeLock {
public:
    VolumeLock(Fd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
    VolumeLock(VolumeLock&&) = default;
    VolumeLock& operator=(VolumeLock&&) = delete;
    ~VolumeLock();

private:
    Fd file_;  // invalid after a move
    std::string path_;
};

class VolumeLocks {
public:
    // `folder` exists, and only root can write to it.
    explicit VolumeLocks(std::string folder) : folder_(std::move(folder)) {}

    // Waits for the lock; closing the descriptor releases it.
    [[nodiscard]] Result<Fd> lock_group(const std::string& group) const;
    // The same, but gives up with ECANCELED when the other end of the socket `asker` is closed.
    [[nodiscard]] Result<VolumeLock> lock_volume(const std::string& group, const std::string& volume,
                                                 int asker) const;

private:
    [[nodiscard]] std::string path_of(const std::string& name) const { return folder_ + "/" + name; }

    std::string folder_;
};

}  // namespace holdfast::provision
