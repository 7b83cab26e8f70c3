// Files of a device in /run, through which other processes know the device and its daemon: the record for a
// successor, the public status, the entry that makes sysvinit's shutdown spare the daemon.
#pragma once

#include <optional>
#include <string_view>

#include "client/control/device_status.hh"
#include "client/control/record_file.hh"
#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"
#include "client/process/sendsigs_omit.hh"

namespace holdfast::client {

// Knows the status of the device in full.
class StatusSource {
public:
    [[nodiscard]] virtual DeviceStatus status() const = 0;

protected:
    ~StatusSource() = default;
};

class DeviceFiles final : public RecordStore {
public:
    // The arguments must outlive the object.
    DeviceFiles(const Kernel& kernel, const KeptDevice& device, const StatusSource& source) noexcept
        : kernel_(kernel), device_(device), source_(source) {}

    // Opens the folder, which must exist; writes nothing yet. Before the seal; all functions below but
    // open_exemption() may be called after the seal.
    [[nodiscard]] Result<void> open(const char* folder = run_directory);
    // Opens the folder of the exemption from sysvinit's shutdown. Before the seal.
    void open_exemption();
    // Descriptors of the folders, owned by the object; -1: not opened.
    [[nodiscard]] int directory() const noexcept { return record_file_->directory(); }
    [[nodiscard]] int omit_directory() const noexcept { return omit_ ? omit_->directory() : -1; }
    // Constant lines of the record.
    [[nodiscard]] std::string_view record_lines() const noexcept { return record_file_->unchanging(); }

    // Enters this process among those that sysvinit's shutdown spares.
    void enter_exemption() noexcept;
    void end_exemption() noexcept;

    // Saves the record and publishes the status.
    void save() noexcept override;
    [[nodiscard]] Result<void> leave_behind() noexcept override;
    // Publishes the status at a heartbeat's interval, which shows that the daemon is awake. Call in each turn
    // of the event loop: the supervisor's deadlines wake the daemon often enough.
    void beat() noexcept;
    // Removes record and status unless they belong to another daemon by now.
    void remove() noexcept;

private:
    void publish() noexcept;

    const Kernel& kernel_;
    const KeptDevice& device_;
    const StatusSource& source_;
    std::optional<RecordFile> record_file_;  // set by open(), like public_file_
    std::optional<PublicFile> public_file_;
    std::optional<OmitFile> omit_;
    Clock::time_point heartbeat_{};  // time of the last publish()
    bool publishes_ = true;          // the last publish() succeeded
};

}  // namespace holdfast::client
