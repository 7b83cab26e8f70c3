// The kernel's NBD netlink interface. The only file pair that knows libnl.
//
// Two sockets: one for requests and their answers, one that is a member of the family's multicast group, so
// that an event is never taken for an answer. Both live as long as the object: the daemon resolves the family
// and joins once. libnl allocates for each message that it makes, sends or receives; here, messages are built
// in one that was made at the beginning, and sent and received by plain system calls, so that all but open()
// may be called after the seal.
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

// What the kernel is told of a device when it is connected.
struct DeviceConfiguration {
    std::optional<std::uint32_t> index;  // empty: the kernel picks an unused one
    std::uint64_t size = 0;
    std::uint32_t block_size = 512;
    std::uint16_t server_flags = 0;  // the transmission flags of the handshake
    std::chrono::seconds request_timeout{
        0};                  // 0: requests wait for ever, a slow server is not taken for a dead one
    std::string identifier;  // RECONFIGURE must repeat it
};

// What RECONFIGURE is to change; what is empty stays.
// A dead connection keeps its I/O waiting for so long: practically for ever, but seconds times HZ (at most
// 1000) must fit the kernel's long. Ten years where that has 64 bits, else twenty days.
inline constexpr std::chrono::seconds practically_for_ever{sizeof(long) == 8 ? 315'360'000 : 1'728'000};

struct DeviceChange {
    std::optional<std::uint64_t> size;
    std::optional<int>
        socket;  // takes the place of a dead one; silently dropped by the kernel when none is dead
    std::optional<std::chrono::seconds> dead_connection_timeout;
};

class Netlink {
public:
    // ENOENT: the kernel has no nbd family, its module is not loaded. The events are subscribed to when this
    // returns.
    [[nodiscard]] static Result<Netlink> open();
    Netlink(Netlink&&) noexcept;
    Netlink& operator=(Netlink&&) noexcept;
    ~Netlink();

    // The index of the device. The kernel keeps a reference to the sockets; the caller keeps its descriptors.
    // EBUSY: the device is connected, or somebody has it open.
    [[nodiscard]] Result<std::uint32_t> connect(const DeviceConfiguration& configuration,
                                                std::span<const int> sockets) noexcept;
    [[nodiscard]] Result<void> reconfigure(std::uint32_t index, const std::string& identifier,
                                           const DeviceChange& change) noexcept;
    // Returns when the kernel has let go of the sockets. Shut them down before: a sender stuck in one would
    // block this.
    [[nodiscard]] Result<void> disconnect(std::uint32_t index) noexcept;

    // Readable when an event waits.
    [[nodiscard]] int events_descriptor() const noexcept;
    // Whether LINK_DEAD for this device is among the waiting events, all of which are taken. Does not block.
    enum class LinkDead : std::uint8_t {
        no,
        yes,
        unknown,  // events were lost, and one of them may have been it
    };
    [[nodiscard]] LinkDead take_link_dead(std::uint32_t index) noexcept;

private:
    struct State;
    explicit Netlink(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::client
