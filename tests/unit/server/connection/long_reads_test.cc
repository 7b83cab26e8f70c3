// Long reads in pieces, with structured and simple replies: all data, a disk that fails in the middle, a
// fence, and a client that has gone.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "server/connection/long_reads.hh"
#include "tests/unit/socket_pair.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

constexpr std::uint32_t length = 5U << 19;  // two pieces and a half

// Memory that ends after `size` bytes; each byte has a value of its place.
class MemoryVolume final : public Volume {
public:
    explicit MemoryVolume(std::size_t size) : Volume({file_of(size), Fd(), false}, "memory") {}
    [[nodiscard]] Result<VolumeTraits> traits() const override { return VolumeTraits{.size = length}; }
    [[nodiscard]] Result<void> trim(std::uint64_t, std::uint64_t) override { return {}; }
    [[nodiscard]] Result<void> zero(std::uint64_t, std::uint64_t, ZeroHow) override { return {}; }

    static std::uint8_t value_at(std::uint64_t offset) {
        return static_cast<std::uint8_t>(offset / 4096 * 7);
    }

private:
    static Fd file_of(std::size_t size) {
        Fd file(::memfd_create("holdfast-unit", MFD_CLOEXEC));
        std::vector<std::uint8_t> bytes(size);
        for (std::size_t i = 0; i < size; ++i) bytes[i] = value_at(i);
        REQUIRE(::write(file.get(), bytes.data(), size) == static_cast<ssize_t>(size));
        return file;
    }
};

struct Bench {
    explicit Bench(bool structured, std::size_t size = length) {
        auto slot = std::make_shared<VolumeSlot>();
        slot->volume = std::make_unique<MemoryVolume>(size);
        slot->users = 1;
        opened.emplace(config, shared, VolumeUse(std::move(slot)), ConnectionFacts{}, DisksInUse::Use{});
        offer.size = length;
        offer.structured_replies = structured;
        requests.emplace(offer, *opened, order, "test");
        reads.emplace(offer, *requests, counters, buffers, replies, sender, order, Buffers::page);
        request.command = static_cast<std::uint16_t>(nbd::Command::read);
        request.length = length;
    }
    // Reads the whole export while a client receives.
    std::expected<void, std::string> read() {
        std::thread client([&] {
            std::uint8_t bytes[65536];
            for (ssize_t got = 0; (got = ::recv(pair.peers.get(), bytes, sizeof bytes, 0)) > 0;)
                received.insert(received.end(), bytes, bytes + got);
        });
        auto done = reads->read(request);
        (void)::shutdown(pair.ours.get(), SHUT_WR);
        client.join();
        return done;
    }

    ExportConfig config;
    OpenerClient nobody;
    Shared shared{.opener = nobody};
    nbd::Offer offer;
    nbd::Request request;
    std::atomic<Order> order = Order::serve;
    std::atomic<bool> sending = false;
    std::optional<OpenExport> opened;
    std::optional<NbdCommands> requests;
    RequestCounters counters;
    Budget budget;
    Buffers buffers{budget.borrower("disk", "test")};
    ReplyQueue replies{buffers};
    Pair pair = connected();
    Sender sender{pair.ours.get(), sending, std::chrono::seconds(1)};
    std::optional<LongReads> reads;
    std::vector<std::uint8_t> received;
};

std::uint64_t big_endian(const std::vector<std::uint8_t>& bytes, std::size_t at, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = value << 8 | bytes.at(at + i);
    return value;
}

}  // namespace

TEST_CASE("a simple reply to a long read has one head and all data") {
    Bench bench(false);
    CHECK(bench.read());
    REQUIRE(bench.received.size() == sizeof(nbd::WireSimpleReply) + length);
    CHECK(big_endian(bench.received, 4, 4) == 0);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < length; ++i)
        wrong += bench.received[sizeof(nbd::WireSimpleReply) + i] != MemoryVolume::value_at(i) ? 1 : 0;
    CHECK(wrong == 0);
    CHECK(bench.counters.tally().bytes_out() == length);
    CHECK_FALSE(bench.buffers.in_use());
    CHECK_FALSE(bench.sending);
}

TEST_CASE("a structured reply to a long read has a chunk for each piece, and its last one says so") {
    Bench bench(true);
    CHECK(bench.read());
    std::uint64_t offset = 0;
    bool done = false;
    constexpr std::size_t head = 20;
    for (std::size_t at = 0; at < bench.received.size();) {
        CHECK_FALSE(done);
        CHECK(big_endian(bench.received, at, 4) == 0x668e33ef);
        done = big_endian(bench.received, at + 4, 2) == 1;
        const std::size_t data = big_endian(bench.received, at + 16, 4) - 8;
        CHECK(big_endian(bench.received, at + head, 8) == offset);
        CHECK(bench.received.at(at + head + 8) == MemoryVolume::value_at(offset));
        offset += data;
        at += head + 8 + data;
    }
    CHECK(done);
    CHECK(offset == length);
    CHECK(bench.counters.tally().bytes_out() == length);
    CHECK_FALSE(bench.buffers.in_use());
}

TEST_CASE(
    "a disk that fails in the middle gets an error reply, simple before any data, structured after some") {
    for (const bool structured : {false, true}) {
        Bench bench(structured, length / 2);
        CHECK(bench.read());
        CHECK_FALSE(bench.replies.empty());
        CHECK(bench.received.empty() == !structured);
        CHECK(bench.counters.tally().errors() == 1);
        CHECK_FALSE(bench.buffers.in_use());
    }
}

TEST_CASE("a fence abandons a long read without an answer") {
    for (const bool structured : {false, true}) {
        Bench bench(structured);
        bench.order = Order::fence;
        CHECK(bench.read());
        CHECK(bench.received.empty());
        CHECK(bench.replies.empty());
    }
}

TEST_CASE("a long read to a client that has gone ends the connection, and says why") {
    for (const bool structured : {false, true}) {
        Bench bench(structured);
        (void)::shutdown(bench.pair.ours.get(), SHUT_WR);
        const auto done = bench.reads->read(bench.request);
        REQUIRE_FALSE(done.has_value());
        CHECK(done.error().starts_with("the connection was lost: "));
        CHECK_FALSE(bench.buffers.in_use());
    }
}

TEST_CASE("a long read needs memory for one piece, or ends the connection") {
    Bench bench(false);
    std::vector<std::span<std::uint8_t>> taken;
    do {
        taken.push_back(bench.buffers.take(Buffers::page));
    } while (!taken.back().empty());
    CHECK(bench.reads->read(bench.request).error() == "no memory is left for a request");
    for (const auto& area : taken) bench.buffers.give(area);
}
