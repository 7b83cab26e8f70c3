// RFC 2131, 4.4.5: RENEWING from T1 on, REBINDING from T2 on. Two differences. After a boot the granting
// server is unknown (ipconfig does not record it), so the first request goes to all servers. And neither the
// end of the lease nor a DHCPNAK leads back to INIT.

#include "client/lease/lease.hh"

#include <algorithm>
#include <limits>

namespace holdfast::client {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Pauses between two requests: the RFC's minimum, which is the maximum here while the lease is in danger, so
// that a server that is reachable again gets a request soon.
constexpr milliseconds usual_pause{60'000};
constexpr milliseconds shortest_pause{1000};
// Lower limits: shorter grants would cause constant requests.
constexpr std::uint32_t shortest_lease = 10;
constexpr std::uint32_t shortest_renewal = 30;

// Sets T1 and T2 if T1 < T2 < end, or else the RFC's defaults.
void set_times(LeaseState& state, std::uint32_t granted, std::uint32_t renewal,
               std::uint32_t rebinding) noexcept {
    state.seconds = std::max(granted, shortest_lease);
    const std::uint32_t half = state.seconds / 2;
    const std::uint32_t seven_eighths = state.seconds - state.seconds / 8;
    const bool both = renewal > 0 && renewal < rebinding && rebinding < state.seconds;
    state.renew_after = std::max(both ? renewal : half, std::min(half, shortest_renewal));
    state.rebind_after = std::max(both ? rebinding : seven_eighths, state.renew_after + 1);
}

LineText whose(const LeaseRecord& record) {
    return LineText::of("the DHCP lease of {} ({})", record.interface, text_of(record.address));
}

LineText server_of(const DhcpReply& reply) {
    return reply.server == 0 ? LineText("an unnamed DHCP server")
                             : LineText::of("the DHCP server {}", text_of(reply.server));
}

LineText duration_of(std::uint32_t granted) {
    return granted == infinite_lease ? LineText("without expiry") : LineText::of("for {} s", granted);
}

}  // namespace

std::uint32_t seconds_left(const LeaseState& state, milliseconds now) noexcept {
    if (state.seconds == infinite_lease) return infinite_lease;
    const auto left = duration_cast<seconds>(state.obtained_at + seconds{state.seconds} - now).count();
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(left, 0, state.seconds));
}

Lease::Lease(const LeaseRecord& record, const LeaseState& state, std::uint64_t seed, Time now) noexcept
    : record_(record), state_(state), jitter_(seed) {
    state_.obtained_at =
        std::clamp(state_.obtained_at, milliseconds{0}, duration_cast<milliseconds>(now.time_since_epoch()));
    set_times(state_, state.seconds, state.renew_after, state.rebind_after);
    if (state_.seconds != infinite_lease) deadline_ = std::max(at(state_.renew_after), now);
}

Lease::Time Lease::at(std::uint32_t after) const noexcept {
    return Time{state_.obtained_at + seconds{after}};
}

// Returns half of the time left in the lease's current state, but at least a sixteenth of the lease or the
// RFC's minute; then slightly less, so that machines started together do not send requests together for ever.
milliseconds Lease::pause(Time now) noexcept {
    const milliseconds length = seconds{state_.seconds};
    const milliseconds least = std::clamp(length / 16, shortest_pause, usual_pause);
    const bool renewing = now < at(state_.rebind_after);
    const auto left = duration_cast<milliseconds>(at(renewing ? state_.rebind_after : state_.seconds) - now);
    milliseconds wait = std::min(std::max(left / 2, least), left);
    if (!renewing) wait = std::min(wait, usual_pause);
    if (contested_ || left.count() <= 0) wait = std::clamp(length / 4, least, usual_pause);
    wait -= milliseconds{
        jitter_.below(static_cast<std::uint64_t>(std::max<std::int64_t>(wait.count(), 0)) / 8 + 1)};
    return std::max(wait, shortest_pause);
}

