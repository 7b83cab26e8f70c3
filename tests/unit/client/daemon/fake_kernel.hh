// A kernel whose facts and answers a test decides, and which notes what is asked of it; and a device of the
// test's own.
#pragma once

#include <errno.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"

namespace holdfast::client {

// Events in order: all parts of a test append to the same list.
using Events = std::vector<std::string>;

class FakeKernel final : public Kernel {
public:
    explicit FakeKernel(Events& events) : events_(events) {}

    Result<void> reconfigure(const DeviceChange& change) noexcept override {
        if (change.socket) events_.emplace_back("kernel: socket");
        if (change.size) events_.push_back("kernel: size " + std::to_string(*change.size));
        return answer();
    }
    Result<void> disconnect() noexcept override {
        events_.emplace_back("kernel: disconnect");
        return answer();
    }
    Result<void> release_stuck() noexcept override {
        events_.emplace_back("kernel: release");
        return answer();
    }
    Netlink::LinkDead take_link_dead() noexcept override {
        return std::exchange(link_dead, Netlink::LinkDead::no);
    }
    void give_up_socket_rights() noexcept override { has_socket_rights = false; }
    bool has_our_device() const noexcept override { return ours; }
    std::uint64_t in_flight() const noexcept override { return requests_in_flight; }
    bool counts_requests() const noexcept override { return counts; }
    bool is_idle() const noexcept override { return counts && requests_in_flight == 0; }
    std::uint64_t writes() const noexcept override { return completed_writes; }
    SysfsDevice::Totals totals() const noexcept override { return completed; }
    std::uint64_t largest_request() const noexcept override { return max_sectors_kb * 1024; }
    std::uint64_t size() const noexcept override { return device_size; }
    Clock::time_point now() const noexcept override { return time; }

    std::optional<int> error;          // of the next requests
    std::function<void()> on_request;  // called in each request
    Netlink::LinkDead link_dead = Netlink::LinkDead::no;
    bool ours = true;
    bool has_socket_rights = true;
    std::uint64_t requests_in_flight = 0;
    bool counts = true;
    std::uint64_t completed_writes = 0;
    SysfsDevice::Totals completed;
    std::uint64_t max_sectors_kb = 1280;
    std::uint64_t device_size = 0;
    Clock::time_point time{std::chrono::hours{1}};

private:
    Result<void> answer() const noexcept {
        if (on_request) on_request();
        if (error) return std::unexpected(SysError{*error, "netlink"});
        return {};
    }

    Events& events_;
};

class FakeStore final : public RecordStore {
public:
    explicit FakeStore(Events& events) : events_(events) {}
    void save() noexcept override { events_.emplace_back("record: saved"); }
    Result<void> leave_behind() noexcept override {
        events_.emplace_back("record: left behind");
        if (error) return std::unexpected(SysError{*error, "rename"});
        return {};
    }

    std::optional<int> error;  // of leave_behind()

private:
    Events& events_;
};

// nbd7, of 1 MiB, with `servers` servers at which nothing listens.
inline KeptDevice fake_device(std::size_t servers = 1) {
    DeviceRecord record;
    record.index = 7;
    record.identifier = "holdfast:test";
    for (std::size_t i = 0; i < servers; ++i)
        record.targets.push_back({{}, "export", "nbd://server" + std::to_string(i) + "/export"});
    LiveState live;
    live.size = 1 << 20;
    live.link_socket = "none";
    return {std::move(record), live};
}

}  // namespace holdfast::client
