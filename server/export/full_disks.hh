// Disks without room: whether a request that finds none waits (key full), how many requests wait, and the log
// lines. Consulted only after a request has failed, so that a request that succeeds costs nothing here.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/linux/clock.hh"
#include "common/linux/result.hh"
#include "server/config/config.hh"

namespace holdfast::server {

// Whether the error of a write says that the disk, or a quota, has no room.
[[nodiscard]] bool is_without_room(int error) noexcept;

// Name of a disk, and how to give it room, for the log.
struct FullDiskName {
    std::string path;
    bool block = false;  // a block device, otherwise a file
    std::string pool{};  // thin pool of the disk, "vg0/pool"; empty: unknown
};
// "extend its thin pool: lvextend -L +10G vg0/pool"
[[nodiscard]] std::string mend_of(const FullDiskName& disk);

// State of an export. Safe to be called from any thread.
class FullDisk {
public:
    // Minimum time between two log lines that say that requests wait.
    static constexpr std::chrono::seconds log_period{10};

    FullDisk(std::string export_name, bool waits) : name_(std::move(export_name)), waits_(waits) {}
    FullDisk(const FullDisk&) = delete;
    FullDisk& operator=(const FullDisk&) = delete;

    // Whether a request waits, by the configuration in force.
    [[nodiscard]] bool waits() const noexcept { return waits_; }
    void set_waits(bool waits) noexcept { waits_ = waits; }

    enum class End : std::uint8_t {
        done,     // there was room
        failed,   // answered with an error
        dropped,  // not answered: the connection ends
    };
    // A request that waits, from its first failure to its end. Without a call of end(), the request was
    // dropped.
    class Wait {
    public:
        Wait(std::shared_ptr<FullDisk> full, const FullDiskName& disk, Clock::time_point now);
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        ~Wait() { full_->leave(end_, Clock::now()); }
        void end(const Result<void>& outcome) noexcept { end_ = outcome ? End::done : End::failed; }
        // Call after each further failure: the log line may be due only now.
        void goes_on(const FullDiskName& disk, Clock::time_point now) { full_->log_wait(disk, now); }

    private:
        const std::shared_ptr<FullDisk> full_;
        End end_ = End::dropped;
    };

    struct Counts {
        std::uint64_t waiting = 0;  // now
        std::uint64_t waited = 0;   // all since the start, including those that wait
    };
    [[nodiscard]] Counts counts() const;

private:
    void enter(const FullDiskName& disk, Clock::time_point now);
    void leave(End how, Clock::time_point now);
    void log_wait(const FullDiskName& disk, Clock::time_point now);

    const std::string name_;
    std::atomic<bool> waits_;
    mutable std::mutex mutex_;  // protects the members below
    Counts counts_;
    Clock::time_point since_{};                  // valid only while requests wait
    bool logged_ = false;                        // the log says that requests wait
    std::optional<Clock::time_point> last_log_;  // last line that says so
};

// All exports, by name. Safe to be called from any thread.
class FullDisks {
public:
    // Puts a configuration in force, also for the connections that exist.
    void configure(std::shared_ptr<const Config> config);
    // `config`: of the connection, which may be older than the configuration in force.
    [[nodiscard]] std::shared_ptr<FullDisk> of(const ExportConfig& config);
    [[nodiscard]] FullDisk::Counts counts(std::string_view export_name) const;

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Config> config_;
    std::map<std::string, std::shared_ptr<FullDisk>, std::less<>> disks_;
};

}  // namespace holdfast::server
