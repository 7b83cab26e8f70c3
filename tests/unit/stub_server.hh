// Pieces of an NBD server that says what a test wants it to say.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/protocol/wire.hh"

namespace stub {

namespace nbd = holdfast::nbd;

template <class Wire>
void append(std::vector<std::uint8_t>& bytes, const Wire& wire) {
    const auto* const data = reinterpret_cast<const std::uint8_t*>(&wire);
    bytes.insert(bytes.end(), data, data + sizeof wire);
}

inline void append_reply(std::vector<std::uint8_t>& bytes, std::uint32_t option, std::uint32_t type,
                         const std::string& text) {
    append(bytes, nbd::be64(0x3e889045565a9));
    for (const std::uint32_t number : {option, type, static_cast<std::uint32_t>(text.size())})
        append(bytes, nbd::be32(number));
    bytes.insert(bytes.end(), text.begin(), text.end());
}

inline std::vector<std::uint8_t> greeting() {
    std::vector<std::uint8_t> bytes;
    append(bytes, nbd::be64(0x4e42444d41474943));
    append(bytes, nbd::be64(0x49484156454f5054));
    append(bytes, nbd::be16(3));
    return bytes;
}

inline bool send_all(int socket, const std::vector<std::uint8_t>& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
        const ssize_t count = ::send(socket, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
        if (count <= 0) return false;
        at += static_cast<std::size_t>(count);
    }
    return true;
}

}  // namespace stub
