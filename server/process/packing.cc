// Compares every length with the remaining bytes before it extracts a value.

#include "server/process/packing.hh"

#include <cstring>

namespace holdfast::server {

void Packer::text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    put(value.data(), value.size());
}

void Packer::put(const void* from, std::size_t size) {
    const auto* const raw = static_cast<const std::uint8_t*>(from);
    bytes_.insert(bytes_.end(), raw, raw + size);
}

void Unpacker::take(void* into, std::size_t size) {
    if (!sound_ || rest_.size() < size) {
        sound_ = false;
        return;
    }
    std::memcpy(into, rest_.data(), size);
    rest_ = rest_.subspan(size);
}

std::string Unpacker::text() {
    const std::size_t size = number<std::uint32_t>();
    if (!sound_ || rest_.size() < size) {
        sound_ = false;
        return {};
    }
    std::string value(reinterpret_cast<const char*>(rest_.data()), size);
    rest_ = rest_.subspan(size);
    return value;
}

}  // namespace holdfast::server
