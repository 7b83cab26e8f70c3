// Bounds how many clients may be in the handshake at once, in all and from one place, so that strangers who
// connect and say nothing cannot use up what honest clients need. Whoever has got an export is not counted
// any more.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

#include "server/access.hh"

namespace holdfast::server {

class Admission {
public:
    static constexpr std::uint32_t most = 256;
    static constexpr std::uint32_t most_from_one_place = 32;

    // Whether there is room for one more at all. Where not, wait to accept it.
    [[nodiscard]] bool has_room() const;
    // False when there are too many from this place. No address: a UNIX socket, which only the total bounds.
    [[nodiscard]] bool enter(const std::optional<Address>& from);
    void leave(const std::optional<Address>& from);
    // How many are in it.
    [[nodiscard]] std::uint32_t count() const;

private:
    mutable std::mutex mutex_;
    std::uint32_t total_ = 0;
    std::map<Address, std::uint32_t> places_;
};

// How many connections there are from each place, from accept to close. The main thread's alone.
class PlaceCounts {
public:
    // Counts one more, unless its place has `limit` of them. No address: a UNIX socket, which is not counted.
    [[nodiscard]] bool enter(const std::optional<Address>& from, std::uint32_t limit);
    void leave(const std::optional<Address>& from);

private:
    std::map<Address, std::uint32_t> places_;
};

// Whether it is this machine's own: 127.0.0.0/8 or ::1.
[[nodiscard]] bool is_loopback(const Address& address) noexcept;

}  // namespace holdfast::server