std::optional<Lease::Send> Lease::on_deadline(Time now) noexcept {
    if (now < deadline_) return std::nullopt;
    const bool all = contested_ || state_.server == 0 || now >= at(state_.rebind_after);
    if (now >= at(state_.seconds))
        note(Problem::expired,
             LineText::of(
                 "{} has expired; keeping the address, which another machine may get, too; still asking",
                 whose(record_)));
    else if (asking_ && !contested_ && state_.server != 0 && now >= at(state_.rebind_after))
        note(Problem::unanswered,
             LineText::of("{} was not renewed by {}, which does not answer; asking all servers",
                          whose(record_), text_of(state_.server)));
    if (!asking_) asking_since_ = now;
    asking_ = true;
    asked_at_ = now;
    transaction_ = static_cast<std::uint32_t>(jitter_.below(std::numeric_limits<std::uint64_t>::max()) >> 16);
    const auto trying = duration_cast<seconds>(now - asking_since_).count();
    deadline_ = now + pause(now);
    return Send{renewal_request(record_.client, record_.address, transaction_,
                                static_cast<std::uint16_t>(std::clamp<std::int64_t>(trying, 0, 0xffff))),
                all ? broadcast : state_.server};
}

void Lease::on_send_failure(const LineText& reason) noexcept {
    note(Problem::unsendable,
         LineText::of("{} could not be requested: {}; retrying", whose(record_), reason));
}

bool Lease::on_packet(std::span<const std::uint8_t> packet, Time now) noexcept {
    if (!asking_) return false;
    const auto reply = read_reply(record_.client, transaction_, packet);
    if (!reply) return false;
    if (reply->kind == DhcpReply::Kind::refused) {
        note(
            Problem::refused,
            LineText::of("{} was refused by {}; keeping the address, because the disk needs it; still asking",
                         whose(record_), server_of(*reply)));
        go_on_asking(now);
        return false;
    }
    if (reply->address != record_.address) {
        note(Problem::other_address,
             LineText::of(
                 "{}: {} offers {} instead; keeping the address, because the disk needs it; still asking",
                 whose(record_), server_of(*reply), text_of(reply->address)));
        go_on_asking(now);
        return false;
    }
    renew(*reply);
    return true;
}

void Lease::go_on_asking(Time now) noexcept {
    contested_ = true;
    deadline_ = std::min(deadline_, now + pause(now));
}

void Lease::renew(const DhcpReply& reply) noexcept {
    const bool first = state_.renewals == 0;
    const bool mended = reported_ != 0 || !state_.problem.empty();
    state_.server = reply.server;
    state_.obtained_at = duration_cast<milliseconds>(asked_at_.time_since_epoch());
    set_times(state_, reply.lease, reply.renewal, reply.rebinding);
    ++state_.renewals;
    facts_ = reply.facts;
    state_.problem.clear();
    asking_ = contested_ = false;
    reported_ = 0;
    // Starts early by at most a sixteenth: see pause().
    const auto early = jitter_.below(std::uint64_t{state_.renew_after} * 1000 / 16 + 1);
    deadline_ = state_.seconds == infinite_lease ? Time::max() : at(state_.renew_after) - milliseconds{early};
    if (first || mended)
        news_ = News{News::Weight::good,
                     LineText::of("{} was renewed {} by {}{}", whose(record_), duration_of(state_.seconds),
                                  server_of(reply), first ? "; later renewals are not logged" : "")};
}

void Lease::note(Problem problem, const LineText& text) noexcept {
    state_.problem = text;
    const auto bit = static_cast<std::uint8_t>(problem);
    if ((reported_ & bit) != 0) return;
    reported_ |= bit;
    const bool grave = problem != Problem::unsendable && problem != Problem::unanswered;
    news_ = News{grave ? News::Weight::grave : News::Weight::worrying, text};
}

std::optional<Lease::News> Lease::take_news() noexcept {
    std::optional<News> news = news_;
    news_.reset();
    return news;
}

}  // namespace holdfast::client
