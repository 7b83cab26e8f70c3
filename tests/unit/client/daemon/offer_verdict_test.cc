// What may carry a device again after an outage.
#include <doctest/doctest.h>

#include "client/daemon/offer_verdict.hh"

using namespace holdfast;
using client::DeviceRecord;
using client::judge;
using client::LiveState;
using client::OfferVerdict;
using client::SessionFacts;

namespace {

DeviceRecord a_device() {
    DeviceRecord device;
    device.block_size = 512;
    device.server_flags =
        nbd::flag_has_flags | nbd::flag_send_flush | nbd::flag_send_fua | nbd::flag_send_trim;
    return device;
}

LiveState its_state() {
    LiveState live;
    live.size = 1 << 20;
    live.export_identity = "lv A";
    live.boot_identity = nbd::Uuid{1};
    return live;
}

SessionFacts the_server() { return {nbd::Uuid{1}, "lv A"}; }

nbd::Offer the_same() { return {1 << 20, a_device().server_flags, {1, 4096, 32U << 20}}; }

OfferVerdict judged(const nbd::Offer& offer, const DeviceRecord& device = a_device()) {
    return judge(offer, the_server(), device, its_state(), true);
}

bool says(const OfferVerdict& verdict, std::string_view words) {
    return verdict.refusal.view().find(words) != std::string_view::npos;
}

}  // namespace

TEST_CASE("the same export, a larger one, and one that offers more may carry the device") {
    CHECK(judged(the_same()).refusal.empty());
    nbd::Offer offer = the_same();
    offer.size *= 2;
    offer.flags =
        static_cast<std::uint16_t>(offer.flags | nbd::flag_send_write_zeroes | nbd::flag_can_multi_conn);
    CHECK(judged(offer).refusal.empty());
}

TEST_CASE("a smaller export is refused, by one byte too") {
    nbd::Offer offer = the_same();
    --offer.size;
    CHECK(says(judged(offer), "now has 1048575 bytes"));
}

TEST_CASE("a read-only export is refused for a writable device only") {
    nbd::Offer offer = the_same();
    offer.flags |= nbd::flag_read_only;
    CHECK(says(judged(offer), "read-only"));
    DeviceRecord device = a_device();
    device.server_flags |= nbd::flag_read_only;
    CHECK(judged(offer, device).refusal.empty());
    CHECK(judged(the_same(), device).refusal.empty());
}

TEST_CASE("a server that lost a command which the kernel was promised is refused, with the command's name") {
    nbd::Offer offer = the_same();
    offer.flags = nbd::flag_has_flags | nbd::flag_send_fua | nbd::flag_send_trim;
    CHECK(says(judged(offer), "flush"));
    offer.flags = nbd::flag_has_flags | nbd::flag_send_flush | nbd::flag_send_fua;
    CHECK(says(judged(offer), "trim"));
}

TEST_CASE("a server whose smallest request is larger than the device's blocks is refused") {
    nbd::Offer offer = the_same();
    offer.block_sizes.minimum = 4096;
    CHECK(says(judged(offer), "4096"));
}

TEST_CASE("a server that takes smaller requests than may be on their way is refused, and no other") {
    LiveState live = its_state();
    live.largest_request = 128U << 10;
    live.request_limit = 32U << 20;
    const auto with_maximum = [&live](std::uint32_t maximum) {
        nbd::Offer offer = the_same();
        offer.block_sizes.maximum = maximum;
        return judge(offer, the_server(), a_device(), live, true);
    };
    CHECK(with_maximum(1U << 20).refusal.empty());
    CHECK(with_maximum(128U << 10).refusal.empty());
    CHECK(says(with_maximum(64U << 10), "now accepts no requests over 65536 bytes"));
    CHECK(says(with_maximum(64U << 10), "131072"));
    // Somebody had raised the kernel's limit over the server's: the same server is taken again.
    live.request_limit = 64U << 10;
    CHECK(with_maximum(64U << 10).refusal.empty());
    CHECK(!with_maximum(32U << 10).refusal.empty());
    // A record of an older version names no limit.
    live.request_limit = 0;
    CHECK(!with_maximum(64U << 10).refusal.empty());
    CHECK(with_maximum(128U << 10).refusal.empty());
}

