// What is known of lost writes, kept for the next server process: a small file in a folder that a reboot
// clears (/run). Without it a server that is started again would answer FLUSH with success although its
// predecessor knew better.
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

// The states of several disks, as losses.hh words them. Safe to be called from any thread.
//
// The file has two halves, written in turns, each with a number and a checksum. A process that is killed
// while it writes leaves the other half whole; the half that it tore says that there was more to know, and
// then a loss is assumed of every disk, also of those that the whole half names.
class LossRecord {
public:
    // The length of a half, in bytes. Where the states are longer, the next process assumes a loss of every
    // disk that has no place.
    static constexpr std::size_t half = 512U << 10;

    // In memory only, until it is opened.
    LossRecord() = default;

    // Reads what an earlier process of the same boot left at `path` (where it cannot, it assumes a loss of
    // every disk), puts a new file in its place and keeps that open: nothing that this process does later
    // names a path. What the earlier process may still write, if it hangs in a disk, goes to a file that
    // nobody reads. To be called before put().
    [[nodiscard]] Result<void> open(const std::string& path, const nbd::Uuid& boot);

    // The state of the disk with this identity; nullopt: nothing is known of it.
    [[nodiscard]] std::optional<std::string> of(const std::string& identity) const;
    // An earlier process may have known of losses that the record does not have: a disk of which nothing is
    // known may have lost writes.
    [[nodiscard]] bool forgetful() const;
    // Keeps it, in the file when it returns. The file is in memory, so this does not wait for a disk.
    // A failure is logged once, and the next process assumes a loss of every disk then.
    void put(const std::string& identity, std::string state);

private:
    // Why the record does not have all losses; the greater one covers the other.
    enum class Gap : std::uint32_t {
        none,
        full,     // there was no place for a disk
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
    Gap gap_ = Gap::none;  // of the file
    bool forgetful_ = false;
    bool failure_logged_ = false;
    std::map<std::string, std::string> disks_;  // states by identities
};

}  // namespace holdfast::server
