// The timer of the device's requests.
#include <doctest/doctest.h>

#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "client/daemon/request_timer.hh"

using namespace holdfast::client;
using std::chrono::milliseconds;

namespace {

// Stands for argv[0], in memory that a child shares.
class SharedTitle {
public:
    SharedTitle() {
        void* const made = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        REQUIRE(made != MAP_FAILED);
        text_ = static_cast<char*>(made);
        std::fill_n(text_, size - 1, 'x');
    }
    ~SharedTitle() { ::munmap(text_, size); }
    SharedTitle(const SharedTitle&) = delete;
    SharedTitle& operator=(const SharedTitle&) = delete;
    [[nodiscard]] ProcessTitle title() noexcept { return {1, &text_}; }
    [[nodiscard]] std::string text() const { return text_; }

private:
    static constexpr std::size_t size = 128;
    char* text_ = nullptr;
};

// Starts the process for a device that no kernel has, and waits for the end of the process.
std::string title_after_start(bool is_marked) {
    SharedTitle shared;
    ProcessTitle title = shared.title();
    {
        const RequestTimer timer = RequestTimer::start(99'999, true, is_marked ? &title : nullptr);
        REQUIRE(timer.descriptor() >= 0);
    }
    while (::waitpid(-1, nullptr, 0) >= 0 || errno == EINTR) continue;
    return shared.text();
}

}  // namespace

TEST_CASE(
    "a quick server's requests have a short timer, a slow one's a long one, and never longer than the "
    "kernel's own") {
    CHECK(request_timer_for(milliseconds{0}) == shortest_request_timer);
    CHECK(request_timer_for(milliseconds{300}) == shortest_request_timer);
    CHECK(request_timer_for(milliseconds{400}) == milliseconds{5000});
    CHECK(request_timer_for(milliseconds{2500}) == milliseconds{20'000});
    CHECK(request_timer_for(milliseconds{60'000}) == longest_request_timer);
}

TEST_CASE("without a process to set it, the timer is only noted") {
    RequestTimer timer;
    timer.set(milliseconds{5000});
    CHECK(timer.current() == milliseconds{5000});
}

TEST_CASE("the process of a root disk's timer has the mark that systemd spares, and another has none") {
    CHECK(title_after_start(true) == "@holdfast-timer: nbd99999");
    CHECK(title_after_start(false).starts_with("xxx"));
}
