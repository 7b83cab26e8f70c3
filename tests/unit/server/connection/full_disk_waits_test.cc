// When requests that found no room on the disk are attempted again.
#include "server/connection/full_disk_waits.hh"

#include <doctest/doctest.h>
#include <fcntl.h>

using namespace holdfast;
using namespace holdfast::server;
using namespace std::chrono_literals;

namespace {

class IdleVolume final : public Volume {
public:
    explicit IdleVolume(bool early)
        : Volume({Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)), Fd(), false}, "idle"), early_(early) {}
    [[nodiscard]] Result<VolumeTraits> traits() const override { return VolumeTraits{.size = 1U << 20}; }
    [[nodiscard]] Result<void> trim(std::uint64_t, std::uint64_t) override { return {}; }
    [[nodiscard]] Result<void> zero(std::uint64_t, std::uint64_t, ZeroHow) override { return {}; }
    [[nodiscard]] bool fails_before_caching() const noexcept override { return early_; }

private:
    bool early_;
};

// A connection to an export with full = wait.
struct Served {
    explicit Served(bool early = true) {
        config.wait_if_full = true;
        auto slot = std::make_shared<VolumeSlot>();
        slot->volume = std::make_unique<IdleVolume>(early);
        slot->users = 1;
        opened.emplace(config, shared, VolumeUse(std::move(slot)), ConnectionFacts{}, DisksInUse::Use{});
        requests.emplace(offer, *opened, order, "test");
        waits.emplace(*opened);
    }
    [[nodiscard]] std::unique_ptr<DiskJob> job(std::uint64_t cookie) const {
        nbd::Request request;
        request.command = static_cast<std::uint16_t>(nbd::Command::write);
        request.offset = cookie;
        return std::make_unique<DiskJob>(*requests, order, request, std::span<std::uint8_t>());
    }
    [[nodiscard]] bool applies(nbd::Command command, int error) const {
        nbd::Request request;
        request.command = static_cast<std::uint16_t>(command);
        return waits->applies(request, std::unexpected(SysError{error, "test"}));
    }
    // Attempts what is due, without success. Returns the number of attempts.
    std::size_t attempt_in_vain(Clock::time_point now) {
        auto due = waits->take_due(now);
        for (auto& one : due) waits->add(std::move(one), now);
        return due.size();
    }
    [[nodiscard]] FullDisk::Counts counts() const { return opened->full_disk()->counts(); }

    ExportConfig config;
    OpenerClient nobody;
    Shared shared{.opener = nobody};
    nbd::Offer offer;
    std::atomic<Order> order = Order::serve;
    std::optional<OpenExport> opened;
    std::optional<NbdCommands> requests;
    std::optional<FullDiskWaits> waits;
};

}  // namespace

TEST_CASE(
    "only changes that find no room wait, only with full = wait, and only where nothing was acknowledged") {
    Served served;
    for (const auto command : {nbd::Command::write, nbd::Command::trim, nbd::Command::write_zeroes}) {
        CHECK(served.applies(command, ENOSPC));
        CHECK(served.applies(command, EDQUOT));
        CHECK_FALSE(served.applies(command, EIO));
    }
    for (const auto command : {nbd::Command::read, nbd::Command::flush, nbd::Command::cache})
        CHECK_FALSE(served.applies(command, ENOSPC));
    CHECK_FALSE(Served(false).applies(nbd::Command::write, ENOSPC));
    served.opened->full_disk()->set_waits(false);
    CHECK_FALSE(served.applies(nbd::Command::write, ENOSPC));
}

TEST_CASE("the pauses between the attempts grow to two seconds, and one request is attempted at a time") {
    Served served;
    Clock::time_point now{};
    CHECK(served.waits->deadline() == no_deadline);
    for (std::uint64_t i = 0; i < 3; ++i) served.waits->add(served.job(i), now);
    std::vector<std::chrono::milliseconds> pauses;
    for (int i = 0; i < 9; ++i) {
        const Clock::time_point next = served.waits->deadline();
        pauses.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(next - now));
        CHECK(served.attempt_in_vain(next - 1ms) == 0);
        CHECK(served.attempt_in_vain(next) == 1);
        now = next;
    }
    CHECK(pauses == std::vector<std::chrono::milliseconds>{50ms, 100ms, 200ms, 400ms, 800ms, 1600ms, 2000ms,
                                                           2000ms, 2000ms});
    CHECK(served.counts().waiting == 3);
    CHECK(served.counts().waited == 3);
    // Another request that begins to wait does not postpone the next attempt.
    const Deadline next = served.waits->deadline();
    served.waits->add(served.job(3), now);
    CHECK(served.waits->deadline() == next);
}

TEST_CASE("the requests take turns, and after a success all are attempted at once") {
    Served served;
    Clock::time_point now{};
    for (std::uint64_t i = 0; i < 3; ++i) served.waits->add(served.job(i), now);
    now = served.waits->deadline();
    CHECK(served.attempt_in_vain(now) == 1);
    now = served.waits->deadline();
    auto due = served.waits->take_due(now);
    REQUIRE(due.size() == 1);
    CHECK(due[0]->request.offset == 1);
    served.waits->ended(due[0]->wait, {}, now);
    CHECK(served.counts().waiting == 2);
    CHECK(served.waits->deadline() == now);
    due = served.waits->take_due(now);
    REQUIRE(due.size() == 2);
    CHECK(due[0]->request.offset == 2);
    CHECK(due[1]->request.offset == 0);
    CHECK(served.waits->empty());
    // Dropped requests count as ended.
    due.clear();
    CHECK(served.counts().waiting == 0);
    CHECK(served.counts().waited == 3);
}
