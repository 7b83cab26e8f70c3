// Process that reads numbers from a pipe and writes them to the attribute. If this process dies or hangs, the
// only cost is extra kernel log lines.

#include "client/daemon/request_timer.hh"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>

#include "client/process/apparmor_profile.hh"
#include "client/process/capabilities.hh"
#include "client/process/selinux_domain.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

}  // namespace

milliseconds request_timer_for(milliseconds latency) noexcept {
    // Eight times the usual latency, in few steps, so that the timer seldom changes.
    for (const milliseconds step :
         {shortest_request_timer, milliseconds{5000}, milliseconds{10'000}, milliseconds{20'000}})
        if (latency * 8 <= step) return step;
    return longest_request_timer;
}

void RequestTimer::keep(const SysfsDevice& sysfs, int orders) {
    ::prctl(PR_SET_NAME, "holdfast-timer", 0, 0, 0);
    SelinuxDomain domain =
        SelinuxDomain::open({{sysfs.directory(), "/sys/block", {}}, {orders, "a pipe", {}}});
    AppArmorProfile profile = AppArmorProfile::open();
    for (;;) {
        Setting setting;
        if (::read(orders, &setting, sizeof setting) != sizeof setting) ::_exit(0);
        if (domain.look(SelinuxDomain::Clock::now()) == SelinuxDomain::Step::ready) (void)domain.move();
        if (setting.attribute == Attribute::none) {
            (void)profile.enter();
            continue;
        }
        const char* const name =
            setting.attribute == Attribute::io_timeout ? "queue/io_timeout" : "queue/max_sectors_kb";
        [[maybe_unused]] const auto written = sysfs.write(name, FixedText<16>::of("{}", setting.value));
    }
}

RequestTimer RequestTimer::start(std::uint32_t index, bool own_timer, ProcessTitle* title) {
    RequestTimer timer;
    timer.own_timer_ = own_timer;
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return timer;
    const Fd reading(ends[0]);
    timer.orders_.reset(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) timer.orders_.reset();
    if (child != 0) {
        if (timer.orders_) ::fcntl(timer.orders_.get(), F_SETFL, O_NONBLOCK);
        return timer;
    }
    if (title != nullptr) title->set(FixedText<64>::of("@holdfast-timer: nbd{}", index));
    // Hold no descriptor of the daemon open here, above all no link. The pipe moves to the first closed
    // number.
    constexpr int orders = STDERR_FILENO + 1;
    ::dup2(reading.get(), orders);
    ::close_range(orders + 1, ~0U, 0);
    const auto sysfs = SysfsDevice::open(index);
    if (!sysfs) ::_exit(1);
    // Root owns the attributes: writing them needs no capability.
    give_up_capabilities();
    // An attach blocks signals while it connects the device. Unblock them: this process may be ended at any
    // time.
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    keep(*sysfs, orders);
}

void RequestTimer::set(milliseconds timer) noexcept {
    // Record the value even if the process is dead: no retry on every call.
    current_ = timer;
    if (own_timer_) order({Attribute::io_timeout, static_cast<std::uint32_t>(timer.count())});
}

void RequestTimer::set_largest_request(std::uint64_t kib) noexcept {
    order({Attribute::max_sectors_kb, static_cast<std::uint32_t>(kib)});
}

void RequestTimer::look() noexcept { order({}); }

void RequestTimer::order(Setting setting) noexcept {
    if (orders_) [[maybe_unused]]
        const ssize_t count = ::write(orders_.get(), &setting, sizeof setting);
}

}  // namespace holdfast::client
