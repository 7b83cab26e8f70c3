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

private:
    mutable std::mutex mutex_;
    std::uint32_t total_ = 0;
    std::map<Address, std::uint32_t> places_;
};

}  // namespace holdfast::server
