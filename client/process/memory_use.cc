// Reads /proc/self/status.

#include "client/process/memory_use.hh"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace holdfast::client {

MemoryUse MemoryUse::open() {
    MemoryUse use;
    use.status_.reset(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    return use;
}

MemoryUse::Amounts MemoryUse::read() const noexcept {
    std::array<char, 4096> room;
    const ssize_t count = ::pread(status_.get(), room.data(), room.size() - 1, 0);
    if (count <= 0) return {};
    room[static_cast<std::size_t>(count)] = 0;
    const auto number_behind = [&room](const char* key) {
        const char* const at = std::strstr(room.data(), key);
        return at == nullptr ? 0 : std::strtoull(at + std::strlen(key), nullptr, 10);
    };
    return {number_behind("\nVmLck:"), number_behind("\nVmRSS:")};
}

}  // namespace holdfast::client