TEST_CASE(
    "another disk is refused, and so is a server that cannot say which disk it has, once that is known") {
    SessionFacts other = the_server();
    other.export_identity = "lv B";
    CHECK(says(judge(the_same(), other, a_device(), its_state(), true), "another disk"));
    CHECK(says(judge(the_same(), std::nullopt, a_device(), its_state(), true),
               "does not identify the export's disk"));
    LiveState unknown = its_state();
    unknown.export_identity.clear();
    CHECK(judge(the_same(), std::nullopt, a_device(), unknown, true).refusal.empty());
    CHECK(judge(the_same(), other, a_device(), unknown, true).refusal.empty());
}

TEST_CASE("a machine that restarted is noticed where it could have lost a write") {
    SessionFacts restarted = the_server();
    restarted.boot_identity = nbd::Uuid{2};
    CHECK(judge(the_same(), restarted, a_device(), its_state(), true).cache_lost);
    CHECK_FALSE(judge(the_same(), restarted, a_device(), its_state(), false).cache_lost);
    CHECK_FALSE(judge(the_same(), the_server(), a_device(), its_state(), true).cache_lost);
    DeviceRecord read_only = a_device();
    read_only.server_flags |= nbd::flag_read_only;
    CHECK_FALSE(judge(the_same(), restarted, read_only, its_state(), true).cache_lost);
    LiveState unknown = its_state();
    unknown.boot_identity.reset();
    CHECK_FALSE(judge(the_same(), restarted, a_device(), unknown, true).cache_lost);
}

TEST_CASE(
    "a machine that restarted has lost nothing where its writes were stable when they were acknowledged") {
    SessionFacts restarted = the_server();
    restarted.boot_identity = nbd::Uuid{2};
    LiveState live = its_state();
    live.writes_stable = true;
    live.linked_target = live.target;
    CHECK_FALSE(judge(the_same(), restarted, a_device(), live, true).cache_lost);
    live.target = 1;  // another server, whose machine may not have all that the one before has stored
    CHECK(judge(the_same(), restarted, a_device(), live, true).cache_lost);
    live.target = live.linked_target;
    live.writes_stable = false;
    restarted.writes_stable = true;  // of what comes after the restart
    CHECK(judge(the_same(), restarted, a_device(), live, true).cache_lost);
}

TEST_CASE("writes are stable when every session of this boot of the server has said so") {
    SessionFacts session = the_server();
    LiveState live = its_state();
    CHECK_FALSE(client::writes_stay_stable(live, session));
    live.writes_stable = true;
    CHECK_FALSE(client::writes_stay_stable(live, session));
    session.writes_stable = true;
    CHECK(client::writes_stay_stable(live, session));
    live.writes_stable = false;  // what an earlier session wrote may still be in the page cache
    CHECK_FALSE(client::writes_stay_stable(live, session));
    session.boot_identity = nbd::Uuid{2};
    CHECK(client::writes_stay_stable(live, session));
}

TEST_CASE("another server machine is too early while the one before may still apply what it holds") {
    DeviceRecord record;
    LiveState live;
    live.boot_identity = nbd::Uuid{1};
    live.elsewhere_after = client::Monotonic{15'000};
    const SessionFacts same{{1}, "disk"};
    const SessionFacts other{{2}, "disk"};
    CHECK(client::is_too_early(other, record, live, client::Monotonic{14'999}));
    CHECK_FALSE(client::is_too_early(other, record, live, client::Monotonic{15'000}));
    CHECK_FALSE(client::is_too_early(same, record, live, client::Monotonic{0}));  // it fences
    record.server_flags = nbd::flag_read_only;
    CHECK_FALSE(client::is_too_early(other, record, live, client::Monotonic{0}));  // nothing was written
    record.server_flags = 0;
    live.elsewhere_after = client::Monotonic{0};  // it has ended the connection by itself
    CHECK_FALSE(client::is_too_early(other, record, live, client::Monotonic{1}));
    live.elsewhere_after = client::Monotonic{15'000};
    live.boot_identity.reset();
    CHECK_FALSE(client::is_too_early(other, record, live, client::Monotonic{0}));
    CHECK_FALSE(client::is_too_early(std::nullopt, record, live, client::Monotonic{0}));
}
