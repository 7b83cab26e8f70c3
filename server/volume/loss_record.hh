// Record of lost writes for the next server process: a small file in a folder that a reboot clears (/run).
// Without the record a restarted server would answer FLUSH with success although its predecessor knew of lost
// writes.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/protocol/session_option.hh"

namespace holdfast::server {

// Loss states of several disks, in the format of lost_writes.hh. Safe to be called from any thread.
//
// The file has two halves, written alternately, each with a number and a checksum. A process that is killed
// while it writes leaves the other half intact. A torn half shows that there was a newer state, so a loss is
// then assumed for every disk, including the disks in the intact half.
class LossRecord {
public:
    // Length of a half, in bytes. If the states are longer, the next process assumes a loss for every disk
    // that does not fit.
    static constexpr std::size_t half = 512U << 10;

    // Keeps the record in memory only, until open().
    LossRecord() = default;

    // Reads the record that an earlier process of the same boot left at `path` (if unreadable, assumes a loss
    // for every disk), replaces the file by a new file and keeps the new file open: later calls use no path.
    // If the earlier process hangs in a disk operation, its later writes go to the unlinked file. Must be
    // called before put().
    [[nodiscard]] Result<void> open(const std::string& path, const nbd::Uuid& boot);

    // State of the disk with this identity; nullopt: the disk is not in the record.
    [[nodiscard]] std::optional<std::string> of(const std::string& identity) const;
    // Whether the record is incomplete: an earlier process may have known of further losses, so a disk that
    // is not in the record may have lost writes.
    [[nodiscard]] bool forgetful() const;
    // Stores the state, in the file before the function returns. The file is in memory, so the write does not
    // wait for a disk. A failure is logged once; the next process then assumes a loss for every disk.
    void put(const std::string& identity, std::string state);

private:
    // Reason why the record lacks losses; the greater value includes the other.
    enum class Gap : std::uint32_t {
        none,
        full,     // no space for a disk
        damaged,  // torn, unreadable, or not written
    };
    struct Half {
        std::uint64_t number = 0;
        std::string states;
        Gap gap = Gap::none;
    };
    enum class Read : std::uint8_t { whole, absent, torn };
    [[nodiscard]] static Read read_half(std::string_view bytes, const nbd::Uuid& boot, Half& into);
    void take(std::string_view bytes, const nbd::Uuid& boot);
    void widen(Gap gap);
    void warn_of_gap() const;
    [[nodiscard]] std::string states();
    [[nodiscard]] Result<void> make_anew(const std::string& path);
    void tear();
    [[nodiscard]] Result<void> write();

    mutable std::mutex mutex_;
    Fd file_;
    nbd::Uuid boot_{};
    std::uint64_t number_ = 0;
    Gap gap_ = Gap::none;  // gap of the file
    bool forgetful_ = false;
    bool failure_logged_ = false;
    std::map<std::string, std::string> disks_;  // states by identity
};

}  // namespace holdfast::server
