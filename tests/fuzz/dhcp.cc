// A lease that is kept, against any DHCP server and any clock: the address stays, an answer means something
// only when it is to our question, and there is always a next time to ask.
#include <algorithm>
#include <vector>

#include "client/lease/lease.hh"
#include "tests/fuzz/input.hh"

using namespace holdfast::client;
using fuzz::check;
using Time = Lease::Time;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Ipv4 own = 0x0a4d0064;

LeaseRecord some_record() {
    LeaseRecord record;
    record.interface = "eth0";
    record.address = own;
    record.client.hardware = {0x52, 0x54, 0, 0x77, 0, 1};
    return record;
}

// The fuzzer need not guess what answers the last request.
std::vector<std::uint8_t> addressed_to(const DhcpRequest& request, std::span<const std::uint8_t> given) {
    std::vector<std::uint8_t> packet(given.begin(), given.end());
    if (packet.size() < 240) return packet;
    packet[0] = 2;
    std::copy_n(request.bytes.begin() + 1, 7, packet.begin() + 1);  // hardware type and length, transaction
    std::copy_n(request.bytes.begin() + 28, 16, packet.begin() + 28);   // hardware address
    std::copy_n(request.bytes.begin() + 236, 4, packet.begin() + 236);  // magic cookie
    return packet;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    LeaseState granted;
    granted.obtained_at = seconds{100};
    granted.seconds = static_cast<std::uint32_t>(input.number(4));
    Time now{seconds{101}};
    Lease lease(some_record(), granted, 7, now);
    DhcpRequest asked;
    for (int step = 0; step < 64 && !input.empty(); ++step) {
        now += milliseconds{input.number(4)};
        if (const auto send = lease.on_deadline(now)) {
            asked = send->request;
            check(asked.length <= asked.bytes.size(), "a request fits");
            check(lease.deadline() > now, "after a question there is a time for the next one");
        }
        const bool to_us = input.flag();
        const auto given = input.bytes(input.number(2));
        const auto packet =
            to_us ? addressed_to(asked, given) : std::vector<std::uint8_t>(given.begin(), given.end());
        const bool renewed = lease.on_packet(packet, now);
        check(!renewed || asked.length > 0, "nothing is renewed that was not asked for");
        const LeaseState& state = lease.state();
        check(lease.record().address == own, "the address stays");
        check(state.renew_after <= state.rebind_after && state.rebind_after <= state.seconds,
              "the times of a lease are in their order");
        check(state.seconds == infinite_lease || lease.deadline() != Time::max(), "the asking goes on");
        if (const auto news = lease.take_news())
            check(fuzz::is_printable_line(news->text), "what is told can be shown");
    }
    return 0;
}
