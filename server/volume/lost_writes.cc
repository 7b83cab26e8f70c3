// Keeps a count per disk, and per client the number of the last settled loss.

#include "server/volume/lost_writes.hh"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "common/linux/log.hh"
#include "common/text/number.hh"
#include "common/text/text.hh"

namespace holdfast::server {
namespace {

std::string word_of(const nbd::Uuid& session) {
    std::string word = "session-";
    for (const std::uint8_t byte : session) word += fmt::format("{:02x}", unsigned{byte});
    return word;
}

void raise(std::atomic<std::uint64_t>& value, std::uint64_t to) {
    std::uint64_t now = value;
    while (now < to && !value.compare_exchange_weak(now, to)) continue;
}

}  // namespace

Result<void> Writer::check() const {
    if (!state_) return {};
    const std::uint64_t count = state_->disk->count_;
    if (count <= state_->settled) return {};
    // A host may be several clients without a session, but a session is a single client.
    if (state_->session) raise(state_->settled, state_->disk->settled_for(state_->client));
    if (count <= state_->settled) return {};
    raise(state_->found, count);
    return state_->disk->since(state_->settled);
}

void Writer::told() const {
    if (state_) raise(state_->settled, state_->found);
}

bool Writer::awaits_delivery() const {
    return state_ && state_->found > state_->delivered && state_->settled >= state_->found;
}

void Writer::delivered() const {
    const std::uint64_t number = state_->settled;
    raise(state_->delivered, number);
    state_->disk->settle(state_->client, number);
}

DiskLosses::DiskLosses(std::string name, std::string identity, std::shared_ptr<LossRecord> record)
    : name_(std::move(name)), identity_(std::move(identity)), record_(std::move(record)) {
    if (!record_) return;
    const std::optional<std::string> known = record_->of(identity_);
    if (known) {
        restore(*known);
    } else if (record_->forgetful()) {
        restore("");
    }
}

DiskLosses::DiskLosses(std::string name) : DiskLosses(std::move(name), {}, nullptr) {}

void DiskLosses::add(int error) {
    last_error_ = error;  // first: a reader of the new count also reads the error
    std::uint64_t count = 0;
    {
        const std::lock_guard lock(mutex_);
        count = ++count_;
        keep();
    }
    if (count > 16 && !std::has_single_bit(count)) return;
    log::error(
        fmt::format("{}: acknowledged writes may be lost: {}; each client that may have written them gets "
                    "one failing FLUSH",
                    name_, SysError{error, "write or flush"}.message()));
}

Result<void> DiskLosses::since(std::uint64_t before) const {
    if (count_ <= before) return {};
    return std::unexpected(SysError{last_error_, "write or flush, now or earlier"});
}

void DiskLosses::concerns_strangers() {
    const std::lock_guard lock(mutex_);
    concerns_strangers_ = true;
    keep();
}

// Stores "COUNT ERROR STRANGERS", and a line per client, oldest first: "SETTLED CLIENT".
void DiskLosses::keep() const {
    if (!record_ || count_ == 0) return;
    std::string state =
        fmt::format("{} {} {}\n", count_.load(), last_error_.load(), static_cast<int>(concerns_strangers_));
    for (const std::string& client : oldest_first_)
        state += fmt::format("{} {}\n", clients_.at(client), client);
    record_->put(identity_, std::move(state));
}

// Treats unparsable input as a loss that concerns every client.
void DiskLosses::restore(std::string_view state) {
    std::string_view line = take_line(state);
    const auto count = number_of<std::uint64_t>(take_word(line));
    const auto error = number_of<int>(take_word(line));
    const auto strangers = number_of<int>(take_word(line));
    const bool sound = count && error && strangers && *count > 0 && *error > 0;
    count_ = sound ? *count : 1;
    last_error_ = sound ? *error : EIO;
    concerns_strangers_ = !sound || *strangers != 0;
    while (sound && !state.empty()) {
        line = take_line(state);
        const auto settled = number_of<std::uint64_t>(take_word(line));
        if (settled && *settled <= *count)
            remember(std::string(line.substr(std::min<std::size_t>(1, line.size()))), *settled);
    }
    log::warning(
        fmt::format("{}: writes may have been lost before the server restarted: {}; each client that may "
                    "have written them gets one failing FLUSH",
                    name_, SysError{last_error_, "write or flush"}.message()));
}

void DiskLosses::remember(const std::string& client, std::uint64_t settled) {
    const auto [place, added] = clients_.try_emplace(client, settled);
    if (!added) {
        place->second = std::max(place->second, settled);
        return;
    }
    oldest_first_.push_back(client);
    if (clients_.size() <= most_clients) return;
    clients_.erase(oldest_first_.front());
    oldest_first_.pop_front();
    concerns_strangers_ = true;
}

void DiskLosses::settle(const std::string& client, std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    remember(client, number);
    keep();
}

std::uint64_t DiskLosses::settled_for(const std::string& client) const {
    const std::lock_guard lock(mutex_);
    const auto known = clients_.find(client);
    return known == clients_.end() ? 0 : known->second;
}

Writer DiskLosses::make_writer(std::string client, std::uint64_t settled, bool session) {
    auto state = std::make_unique<Writer::State>();
    state->disk = shared_from_this();
    state->client = std::move(client);
    state->session = session;
    state->settled = state->found = state->delivered = settled;
    return Writer(std::move(state));
}

// Without a loss, a session need not be remembered: a session that connects now precedes the first loss.
Writer DiskLosses::begin(const nbd::Uuid& session, bool first) {
    std::string client = word_of(session);
    const std::lock_guard lock(mutex_);
    if (const auto known = clients_.find(client); known != clients_.end())
        return make_writer(std::move(client), known->second, true);
    if (!first || count_ == 0) return make_writer(std::move(client), 0, true);
    remember(client, count_);
    keep();
    return make_writer(std::move(client), count_, true);
}

// Remembers every host that may have written, so that a host that first connects after a loss gets no report.
Writer DiskLosses::begin_nameless(const std::string& host) {
    std::string client = "host-" + host;
    const std::lock_guard lock(mutex_);
    if (const auto known = clients_.find(client); known != clients_.end())
        return make_writer(std::move(client), known->second, false);
    const std::uint64_t settled = concerns_strangers_ ? 0 : count_.load();
    remember(client, settled);
    keep();
    return make_writer(std::move(client), settled, false);
}

std::shared_ptr<DiskLosses> LostWrites::of(const std::string& identity, const std::string& name) {
    const std::lock_guard lock(mutex_);
    // Removes unused disks without losses; disks with losses are bounded by the number of disks.
    std::erase_if(disks_, [](const auto& one) { return one.second.use_count() == 1 && !one.second->any(); });
    std::shared_ptr<DiskLosses>& disk = disks_[identity];
    if (!disk) disk = std::make_shared<DiskLosses>(name, identity, record_);
    return disk;
}

}  // namespace holdfast::server
