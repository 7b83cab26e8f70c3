// Two tables of networks: strangers, who are disconnected first, and known clients.

#include "server/access/admission.hh"

#include <algorithm>

namespace holdfast::server {
namespace {

Address network_of_guest(const std::optional<Address>& from) {
    if (!from) return {};
    return network_of(*from, from->is_v4() ? 24 : 64);
}

}  // namespace

Admission::Ticket Admission::enter(const std::optional<Address>& from, bool known, Clock::time_point now) {
    const Ticket ticket = next_++;
    const Guest guest{network_of_guest(from), known || !from, false, now};
    guests_.emplace(ticket, guest);
    list(ticket, guest);
    return ticket;
}

void Admission::list(Ticket ticket, const Guest& guest) { networks_of(guest)[guest.network].insert(ticket); }

void Admission::unlist(Ticket ticket, const Guest& guest) {
    Networks& networks = networks_of(guest);
    const auto network = networks.find(guest.network);
    if (network == networks.end()) return;
    network->second.erase(ticket);
    if (network->second.empty()) networks.erase(network);
}

void Admission::leave(Ticket ticket) {
    const auto found = guests_.find(ticket);
    if (found == guests_.end()) return;
    unlist(ticket, found->second);
    guests_.erase(found);
}

void Admission::set_known(Ticket ticket) {
    const auto found = guests_.find(ticket);
    if (found == guests_.end()) return;
    unlist(ticket, found->second);
    found->second.known = true;
    if (!found->second.busy) list(ticket, found->second);
}

void Admission::set_busy(Ticket ticket, bool busy) {
    const auto found = guests_.find(ticket);
    if (found == guests_.end()) return;
    found->second.busy = busy;
    if (busy) {
        unlist(ticket, found->second);
    } else {
        list(ticket, found->second);
    }
}

std::optional<Admission::Ticket> Admission::first_to_go(Clock::time_point now) const {
    constexpr std::chrono::milliseconds of_stranger{100};
    constexpr std::chrono::milliseconds of_known{5000};
    const Networks& networks = strangers_.empty() ? known_ : strangers_;
    const auto crowded =
        std::ranges::max_element(networks, {}, [](const auto& one) { return one.second.size(); });
    if (crowded == networks.end()) return std::nullopt;
    const Ticket oldest = *crowded->second.begin();
    const Guest& guest = guests_.at(oldest);
    if (now - guest.since < (guest.known ? of_known : of_stranger)) return std::nullopt;
    return oldest;
}

void KnownClients::add(const Address& address) {
    const std::lock_guard lock(mutex_);
    if (!addresses_.insert(address).second) return;
    oldest_first_.push_back(address);
    if (oldest_first_.size() <= most) return;
    addresses_.erase(oldest_first_.front());
    oldest_first_.pop_front();
}

bool KnownClients::has(const Address& address) const {
    const std::lock_guard lock(mutex_);
    return addresses_.contains(address);
}

bool PlaceCounts::enter(const std::optional<Address>& from, std::uint32_t limit) {
    if (!from) return true;
    std::uint32_t& count = places_[place_of(*from)];
    if (count >= limit) return false;
    ++count;
    return true;
}

void PlaceCounts::leave(const std::optional<Address>& from) {
    if (!from) return;
    const auto place = places_.find(place_of(*from));
    if (--place->second == 0) places_.erase(place);
}

bool is_loopback(const Address& address) noexcept {
    constexpr std::size_t last = 15;
    Address one;
    one.bytes[last] = 1;
    return address.is_v4() ? address.bytes[mapped_bits / 8] == 127 : address == one;
}

}  // namespace holdfast::server
