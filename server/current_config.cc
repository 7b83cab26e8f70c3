// Reports each reload to the service manager, from its start to its end.

#include "server/current_config.hh"

#include <fmt/core.h>

#include <chrono>
#include <utility>

#include "common/linux/log.hh"
#include "common/text/plural.hh"

namespace holdfast::server {

CurrentConfig::CurrentConfig(Config config, Context context)
    : config_(std::make_shared<const Config>(std::move(config))), context_(std::move(context)) {
    context_.shared.buffer_memory.set_limit(config_->buffermemory);
    context_.shared.full_disks.configure(config_);
}

void CurrentConfig::begin_reload() {
    reload_again_ = reload_.has_value();
    if (reload_) return;
    // The time is for Type=notify-reload, which must distinguish this reload from an earlier reload.
    const auto since_boot =
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch());
    context_.manager.tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", since_boot.count()));
    reload_.emplace(context_.options, context_.opener,
                    [this](const Endpoint& one) { return context_.listeners.has(one); });
    if (auto begun = reload_->begin(); !begun) return end_reload(std::unexpected(begun.error()));
    (void)context_.epoll.watch(reload_->fd());
}

void CurrentConfig::on_reload() {
    if (!reload_) return;
    bool asked = false;
    if (auto outcome = reload_->go_on(asked)) return end_reload(std::move(*outcome));
    if (asked) (void)context_.epoll.watch(reload_->fd());
}

void CurrentConfig::on_time(Clock::time_point now) {
    if (reload_ && reload_->deadline() <= now) end_reload(std::unexpected(reload_->lateness()));
}

void CurrentConfig::end_reload(std::expected<Reload::Result, std::string> outcome) {
    reload_.reset();
    const std::string_view failure = apply(std::move(outcome));
    if (!failure.empty()) {
        log::error(failure);
        context_.manager.tell(fmt::format("READY=1\nSTATUS=SIGHUP: {}.", failure));
    }
    if (std::exchange(reload_again_, false)) begin_reload();
}

std::string_view CurrentConfig::apply(std::expected<Reload::Result, std::string> outcome) {
    constexpr std::string_view failed = "the reload failed; the old configuration stays in effect";
    if (!outcome) {
        log::error(outcome.error());
        return failed;
    }
    for (const Remark& one : outcome->loaded.warnings) log::warning(to_string(one));
    for (const Remark& one : outcome->loaded.errors) log::error(to_string(one));
    if (!outcome->loaded.errors.empty()) {
        return outcome->loaded.unread ? "the new configuration could not be read; the old one stays in effect"
                                      : "the new configuration has errors; the old one stays in effect";
    }
    if (const auto replaced = replace(std::move(*outcome)); !replaced) {
        log::error(replaced.error());
        return failed;
    }
    return {};
}

// The opener receives messages in order and cannot refuse commit, so sending commit decides, and no answer is
// awaited.
std::expected<void, std::string> CurrentConfig::replace(Reload::Result result) {
    Config& loaded = result.loaded.config;
    std::expected<ListenerSet::Listeners, std::string> listeners =
        context_.listeners.prepare(loaded, std::move(result.sockets));
    if (!listeners) return std::unexpected(listeners.error());
    if (const auto sent = context_.opener.ask_commit(); !sent) return std::unexpected(sent.error());
    warn_of_fixed_keys(loaded);
    context_.listeners.replace(std::move(*listeners));
    config_ = std::make_shared<const Config>(std::move(loaded));
    warn_of_old_disks();
    context_.shared.buffer_memory.set_limit(config_->buffermemory);
    context_.shared.full_disks.configure(config_);
    const Counted exports = counted(config_->exports.size(), "export");
    log::notice(fmt::format("configuration reloaded: {}", exports));
    context_.manager.tell(fmt::format("READY=1\nSTATUS=Serving {}.", exports));
    context_.changed();
    return {};
}

void CurrentConfig::warn_of_fixed_keys(const Config& loaded) const {
    if (loaded.user != config_->user || loaded.group != config_->group)
        log::warning("user, group: changes take effect after a restart only");
    if (loaded.statussocket != config_->statussocket)
        log::warning("statussocket: changes take effect after a restart only");
}

void CurrentConfig::warn_of_old_disks() const {
    for (const ExportConfig& one : config_->exports) {
        if (one.is_virtual()) continue;
        const DisksInUse::Others others = context_.shared.disks.others_than(one.name, one.path);
        if (others.connections == 0) continue;
        log::warning(
            fmt::format("export {}: {} still {} {}; if {} is another disk, clients are refused until "
                        "no connection uses the old one",
                        one.name, counted(others.connections, "connection"),
                        others.connections == 1 ? "uses" : "use", others.path, one.path));
    }
}

}  // namespace holdfast::server
