// /run/holdfast/nbdN.state: the device's record, for the successor of a daemon that died.
// /run/holdfast/nbdN.status: the link's status, readable by everybody.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "client/control/device_record.hh"
#include "client/control/run_directory.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

// Name of a record kept for given_up.hh, unique to this attachment: "nbd0-89abcdef.given-up".
inline constexpr std::string_view given_up_suffix = ".given-up";
[[nodiscard]] std::string given_up_name(const DeviceRecord& record);

// True if a record kept for given_up.hh is useful: the device was writable, and its server knows sessions.
[[nodiscard]] bool server_can_fence(const DeviceRecord& record, const LiveState& live) noexcept;

class RecordFile {
public:
    // Opens the folder, which must exist; writes nothing yet.
    [[nodiscard]] static Result<RecordFile> open(const DeviceRecord& record,
                                                 const char* folder = run_directory);
    // Replaces the file atomically. May be called after the seal.
    [[nodiscard]] Result<void> save(const LiveState& live) noexcept;
    // Saves the record a last time, as that of a device detached by force. May be called after the seal.
    [[nodiscard]] Result<void> leave_behind(const LiveState& live) noexcept;
    // Removes the file unless it belongs to another daemon by now.
    void remove() noexcept;
    // Descriptor of the folder; owned by the StateFile.
    [[nodiscard]] int directory() const noexcept { return directory_.get(); }
    // Lines of the record, as in the file.
    [[nodiscard]] std::string_view unchanging() const noexcept { return unchanging_; }

private:
    Fd directory_;
    ino_t inode_ = 0;         // inode of the file saved last
    std::string name_;        // "nbd0.state"
    std::string draft_;       // "nbd0.state.new"
    std::string given_up_;    // "nbd0-89abcdef.given-up"
    std::string unchanging_;  // lines of the record
};

// The public file (device_status.hh). Its writer holds a write lock on the file, which only root can take, so
// that a reader can tell whether the daemon is alive; the heartbeat tells whether the daemon is responsive.
class PublicFile {
public:
    // Opens the folder, which must exist; writes nothing yet.
    [[nodiscard]] static Result<PublicFile> open(std::uint32_t index, const char* folder = run_directory);
    // Replaces the file atomically. May be called after the seal, like all functions below.
    [[nodiscard]] Result<void> publish(std::string_view lines) noexcept;
    // Removes the file unless it belongs to another daemon by now.
    void remove() noexcept;

private:
    Fd directory_;
    Fd file_;            // the file published last, locked
    std::string name_;   // "nbd0.status"
    std::string draft_;  // "nbd0.status.new"
};

struct PublicReading {
    std::string text;
    bool alive = false;
};
// ENOENT: there is no public file.
[[nodiscard]] Result<PublicReading> read_public_file(std::uint32_t index, const char* folder = run_directory);

// Returns the text of the file. ENOENT: there is no state file.
[[nodiscard]] Result<std::string> read_state_file(std::uint32_t index, const char* folder = run_directory);

// True if the device's record says that the root file system is on it; false if the record is unreadable.
[[nodiscard]] bool carries_root(std::uint32_t index);

}  // namespace holdfast::client
