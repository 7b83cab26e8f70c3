// The process is a loop over two descriptors: orders of the daemon, and events of the kernel. Its end of the
// socket pair is closed with the daemon, which ends the process.

#include "client/daemon/network_guard.hh"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "client/network/network_memory.hh"
#include "client/network/network_watch.hh"
#include "client/process/capabilities.hh"
#include "client/process/hardening.hh"
#include "client/process/seal.hh"
#include "client/process/selinux_domain.hh"
#include "client/process/sendsigs_omit.hh"
#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

using Time = Clock::time_point;
using std::chrono::milliseconds;

// A change of the network comes as several events.
constexpr milliseconds settling{300};

template <class Value>
bool receive(int socket, Value& value, int flags) noexcept {
    return ::recv(socket, &value, sizeof value, flags) == sizeof value;
}

bool is_loopback(const IpAddress& address) noexcept {
    constexpr std::array<std::uint8_t, 16> inet6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return address.family == AF_INET ? address.bytes[0] == 127 : address.bytes == inet6;
}

// --- The process

class GuardProcess {
public:
    GuardProcess(std::uint32_t device, int orders, NetworkMemory& memory, SelinuxDomain domain) noexcept
        : device_(device), orders_(orders), memory_(memory), domain_(std::move(domain)) {}
    // Returns when the daemon has ended.
    void run();

private:
    void take(const NetworkOrder& order) noexcept;
    void look(Time now);
    void report_interface() noexcept;
    void restore(Time now);
    void tell(const NetworkNews& news) noexcept {
        (void)::send(orders_, &news, sizeof news, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    [[nodiscard]] Time deadline() const noexcept { return std::min(next_look_, watch_.deadline()); }

    std::uint32_t device_;
    int orders_;
    NetworkMemory& memory_;
    SelinuxDomain domain_;
    NetworkOrder order_;
    NetworkWatch watch_;
    Time next_look_ = Time::max();
    NetworkNews last_;  // interface reported last
    bool failure_told_ = false;
};

void GuardProcess::take(const NetworkOrder& order) noexcept {
    const Time now = Clock::now();
    if (domain_.look(now) == SelinuxDomain::Step::ready) (void)domain_.move();
    order_ = order;
    watch_.link_is(order.link_up, now);
    next_look_ = now;
}

void GuardProcess::report_interface() noexcept {
    if (order_.leased.family == 0) return;
    const InterfaceFacts found = memory_.interface_with(order_.leased);
    if (found.index == 0 || (found.index == last_.index && found.name == last_.interface)) return;
    last_.index = found.index;
    last_.interface = found.name;
    tell(last_);
}

void GuardProcess::restore(Time now) {
    const NetworkMemory::Restored done = memory_.restore();
    next_look_ = now + settling;
    NetworkNews news;
    news.failed = done.error.code != 0;
    if (news.failed && !std::exchange(failure_told_, true))
        news.text = LineText::of(
            "nbd{0}: the disk's network on {1} was lost, and could not be restored: {2}; give {1} the "
            "address {3} again",
            device_, done.interface, done.error.text(), text_of(order_.local));
    if (!news.failed && done.anything()) {
        failure_told_ = false;
        news.text = LineText::of(
            "nbd{0}: the disk's network on {1} was lost; restored ({2}addresses: {3}, routes: {4}); see "
            "which program "
            "changed {1}, and keep it from {1}",
            device_, done.interface, done.raised ? "link up, " : "", done.addresses, done.routes);
    }
    if (!news.text.empty()) tell(news);
}

void GuardProcess::look(Time now) {
    next_look_ = Time::max();
    if (!order_.acting) return;
    report_interface();
    if (order_.local.family == 0) return;
    const NetworkLook seen = memory_.look(order_.local, order_.server, order_.scope);
    switch (watch_.judge(seen, now)) {
        case NetworkStep::none: return;
        case NetworkStep::remember: return memory_.remember();
        case NetworkStep::restore: return restore(now);
    }
}

void GuardProcess::run() {
    std::array<pollfd, 2> entries{{{orders_, POLLIN, 0}, {memory_.netlink().events_descriptor(), POLLIN, 0}}};
    for (;;) {
        const int wait = poll_timeout(order_.acting ? deadline() : no_deadline, Clock::now());
        if (::poll(entries.data(), entries.size(), wait) < 0) {
            if (errno != EINTR) return;
            continue;
        }
        if (entries[0].revents != 0) {
            NetworkOrder order;
            if (!receive(orders_, order, 0)) return;
            take(order);
        }
        const Time now = Clock::now();
        if (entries[1].revents != 0) {
            memory_.netlink().drain_events();
            next_look_ = std::min(next_look_, now + settling);
        }
        if (order_.acting && now >= deadline()) look(now);
    }
}

// Holds no descriptor of the daemon, above all no link.
[[noreturn]] void run_process(std::uint32_t device, int socket, ProcessTitle& title) {
    constexpr int orders = STDERR_FILENO + 1;
    ::dup2(socket, orders);
    ::close_range(orders + 1, ~0U, 0);
    hold_signals();
    title.set(FixedText<64>::of("@holdfast-network: nbd{}", device));
    ::prctl(PR_SET_NAME, "holdfast-net", 0, 0, 0);
    auto netlink = Rtnetlink::open();
    if (!netlink) ::_exit(1);
    const Fd interfaces(::open("/sys/class/net", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto omit = OmitFile::open(device, "network");
    if (omit) (void)omit->enter();
    (void)stay_in_memory();
    if (!keep_network_capability().empty()) ::_exit(1);
    SelinuxDomain domain = SelinuxDomain::open({{interfaces.get(), "/sys/class/net", {}}});
    static NetworkMemory memory(std::move(*netlink), interfaces.get());
    GuardProcess process(device, orders, memory, std::move(domain));
    seal::close();
    process.run();
    if (omit) omit->remove();
    ::_exit(0);
}

}  // namespace

// --- The daemon's side

IpAddress ip_address_of(const sockaddr_storage& address) noexcept {
    IpAddress result;
    if (address.ss_family == AF_INET) {
        sockaddr_in inet{};
        std::memcpy(&inet, &address, sizeof inet);
        std::memcpy(result.bytes.data(), &inet.sin_addr, sizeof inet.sin_addr);
    } else if (address.ss_family == AF_INET6) {
        sockaddr_in6 inet6{};
        std::memcpy(&inet6, &address, sizeof inet6);
        std::memcpy(result.bytes.data(), &inet6.sin6_addr, sizeof inet6.sin6_addr);
    } else {
        return result;
    }
    result.family = static_cast<std::uint8_t>(address.ss_family);
    return result;
}

void NetworkGuard::open(ProcessTitle& title) {
    const DeviceRecord& record = device_.record;
    const bool by_network = std::ranges::any_of(record.targets, [](const Target& target) {
        const IpAddress address = ip_address_of(target.endpoint.address);
        return address.family != 0 && !is_loopback(address);
    });
    if (!record.carries_root || !by_network) return;
    const auto failed = [&](const SysError& error) {
        log::warning(LineText::of(
            "{0}: its network will not be restored after a loss: {1}; run `holdfast-client takeover {0}`",
            device_.name(), error.text()));
    };
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return failed(SysError{errno, "socketpair"});
    Fd own(ends[0]);
    const Fd others(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) run_process(record.index, others.get(), title);
    if (child < 0) return failed(SysError{errno, "fork"});
    if (auto watched = loop_.watch(own.get(), EPOLLIN, tag_network); !watched) return failed(watched.error());
    socket_ = std::move(own);
}

void NetworkGuard::send() noexcept {
    if (socket_) (void)::send(socket_.get(), &order_, sizeof order_, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void NetworkGuard::link_is(int link) noexcept {
    order_.acting = true;
    order_.link_up = link >= 0;
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    if (link >= 0 && ::getsockname(link, reinterpret_cast<sockaddr*>(&own), &length) == 0) {
        order_.local = ip_address_of(own);
        order_.server = ip_address_of(device_.target().endpoint.address);
        order_.scope = 0;
        if (own.ss_family == AF_INET6) {
            sockaddr_in6 inet6{};
            std::memcpy(&inet6, &own, sizeof inet6);
            order_.scope = inet6.sin6_scope_id;
        }
    }
    if (device_.record.lease) {
        const auto& lease = *device_.record.lease;
        order_.leased.family = AF_INET;
        const std::uint32_t bytes = ::htonl(lease.address);
        std::memcpy(order_.leased.bytes.data(), &bytes, sizeof bytes);
    }
    send();
}

void NetworkGuard::stand_by() noexcept {
    order_.acting = false;
    send();
}

std::optional<NetworkGuard::Interface> NetworkGuard::advance() noexcept {
    std::optional<Interface> changed;
    NetworkNews news;
    ssize_t count = -1;
    while ((count = ::recv(socket_.get(), &news, sizeof news, MSG_DONTWAIT)) == sizeof news) {
        if (news.index != 0) changed = Interface{news.index, news.interface};
        if (!news.text.empty()) log::write(news.failed ? log::Level::error : log::Level::warning, news.text);
    }
    if (count == 0) {
        loop_.forget(socket_.get());
        socket_.reset();
        log::warning(LineText::of(
            "{0}: the process that restores the disk's network has ended; run `holdfast-client takeover {0}`",
            device_.name()));
    }
    return changed;
}

}  // namespace holdfast::client
