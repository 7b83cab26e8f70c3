// A network of a test's own, with nothing but loopback.
#pragma once

#include <doctest/doctest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <future>

#include "common/linux/fd.hh"

namespace holdfast {

// Sets the loopback interface of this thread's network up or down.
inline void set_loopback(bool up) {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::memcpy(request.ifr_name, "lo", 3);
    request.ifr_flags = static_cast<short>(up ? IFF_UP | IFF_RUNNING : 0);
    REQUIRE(::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0);
}

// Runs the test in a thread with a network of its own. Skips it without the right to make a network.
template <class Test>
void in_own_network(Test test) {
    std::async(std::launch::async, [&] {
        if (::unshare(CLONE_NEWNET) != 0) {
            MESSAGE("skipped: no right to make a network");
            return;
        }
        set_loopback(true);
        test();
    }).get();
}

}  // namespace holdfast
