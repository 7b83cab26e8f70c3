// systemd-shutdown(8) spares root's processes whose argv[0] begins with '@'.

#include "client/process/process_title.hh"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace holdfast::client {

ProcessTitle::ProcessTitle(int argc, char** argv) noexcept {
    if (argc < 1) return;
    start_ = argv[0];
    char* end = argv[0];
    // The kernel places these strings consecutively; a string that is not adjacent was moved by the program.
    for (int i = 0; i < argc && argv[i] == end; ++i) end += std::strlen(argv[i]) + 1;
    for (char** entry = environ; entry != nullptr && *entry == end; ++entry) end += std::strlen(*entry) + 1;
    room_ = static_cast<std::size_t>(end - start_);
}

void ProcessTitle::set(std::string_view title) noexcept {
    ::clearenv();
    const std::size_t length = std::min(title.size(), room_ > 0 ? room_ - 1 : 0);
    if (start_ == nullptr) return;
    std::memset(start_, 0, room_);
    std::memcpy(start_, title.data(), length);
    // If the title is longer than the arguments' memory, the kernel finds that their last byte is not NUL,
    // and reads on into the former environment.
}

}  // namespace holdfast::client
