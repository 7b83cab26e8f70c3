// The configuration in force, and its replacement on SIGHUP. After each reload both processes have the new
// configuration, or both the old.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/linux/clock.hh"
#include "common/linux/epoll.hh"
#include "common/linux/service_notice.hh"
#include "server/config/options.hh"
#include "server/export/shared.hh"
#include "server/listen/listener_set.hh"
#include "server/opener/opener_client.hh"
#include "server/reload.hh"

namespace holdfast::server {

class CurrentConfig {
public:
    // All references must outlive this object. Calls `changed` when a new configuration is in force.
    struct Context {
        const Options& options;
        const Epoll& epoll;
        OpenerClient& opener;
        ListenerSet& listeners;
        Shared& shared;
        const ServiceManager& manager;
        std::function<void()> changed;
    };
    CurrentConfig(Config config, Context context);

    [[nodiscard]] const Config& operator*() const { return *config_; }
    [[nodiscard]] const Config* operator->() const { return config_.get(); }
    // Connections keep the configuration with which they began.
    [[nodiscard]] const std::shared_ptr<const Config>& get() const { return config_; }

    // Starts a reload, or another after the present one: the files may have changed meanwhile.
    void begin_reload();
    // Whether the descriptor, which has input, belongs to the reload; then call on_reload(), when the other
    // events have been handled: it changes the listeners.
    [[nodiscard]] bool is_for_reload(int fd) const { return reload_ && reload_->fd() == fd; }
    void on_reload();
    void cancel_reload() { reload_.reset(); }
    [[nodiscard]] Deadline deadline() const { return reload_ ? reload_->deadline() : no_deadline; }
    void on_time(Clock::time_point now);

private:
    void end_reload(std::expected<Reload::Result, std::string> outcome);
    // Puts the result in force, or logs why not. Returns why the old configuration stays in force; empty: the
    // new one is in force.
    [[nodiscard]] std::string_view apply(std::expected<Reload::Result, std::string> outcome);
    // The error: nothing has changed, in neither process.
    [[nodiscard]] std::expected<void, std::string> replace(Reload::Result result);
    void warn_of_fixed_keys(const Config& loaded) const;
    // Warns of exports whose connections use another path than the configuration now names.
    void warn_of_old_disks() const;

    std::shared_ptr<const Config> config_;
    Context context_;
    std::optional<Reload> reload_;  // while a reload is in progress
    bool reload_again_ = false;     // valid only with `reload_`: the files may have changed meanwhile
};

}  // namespace holdfast::server
