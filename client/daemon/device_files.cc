// Writes the files. A failure is logged; the daemon continues.

#include "client/daemon/device_files.hh"

#include <utility>

#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

constexpr std::chrono::seconds heartbeat_interval{5};

}  // namespace

Result<void> DeviceFiles::open(const char* folder) {
    auto record_file = RecordFile::open(device_.record, folder);
    if (!record_file) return std::unexpected(record_file.error());
    record_file_ = std::move(*record_file);
    auto public_file = PublicFile::open(device_.record.index, folder);
    if (!public_file) return std::unexpected(public_file.error());
    public_file_ = std::move(*public_file);
    return {};
}

void DeviceFiles::open_exemption() {
    auto omit = OmitFile::open(device_.record.index);
    if (omit)
        omit_ = std::move(*omit);
    else
        log::warning(LineText::of("{}: sysvinit's shutdown will kill this daemon early: {}", device_.name(),
                                  omit.error().text()));
}

void DeviceFiles::enter_exemption() noexcept {
    if (!omit_) return;
    if (auto entered = omit_->enter(); !entered)
        log::warning(LineText::of("{}: {}", device_.name(), entered.error().text()));
}

void DeviceFiles::end_exemption() noexcept {
    if (omit_) omit_->remove();
}

void DeviceFiles::save() noexcept {
    if (auto saved = record_file_->save(device_.live); !saved)
        log::warning(LineText::of("{}: cannot save the record: {}", device_.name(), saved.error().text()));
    publish();
}

Result<void> DeviceFiles::leave_behind() noexcept { return record_file_->leave_behind(device_.live); }

void DeviceFiles::publish() noexcept {
    const Clock::time_point now = kernel_.now();
    DeviceStatus known = source_.status();
    // The supervisor learns of a new link only after this call.
    known.state = device_.live.link_up ? DeviceState::attached : DeviceState::reconnecting;
    const auto lines = public_lines(known, since_boot(now), device_.live.link_changed_at);
    const auto done = public_file_->publish(lines);
    if (!done && std::exchange(publishes_, false))
        log::warning(LineText::of("{}: cannot publish the status: {}", device_.name(), done.error().text()));
    publishes_ = done.has_value();
    heartbeat_ = now;
}

void DeviceFiles::beat() noexcept {
    if (kernel_.now() - heartbeat_ >= heartbeat_interval) publish();
}

void DeviceFiles::remove() noexcept {
    record_file_->remove();
    public_file_->remove();
}

}  // namespace holdfast::client
