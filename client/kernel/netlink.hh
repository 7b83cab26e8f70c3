// The kernel's NBD netlink interface. The only file pair that uses libnl.
//
// Two sockets: the first for requests and their answers, the second as a member of the family's multicast
// group, so that an event is never mistaken for an answer. Both last as long as the object: the daemon
// resolves the family and joins once. libnl allocates for each message that it makes, sends or receives;
// here, messages are built in a buffer allocated by open(), and sent and received by plain system calls, so
// that all functions except open() may be called after the seal.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

// Parameters of a device to connect.
struct DeviceConfiguration {
    std::optional<std::uint32_t> index;  // empty: the kernel picks an unused index
    std::uint64_t size = 0;
    std::uint32_t block_size = 512;
    std::uint16_t server_flags = 0;  // transmission flags of the handshake
    std::chrono::seconds request_timeout{
        0};                  // 0: requests wait for ever; a slow server is not considered dead
    std::string identifier;  // to be repeated by RECONFIGURE
};

// A change by RECONFIGURE; empty members stay unchanged. practically_for_ever is the time for which a dead
// connection keeps its I/O waiting: seconds times HZ (at most 1000) must fit the kernel's long. Ten years for
// a 64-bit long, else twenty days.
inline constexpr std::chrono::seconds practically_for_ever{sizeof(long) == 8 ? 315'360'000 : 1'728'000};

struct DeviceChange {
    std::optional<std::uint64_t> size;
    std::optional<int> socket;  // replaces a dead socket; silently dropped by the kernel if none is dead
    std::optional<std::chrono::seconds> dead_connection_timeout;
};

class Netlink {
public:
    // Opens the sockets and subscribes to the events. ENOENT: the kernel has no nbd family, its module is not
    // loaded.
    [[nodiscard]] static Result<Netlink> open();
    Netlink(Netlink&&) noexcept;
    Netlink& operator=(Netlink&&) noexcept;
    ~Netlink();

    // Connects a device and returns its index. The kernel keeps a reference to the sockets; the caller keeps
    // its descriptors. EBUSY: the device is connected, or held open by a process.
    [[nodiscard]] Result<std::uint32_t> connect(const DeviceConfiguration& configuration,
                                                std::span<const int> sockets) noexcept;
    [[nodiscard]] Result<void> reconfigure(std::uint32_t index, const std::string& identifier,
                                           const DeviceChange& change) noexcept;
    // Returns once the kernel has released the sockets. Shut the sockets down before: a sender stuck in a
    // socket would block this call.
    [[nodiscard]] Result<void> disconnect(std::uint32_t index) noexcept;

    // Readable if an event is waiting.
    [[nodiscard]] int events_descriptor() const noexcept;
    // Whether the waiting events include LINK_DEAD for this device; consumes all events. Does not block.
    enum class LinkDead : std::uint8_t {
        no,
        yes,
        unknown,  // events were lost, possibly including LINK_DEAD
    };
    [[nodiscard]] LinkDead take_link_dead(std::uint32_t index) noexcept;

private:
    struct State;
    explicit Netlink(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::client
