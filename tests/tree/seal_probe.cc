// Seals itself and then does what it is told, for the test of the watch that client/process/seal.cc keeps:
// nothing, what is allowed, an allocation, or the opening of a path. Ends with 0 unless the watch ends it.

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "client/process/seal.hh"

int main(int count, char** words) {
    const std::string_view deed = count > 1 ? words[1] : "";
    const int folder = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    holdfast::client::seal::close();
    if (deed == "below") ::openat(folder, "proc", O_RDONLY | O_CLOEXEC);
    void* (*volatile allocate)(std::size_t) = std::malloc;  // a plain call would be optimized away
    if (deed == "allocate") allocate(1);
    if (deed == "open") ::open("/proc", O_RDONLY | O_CLOEXEC);
    ::_exit(0);
}
