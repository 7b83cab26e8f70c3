// Counting only; who has no room is the main thread's business.

#include "server/admission.hh"

namespace holdfast::server {

bool Admission::has_room() const {
    const std::lock_guard lock(mutex_);
    return total_ < most;
}

bool Admission::enter(const std::optional<Address>& from) {
    const std::lock_guard lock(mutex_);
    if (from) {
        std::uint32_t& count = places_[place_of(*from)];
        if (count >= most_from_one_place) return false;
        ++count;
    }
    ++total_;
    return true;
}

void Admission::leave(const std::optional<Address>& from) {
    const std::lock_guard lock(mutex_);
    --total_;
    if (!from) return;
    const auto place = places_.find(place_of(*from));
    if (--place->second == 0) places_.erase(place);
}

std::uint32_t Admission::count() const {
    const std::lock_guard lock(mutex_);
    return total_;
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
