// What one request does to a volume: long ones in pieces, with an eye on who calls them off.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <functional>
#include <vector>

#include "server/connection/nbd_commands.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

constexpr std::uint64_t MIB = 1U << 20;

// Notes what is asked of it and changes nothing.
class NotingVolume final : public Volume {
public:
    struct Call {
        char what;
        std::uint64_t offset;
        std::uint64_t length;
        bool fast = false;
        bool operator==(const Call&) const = default;
    };

    NotingVolume() : Volume({Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)), Fd(), false}, "noting") {}
    [[nodiscard]] Result<VolumeTraits> traits() const override { return VolumeTraits{.size = 1ULL << 40}; }
    [[nodiscard]] Result<void> trim(std::uint64_t offset, std::uint64_t length) override {
        return note({'t', offset, length});
    }
    [[nodiscard]] Result<void> zero(std::uint64_t offset, std::uint64_t length, ZeroHow how) override {
        return note({'z', offset, length, how.fast});
    }

    std::vector<Call> calls;
    std::function<void()> after_each = [] {};

private:
    Result<void> note(Call call) {
        calls.push_back(call);
        after_each();
        return {};
    }
};

// A connection to a noting volume, without a socket.
struct Served {
    Served() {
        auto slot = std::make_shared<VolumeSlot>();
        slot->volume = std::make_unique<NotingVolume>();
        slot->users = 1;
        volume = static_cast<NotingVolume*>(slot->volume.get());
        opened.emplace(config, shared, VolumeUse(std::move(slot)), ConnectionFacts{}, DisksInUse::Use{});
        requests.emplace(offer, *opened, order, "test");
    }
    Result<void> carry_out(nbd::Command command, std::uint64_t offset, std::uint32_t length, int flags = 0) {
        nbd::Request request;
        request.command = static_cast<std::uint16_t>(command);
        request.flags = static_cast<std::uint16_t>(flags);
        request.offset = offset;
        request.length = length;
        return requests->carry_out(request, {});
    }

    ExportConfig config;
    OpenerClient nobody;
    Shared shared{.opener = nobody};
    nbd::Offer offer;
    std::atomic<Order> order = Order::serve;
    NotingVolume* volume = nullptr;
    std::optional<OpenExport> opened;
    std::optional<NbdCommands> requests;
};

}  // namespace

TEST_CASE(
    "long zeroes and trims are done in pieces that cover the range, and only the first may be refused") {
    Served served;
    using Calls = std::vector<NotingVolume::Call>;
    REQUIRE(served.carry_out(nbd::Command::write_zeroes, 32 * MIB - 512, 80 * MIB, nbd::cmd_flag_fast_zero));
    CHECK(served.volume->calls == Calls{{'z', 32 * MIB - 512, 32 * MIB + 512, true},
                                        {'z', 64 * MIB, 32 * MIB, false},
                                        {'z', 96 * MIB, 16 * MIB - 512, false}});
    served.volume->calls.clear();
    REQUIRE(served.carry_out(nbd::Command::trim, 0, 0xffff'f000));
    CHECK(served.volume->calls.size() == 128);
    CHECK(served.volume->calls.back() == NotingVolume::Call{'t', 4064 * MIB, 32 * MIB - 4096});
    served.volume->calls.clear();
    REQUIRE(served.carry_out(nbd::Command::write_zeroes, 100, 4096));
    CHECK(served.volume->calls == Calls{{'z', 100, 4096, false}});
    served.volume->calls.clear();
    REQUIRE(served.carry_out(nbd::Command::trim, 100, 0));
    CHECK(served.volume->calls.empty());
}

TEST_CASE("a long request is given up between two pieces at a fence or a stop, and a short one is finished") {
    for (const Order order : {Order::stop, Order::fence}) {
        Served served;
        served.volume->after_each = [&] {
            if (served.volume->calls.size() == 2) served.order = order;
        };
        for (const nbd::Command command : {nbd::Command::write_zeroes, nbd::Command::trim}) {
            served.order = Order::serve;
            served.volume->calls.clear();
            CHECK(NbdCommands::was_given_up(served.carry_out(command, 0, 1U << 30)));
            CHECK(served.volume->calls.size() == 2);
        }
        served.volume->calls.clear();
        CHECK(served.carry_out(nbd::Command::trim, 0, 4096));
        CHECK(NbdCommands::was_given_up(served.carry_out(nbd::Command::cache, 0, 1U << 30)));
    }
}
