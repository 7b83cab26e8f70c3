// Memory use of this process.
#pragma once

#include <cstdint>

#include "common/linux/fd.hh"

namespace holdfast::client {

// In KiB. May be read after the seal.
class MemoryUse {
public:
    [[nodiscard]] static MemoryUse open();
    struct Amounts {
        std::uint64_t locked = 0;    // VmLck
        std::uint64_t resident = 0;  // VmRSS
    };
    [[nodiscard]] Amounts read() const noexcept;

private:
    Fd status_;
};

}  // namespace holdfast::client
