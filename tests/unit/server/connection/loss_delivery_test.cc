// Delivery of reported losses: which request of a client proves that it has read the report.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include "server/connection/loss_delivery.hh"
#include "tests/unit/socket_pair.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

nbd::Request request_of(nbd::Command command) {
    nbd::Request request{};
    request.command = static_cast<std::uint16_t>(command);
    return request;
}

// A client's connection after a flush whose error reports a loss, with the reply on its way.
struct Reported {
    Reported() {
        disk->add(EIO);
        CHECK_FALSE(writer.check());
        writer.told();
        delivery.on_failed_flush();
    }

    std::shared_ptr<DiskLosses> disk = std::make_shared<DiskLosses>("/dev/x");
    Writer writer = disk->begin_nameless("10.0.0.1");
    Pair pair = connected();
    LossDelivery delivery{pair.ours.get(), writer};
};

}  // namespace

TEST_CASE("the next flush or disconnect of a client proves that it has read the report") {
    for (const nbd::Command command : {nbd::Command::flush, nbd::Command::disconnect}) {
        Reported reported;
        CHECK(reported.delivery.wants_note());
        reported.delivery.note(true);
        CHECK_FALSE(reported.delivery.wants_note());
        reported.delivery.on_request(request_of(nbd::Command::read));
        CHECK(reported.writer.awaits_delivery());
        reported.delivery.on_request(request_of(command));
        CHECK_FALSE(reported.writer.awaits_delivery());
    }
}

TEST_CASE("a flush that the client may have sent before the report proves nothing") {
    Reported reported;
    reported.delivery.note(false);
    reported.delivery.on_request(request_of(nbd::Command::flush));
    CHECK(reported.writer.awaits_delivery());
    CHECK(reported.delivery.wants_note());
}

TEST_CASE("a report that the client's kernel has not acknowledged counts as unread") {
    Reported reported;
    reported.delivery.note(true);
    fill(reported.pair.ours.get());
    reported.delivery.on_request(request_of(nbd::Command::flush));
    CHECK(reported.writer.awaits_delivery());
}

TEST_CASE("without a report there is nothing to note") {
    const auto disk = std::make_shared<DiskLosses>("/dev/x");
    const Writer writer = disk->begin_nameless("10.0.0.1");
    const Pair pair = connected();
    CHECK_FALSE(LossDelivery(pair.ours.get(), writer).wants_note());
}
