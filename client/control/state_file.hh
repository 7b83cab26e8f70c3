// /run/holdfast/nbdN.state: the device's record, for who takes the place of a daemon that died. And
// /run/holdfast/nbdN.status: how its link is, for everybody.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "client/control/control.hh"
#include "client/control/record.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

// Name of a record that is kept for given_up.hh, of this attachment alone: "nbd0-89abcdef.given-up".
inline constexpr std::string_view given_up_suffix = ".given-up";
[[nodiscard]] std::string given_up_name(const DeviceRecord& record);

// Whether a record that is kept for given_up.hh is of use: the device was writable, and its server knows
// sessions.
[[nodiscard]] bool may_be_fenced(const DeviceRecord& record, const LiveState& live) noexcept;

class StateFile {
public:
    // Opens the folder, which is there already, and writes nothing yet.
    [[nodiscard]] static Result<StateFile> open(const DeviceRecord& record,
                                                const char* folder = run_directory);
    // Replaces the file, whole or not at all. May be called after the seal.
    [[nodiscard]] Result<void> save(const LiveState& live) noexcept;
    // Saves it for the last time, as that of a device that was detached by force . May be called
    // after the seal.
    [[nodiscard]] Result<void> leave_behind(const LiveState& live) noexcept;
    // Unless it is another daemon's by now.
    void remove() noexcept;
    // Descriptor of the folder; the file keeps it.
    [[nodiscard]] int directory() const noexcept { return directory_.get(); }
    // The lines of the record, as they are in the file.
    [[nodiscard]] std::string_view unchanging() const noexcept { return unchanging_; }

private:
    Fd directory_;
    ino_t inode_ = 0;         // of the file that was saved last
    std::string name_;        // "nbd0.state"
    std::string draft_;       // "nbd0.state.new"
    std::string given_up_;    // "nbd0-89abcdef.given-up"
    std::string unchanging_;  // the record's lines
};

// The public file (status.hh). Its writer holds a write lock on it, which only root can take, so that a
// reader can tell whether the daemon lives; whether it is awake tells the heartbeat.
class PublicFile {
public:
    // Opens the folder, which is there already, and writes nothing yet.
    [[nodiscard]] static Result<PublicFile> open(std::uint32_t index, const char* folder = run_directory);
    // Replaces the file, whole or not at all. May be called after the seal, like all that follows.
    [[nodiscard]] Result<void> publish(std::string_view lines) noexcept;
    // Unless it is another daemon's by now.
    void remove() noexcept;

private:
    Fd directory_;
    Fd file_;            // that was published last, locked
    std::string name_;   // "nbd0.status"
    std::string draft_;  // "nbd0.status.new"
};

struct PublicReading {
    std::string text;
    bool alive = false;
};
// ENOENT: there is none.
[[nodiscard]] Result<PublicReading> read_public_file(std::uint32_t index, const char* folder = run_directory);

// The text of the file. ENOENT: there is none.
[[nodiscard]] Result<std::string> read_state_file(std::uint32_t index, const char* folder = run_directory);

}  // namespace holdfast::client
