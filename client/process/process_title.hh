// The process's title: shown by ps, and checked by systemd for its mark.
#pragma once

#include <cstddef>
#include <string_view>

namespace holdfast::client {

// The memory of argv and of the environment behind it.
class ProcessTitle {
public:
    ProcessTitle(int argc, char** argv) noexcept;
    // Overwrites argv and environment, and empties the environment of this process. Cut to the available
    // room.
    void set(std::string_view title) noexcept;

private:
    char* start_ = nullptr;
    std::size_t room_ = 0;
};

}  // namespace holdfast::client
