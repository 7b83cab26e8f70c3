// The client's half of the handshake against any server: what it says is bounded and well-formed, what it
// believes of the export can be used, and it does not matter in what pieces the bytes arrive.
#include "common/protocol/client_handshake.hh"

#include <bit>
#include <limits>
#include <string>

#include "tests/fuzz/input.hh"
#include "tests/unit/wire_bytes.hh"

using namespace holdfast::nbd;
using fuzz::check;
using Goal = ClientHandshake::Goal;
using State = ClientHandshake::State;

namespace {

// Flags, the session option, GO, EXPORT_NAME in its stead, ABORT.
constexpr std::size_t most_said = 3 * longest_string + 256;

struct Talk {
    wire_bytes::Bytes said;
    std::size_t taken = 0;
    State state{};
    std::string text;
    std::uint64_t listed = 0;

    bool operator==(const Talk&) const = default;
};

void check_options(std::span<const std::uint8_t> said) {
    if (said.empty()) return;
    check(said.size() >= 4, "the flags come first");
    for (said = said.subspan(4); !said.empty();) {
        check(said.size() >= sizeof(WireOption), "an option has a whole head");
        const auto head = load<WireOption>(said);
        check(head.ihaveopt == ihaveopt, "an option begins with IHAVEOPT");
        check(head.length <= said.size() - sizeof(WireOption), "an option is as long as it says");
        said = said.subspan(sizeof(WireOption) + head.length);
    }
}

void check_offer(const ClientHandshake& machine) {
    const Offer& offer = machine.offer();
    check(offer.size <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()),
          "an export's size is one that a device can have");
    check((offer.flags & flag_has_flags) != 0, "an offer has its flags");
    check(std::has_single_bit(offer.block_sizes.minimum), "the minimum block size is a power of two");
    check(offer.block_sizes.minimum <= 65536, "the minimum block size is at most 64 KiB");
    check(offer.block_sizes.maximum >= offer.block_sizes.minimum, "some request can be sent");
    if (const auto session = machine.session())
        check(session->export_identity.size() <= longest_string, "an identity is bounded");
}

Talk talk(Goal goal, const std::optional<SessionClaim>& claim, std::span<const std::uint8_t> bytes,
          std::size_t portion) {
    Talk talk;
    const auto listed = [&talk](std::string_view name, std::string_view description) {
        check(name.size() <= longest_string, "a listed name is bounded");
        check(description.size() <= longest_string, "a description is bounded");
        ++talk.listed;
    };
    ClientHandshake machine = goal == Goal::list ? ClientHandshake(ClientHandshake::ListSink(listed))
                                                 : ClientHandshake(goal, "disk", claim);
    while (machine.wanted() > 0 && talk.taken < bytes.size()) {
        const std::size_t count = std::min({portion, machine.wanted(), bytes.size() - talk.taken});
        machine.receive(bytes.subspan(talk.taken, count));
        talk.taken += count;
    }
    check((machine.wanted() > 0) == (machine.state() == State::running),
          "only a running machine wants bytes");
    talk.said = wire_bytes::drain(machine);
    talk.state = machine.state();
    talk.text = machine.text();
    check(talk.said.size() <= most_said, "what it says is bounded");
    check_options(talk.said);
    if (talk.state == State::done && goal != Goal::list) check_offer(machine);
    if (talk.state == State::failed) check(!talk.text.empty(), "a failure has a reason");
    return talk;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::uint64_t how = input.number(1);
    const auto goal = static_cast<Goal>(how % 3);
    std::optional<SessionClaim> claim;
    if (input.flag()) claim = SessionClaim{{1}, 2, 3};
    if (claim && how >= 128) claim->host = HostRequest{{4}, {5}, 6, 0};
    const std::size_t portion = input.number(1) + 1;
    const auto bytes = input.rest_bytes();
    check(talk(goal, claim, bytes, SIZE_MAX) == talk(goal, claim, bytes, portion),
          "the pieces in which bytes arrive do not matter");
    return 0;
}
