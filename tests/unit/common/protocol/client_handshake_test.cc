// The client's handshake against servers written out byte by byte: well-behaved ones, and every other kind.
#include "common/protocol/client_handshake.hh"

#include <doctest/doctest.h>

#include <memory>

#include "tests/unit/wire_bytes.hh"

using namespace holdfast::nbd;
using namespace wire_bytes;
using Goal = ClientHandshake::Goal;
using State = ClientHandshake::State;

namespace {

constexpr std::uint32_t go = 7, info = 6, list = 3;
constexpr std::uint32_t session = 0x48460001, host_option = 0x48460003;
constexpr std::uint32_t unsup = 0x80000001;

const Bytes greeting = text("NBDMAGICIHAVEOPT") + hex("0003");
// 1 MiB; HAS_FLAGS, SEND_FLUSH, SEND_FUA.
const Bytes info_export = hex("0000 0000000000100000 000d");
const Bytes info_block_size = hex("0003 00000200 00001000 02000000");

Bytes block_size_reply(std::uint32_t minimum, std::uint32_t preferred, std::uint32_t maximum) {
    return reply(go, 3, hex("0003") + be(minimum, 4) + be(preferred, 4) + be(maximum, 4));
}

// A GO that goes well, with `more` before the ACK.
Bytes go_dialogue(const Bytes& more) { return greeting + reply(go, 3, info_export) + more + reply(go, 1); }

// What a machine is after it has been fed: enough of it to compare two ways of feeding.
struct Outcome {
    State state;
    std::size_t taken;
    Bytes output;
    std::string text;
    std::uint64_t size;
    BlockSizes block_sizes;
    Bytes listed;
    std::optional<std::string> identity;  // the export's, where the server answered the claim

    bool operator==(const Outcome&) const = default;
};

Outcome run(Goal goal, const Bytes& bytes, std::size_t portion = SIZE_MAX, std::string_view name = "root",
            std::optional<SessionClaim> claim = {}) {
    Bytes listed;
    const auto sink = [&](std::string_view export_name, std::string_view description) {
        listed = listed + text(export_name) + text("=") + text(description) + text(";");
    };
    // On the heap, so that a write past its end is seen.
    const auto machine = goal == Goal::list ? std::make_unique<ClientHandshake>(sink)
                                            : std::make_unique<ClientHandshake>(goal, name, claim);
    const std::size_t taken = feed(*machine, bytes, portion);
    if (machine->state() != State::running) {
        CHECK(machine->wanted() == 0);
    } else {
        CHECK(machine->wanted() > 0);
        CHECK(machine->wanted() <= 64 << 10);
    }
    return {
        machine->state(),
        taken,
        copy(machine->output()),
        std::string(machine->text()),
        machine->offer().size,
        machine->offer().block_sizes,
        listed,
        machine->session() ? std::optional<std::string>(machine->session()->export_identity) : std::nullopt};
}

const Bytes flags_said = hex("00000003");
const Bytes go_said = option(go, hex("00000004") + text("root") + hex("0001 0003"));
const Bytes abort_said = option(2);

void check_failed(Goal goal, const Bytes& bytes, std::string_view reason) {
    const Outcome outcome = run(goal, bytes);
    CHECK(outcome.state == State::failed);
    CHECK(outcome.text == reason);
}

// Session 00..0f, slot 2, generation 7; the claim, as it is sent, and a server's answer.
constexpr SessionClaim claim{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 2, 7};
const Bytes claim_said =
    option(session, hex("00010203 04050607 08090a0b 0c0d0e0f 00000002 00000007") + text("root"));
const Bytes boot_identity = hex("b0b1b2b3 b4b5b6b7 b8b9babb bcbdbebf");
const Bytes claim_answer = reply(session, session, boot_identity + text("lvm:Xy12")) + reply(session, 1);

Outcome claimed(const Bytes& bytes, std::string_view name = "root") {
    return run(Goal::go, bytes, SIZE_MAX, name, claim);
}

void check_claim_failed(const Bytes& bytes, std::string_view reason) {
    const Outcome outcome = claimed(bytes);
    CHECK(outcome.state == State::failed);
    CHECK(outcome.text == reason);
}

// One dialogue of each kind, complete to the last byte.
struct Dialogue {
    Goal goal;
    Bytes bytes;
    State end;
    std::optional<SessionClaim> claim;
};
std::vector<Dialogue> dialogues() {
    return {
        {Goal::go,
         go_dialogue(reply(go, 3, info_block_size) + reply(go, 3, hex("0001") + text("root"))),
         State::done,
         {}},
        {Goal::go,
         greeting + reply(go, unsup, text("what?")) + hex("0000000000100000 0001"),
         State::done,
         {}},
        {Goal::go,
         text("NBDMAGICIHAVEOPT") + hex("0001") + reply(go, unsup) + hex("0000000000100000 0001") +
             Bytes(124),
         State::done,
         {}},
        {Goal::go, greeting + reply(go, 0x80000006, text("no such export")), State::refused, {}},
        {Goal::info,
         greeting + reply(info, 3, info_block_size) + reply(info, 3, info_export) + reply(info, 1),
         State::done,
         {}},
        {Goal::list,
         greeting + reply(list, 2, hex("00000001") + text("a")) +
             reply(list, 2, hex("00000002") + text("bcdef")) + reply(list, 1),
         State::done,
         {}},
        {Goal::go, greeting + claim_answer + reply(go, 3, info_export) + reply(go, 1), State::done, claim},
        {Goal::go, greeting + reply(session, unsup, text("what?")) + reply(go, 3, info_export) + reply(go, 1),
         State::done, claim},
        {Goal::go, greeting + reply(session, 0x80000002, text("not you")), State::refused, claim},
        {Goal::go, greeting + claim_answer + reply(go, unsup) + hex("0000000000100000 0001"), State::done,
         claim},
    };
}

}  // namespace

TEST_CASE("GO says the flags, the name and the one request, byte by byte") {
    ClientHandshake machine(Goal::go, "root");
    CHECK(machine.output().empty());
    CHECK(machine.wanted() == 18);
    feed(machine, greeting);
    CHECK(drain(machine) == hex("00000003"                            // FIXED_NEWSTYLE, NO_ZEROES
                                "49484156454f5054 00000007 0000000c"  // IHAVEOPT, GO, 12 bytes
                                "00000004 726f6f74 0001 0003"));      // "root", one request: BLOCK_SIZE
    CHECK(machine.output().empty());
    CHECK(machine.wanted() == 20);
    CHECK(machine.state() == State::running);
}

TEST_CASE("GO ends in transmission with the offer, and takes no byte too many") {
    const Bytes dialogue = go_dialogue(reply(go, 3, info_block_size));
    ClientHandshake machine(Goal::go, "root");
    CHECK(feed(machine, dialogue + hex("67446698")) == dialogue.size());
    REQUIRE(machine.state() == State::done);
    CHECK(machine.offer().size == 1 << 20);
    CHECK(machine.offer().flags == (flag_has_flags | flag_send_flush | flag_send_fua));
    CHECK(machine.block_sizes_given());
    CHECK(machine.offer().block_sizes == BlockSizes{512, 4096, 32 << 20});
    CHECK(drain(machine) == flags_said + go_said);
}

TEST_CASE("a server that names no block sizes leaves the defaults") {
    ClientHandshake machine(Goal::go, "root");
    feed(machine, go_dialogue({}));
    REQUIRE(machine.state() == State::done);
    CHECK_FALSE(machine.block_sizes_given());
    CHECK(machine.offer().block_sizes == BlockSizes{1, 4096, 32 << 20});
}

TEST_CASE("the default export has the empty name") {
    const Outcome outcome = run(Goal::go, go_dialogue({}), SIZE_MAX, "");
    CHECK(outcome.state == State::done);
    CHECK(outcome.output == flags_said + option(go, hex("00000000 0001 0003")));
}

TEST_CASE("a name of 4096 bytes is sent, a longer one is not") {
    const std::string longest(4096, 'n');
    CHECK(run(Goal::go, go_dialogue({}), SIZE_MAX, longest).output ==
          flags_said + option(go, hex("00001000") + text(longest) + hex("0001 0003")));
    // Also by way of EXPORT_NAME, which is all that one handshake can send.
    CHECK(run(Goal::go, greeting + reply(go, unsup), SIZE_MAX, longest).output.size() ==
          4 + 16 + 8 + 4096 + 16 + 4096);
    const ClientHandshake machine(Goal::go, longest + "n");
    CHECK(machine.state() == State::failed);
    CHECK(machine.wanted() == 0);
    CHECK(machine.text() == "the export name is longer than 4096 bytes");
}

TEST_CASE("NO_ZEROES is answered only where it was offered, and unknown flags are ignored") {
    CHECK(run(Goal::list, text("NBDMAGICIHAVEOPT") + hex("0001")).output == hex("00000001") + option(list));
    CHECK(run(Goal::list, text("NBDMAGICIHAVEOPT") + hex("fffd")).output == hex("00000001") + option(list));
    CHECK(run(Goal::list, text("NBDMAGICIHAVEOPT") + hex("ffff")).output == hex("00000003") + option(list));
}

TEST_CASE("a server that is none, or that speaks an older protocol, is named as such") {
    check_failed(Goal::go, text("HTTP/1.1 400 Bad R"),
                 "this is not an NBD server: it does not begin with NBDMAGIC");
    check_failed(Goal::go, text("NBDMAGIC") + hex("0000420281861253 0000"),
                 "the server uses oldstyle negotiation, which is not supported");
    check_failed(Goal::go, text("NBDMAGICIHAVEOPX") + hex("0003"),
                 "the server's greeting is not a newstyle greeting");
    check_failed(Goal::go, text("NBDMAGICIHAVEOPT") + hex("0002"),
                 "the server supports newstyle negotiation, but not fixed newstyle");
}

TEST_CASE("INFO replies come in any order, and unknown ones are passed over at any length") {
    Bytes more;
    for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, std::size_t{65534}})
        more = more + reply(go, 3, hex("0063") + Bytes(length, 'x'));
    const Bytes dialogue =
        greeting + reply(go, 3, info_block_size) + more + reply(go, 3, info_export) + reply(go, 1);
    const Outcome outcome = run(Goal::go, dialogue);
    CHECK(outcome.state == State::done);
    CHECK(outcome.taken == dialogue.size());
    CHECK(outcome.block_sizes.minimum == 512);
}

TEST_CASE("an ACK without the export's size, or with data, is a broken protocol") {
    check_failed(Goal::go, greeting + reply(go, 1),
                 "the server accepted the export without sending its size");
    check_failed(Goal::info, greeting + reply(info, 3, info_block_size) + reply(info, 1),
                 "the server accepted the export without sending its size");
    check_failed(Goal::go, greeting + reply(go, 3, info_export) + reply(go, 1, hex("00")),
                 "the server's NBD_REP_ACK carries data");
}

TEST_CASE("a reply's magic, option, type and length are checked before its data is read") {
    Bytes wrong_magic = reply(go, 1);
    wrong_magic[7] ^= 1;
    check_failed(Goal::go, greeting + wrong_magic, "wrong magic number in the server's reply");
    check_failed(Goal::go, greeting + reply(info, 1), "the server replied to an option that was not sent");
    check_failed(Goal::info, greeting + reply(go, 1), "the server replied to an option that was not sent");
    const auto head = [](std::uint32_t type, std::uint32_t length) {
        return hex("0003e889045565a9") + be(go, 4) + be(type, 4) + be(length, 4);
    };
    check_failed(Goal::go, greeting + head(3, 65537), "the server's reply is longer than 64 KiB");
    check_failed(Goal::go, greeting + head(3, UINT32_MAX), "the server's reply is longer than 64 KiB");
    check_failed(Goal::go, greeting + head(0x80000006, 65537), "the server's reply is longer than 64 KiB");
    check_failed(Goal::go, greeting + head(3, 1), "the server's reply is too short");
    check_failed(Goal::go, greeting + head(3, 0), "the server's reply is too short");
    for (const std::uint32_t type : {0U, 2U, 4U, 0x7fffffffU})
        check_failed(Goal::go, greeting + head(type, 4),
                     "the type of the server's reply does not match the option");
    check_failed(Goal::list, greeting + reply(list, 3, info_export),
                 "the type of the server's reply does not match the option");
}

TEST_CASE("INFO_EXPORT and INFO_BLOCK_SIZE have one length only") {
    for (const std::size_t length : {2U, 3U, 11U, 13U, 14U}) {
        Bytes data(length);
        check_failed(Goal::go, greeting + reply(go, 3, data),
                     "the server's NBD_INFO_EXPORT has a wrong length");
    }
    for (const std::size_t length : {2U, 12U, 13U, 15U}) {
        Bytes data(length);
        data[1] = 3;
        check_failed(Goal::go, greeting + reply(go, 3, data),
                     "the server's NBD_INFO_BLOCK_SIZE has a wrong length");
    }
}

TEST_CASE("block sizes that make no sense are not taken") {
    const auto state_of = [](std::uint32_t minimum, std::uint32_t preferred, std::uint32_t maximum) {
        return run(Goal::go, go_dialogue(block_size_reply(minimum, preferred, maximum))).state;
    };
    CHECK(state_of(1, 512, 1 << 20) == State::done);
    CHECK(state_of(1, 1, 1 << 20) == State::done);
    CHECK(state_of(65536, 65536, 1 << 20) == State::done);
    CHECK(state_of(512, 4096, UINT32_MAX) == State::done);  // no limit
    CHECK(state_of(512, 4096, 33553920) == State::done);    // not a power of two
    CHECK(state_of(512, 1 << 30, 1 << 20) == State::done);  // preferred beyond the export's 1 MiB
    CHECK(state_of(0, 4096, 1 << 20) == State::failed);
    CHECK(state_of(3, 4096, 1 << 20) == State::failed);
    CHECK(state_of(131072, 131072, 1 << 20) == State::failed);
    CHECK(state_of(512, 0, 1 << 20) == State::failed);
    CHECK(state_of(512, 256, 1 << 20) == State::failed);
    CHECK(state_of(512, 4097, 1 << 20) == State::failed);
    CHECK(state_of(512, 4096, 0) == State::failed);
    CHECK(state_of(512, 4096, 2048) == State::failed);
    CHECK(state_of(512, 4096, (1 << 20) + 1) == State::failed);
    CHECK(state_of(1, 1 << 31, (1 << 20) - 1) == State::failed);
}

TEST_CASE("an export without HAS_FLAGS, or beyond 63 bits, is not taken") {
    check_failed(Goal::go, greeting + reply(go, 3, hex("0000 0000000000100000 000c")),
                 "the server's transmission flags lack NBD_FLAG_HAS_FLAGS");
    check_failed(Goal::go, greeting + reply(go, unsup) + hex("0000000000100000 0000"),
                 "the server's transmission flags lack NBD_FLAG_HAS_FLAGS");
    check_failed(Goal::go, greeting + reply(go, 3, hex("0000 8000000000000000 0001")),
                 "the export is larger than the largest possible device");
    CHECK(run(Goal::go, greeting + reply(go, 3, hex("0000 7fffffffffffffff 0001")) + reply(go, 1)).state ==
          State::done);
    CHECK(run(Goal::go, greeting + reply(go, 3, hex("0000 0000000000000000 0001")) + reply(go, 1)).state ==
          State::done);
}

TEST_CASE("a refusal keeps the server's code and words, and takes leave") {
    ClientHandshake machine(Goal::go, "root");
    const Bytes dialogue = greeting + reply(go, 0x80000002, text("not from there"));
    CHECK(feed(machine, dialogue) == dialogue.size());
    CHECK(machine.state() == State::refused);
    CHECK(machine.refusal() == OptionReply::err_policy);
    CHECK(machine.text() == "not from there");
    CHECK(drain(machine) == flags_said + go_said + abort_said);
    CHECK(std::string(describe(machine.refusal())) == "NBD_REP_ERR_POLICY: the server does not allow it");
    CHECK(std::string(describe(static_cast<OptionReply>(0xdeadbeef))) ==
          "an error that the NBD protocol does not name");
}

TEST_CASE("a refusal's text may be empty, and a long one is cut but read to its end") {
    for (const std::size_t length : {0U, 1U, 1023U, 1024U, 1025U, 65536U}) {
        CAPTURE(length);
        const Bytes dialogue = greeting + reply(go, 0x80000006, Bytes(length, 'w'));
        const Outcome outcome = run(Goal::go, dialogue);
        CHECK(outcome.state == State::refused);
        CHECK(outcome.taken == dialogue.size());
        CHECK(outcome.text == std::string(std::min<std::size_t>(length, 1024), 'w'));
    }
}

TEST_CASE("an error after INFO replies is a refusal all the same") {
    const Outcome outcome = run(Goal::go, greeting + reply(go, 3, info_export) + reply(go, 0x80000007));
    CHECK(outcome.state == State::refused);
}

TEST_CASE("a server that does not know GO is asked by EXPORT_NAME") {
    const Bytes dialogue = greeting + reply(go, unsup, text("unknown option")) + hex("0000000000100000 0003");
    ClientHandshake machine(Goal::go, "root");
    CHECK(feed(machine, dialogue + hex("00")) == dialogue.size());
    REQUIRE(machine.state() == State::done);
    CHECK(machine.offer().size == 1 << 20);
    CHECK(machine.offer().flags == (flag_has_flags | flag_read_only));
    CHECK(drain(machine) == flags_said + go_said + option(1, text("root")));
    CHECK(machine.text().empty());
}

TEST_CASE("what a server said before it did not know GO is forgotten") {
    const Bytes dialogue =
        greeting + reply(go, 3, info_block_size) + reply(go, unsup) + hex("0000000000100000 0001");
    ClientHandshake machine(Goal::go, "root");
    feed(machine, dialogue);
    CHECK(machine.state() == State::done);
    CHECK_FALSE(machine.block_sizes_given());
    CHECK(machine.offer().block_sizes == BlockSizes{});
}

TEST_CASE("the 124 zeroes after EXPORT_NAME belong to the handshake where they were not done without") {
    const Bytes head =
        text("NBDMAGICIHAVEOPT") + hex("0001") + reply(go, unsup) + hex("0000000000100000 0001");
    CHECK(run(Goal::go, head).state == State::running);
    CHECK(run(Goal::go, head + Bytes(123)).state == State::running);
    CHECK(run(Goal::go, head + Bytes(125)).state == State::done);
    CHECK(run(Goal::go, head + Bytes(125)).taken == head.size() + 124);
}

TEST_CASE("INFO does not fall back: EXPORT_NAME would take the export into use") {
    const Outcome outcome = run(Goal::info, greeting + reply(info, unsup));
    CHECK(outcome.state == State::refused);
    CHECK(outcome.output ==
          flags_said + option(info, hex("00000004") + text("root") + hex("0001 0003")) + abort_said);
}

TEST_CASE("INFO looks and takes leave, without waiting for an answer to ABORT") {
    const Outcome outcome = run(Goal::info, greeting + reply(info, 3, info_export) + reply(info, 1));
    CHECK(outcome.state == State::done);
    CHECK(outcome.size == 1 << 20);
    CHECK(outcome.output ==
          flags_said + option(info, hex("00000004") + text("root") + hex("0001 0003")) + abort_said);
}

TEST_CASE("LIST hands over names and descriptions, and takes leave") {
    const Bytes dialogue = greeting + reply(list, 2, hex("00000004") + text("root")) +
                           reply(list, 2, hex("00000004") + text("swapa place for pages")) +
                           reply(list, 2, hex("00000000")) + reply(list, 1);
    const Outcome outcome = run(Goal::list, dialogue);
    CHECK(outcome.state == State::done);
    CHECK(outcome.listed == text("root=;swap=a place for pages;=;"));
    CHECK(outcome.output == flags_said + option(list) + abort_said);
}

TEST_CASE("a list may be empty, or refused") {
    CHECK(run(Goal::list, greeting + reply(list, 1)).state == State::done);
    const Outcome outcome = run(Goal::list, greeting + reply(list, 0x80000002, text("no")));
    CHECK(outcome.state == State::refused);
    CHECK(outcome.text == "no");
    CHECK(outcome.output == flags_said + option(list) + abort_said);
}

TEST_CASE("a listed name is held to its reply and to 4096 bytes, a description is cut") {
    check_failed(Goal::list, greeting + reply(list, 2, hex("000000")), "the server's reply is too short");
    check_failed(Goal::list, greeting + reply(list, 2, hex("00000001")),
                 "the server lists a name that is longer than its reply");
    check_failed(Goal::list, greeting + reply(list, 2, hex("ffffffff") + text("abc")),
                 "the server lists a name that is longer than its reply");
    check_failed(Goal::list, greeting + reply(list, 2, hex("00001001") + Bytes(4097, 'n')),
                 "the server lists a name longer than 4096 bytes");
    for (const std::size_t length : {1023U, 1024U, 1025U, 61436U}) {
        const Bytes dialogue = greeting +
                               reply(list, 2, hex("00001000") + Bytes(4096, 'n') + Bytes(length, 'd')) +
                               reply(list, 1);
        const Outcome outcome = run(Goal::list, dialogue);
        CHECK(outcome.state == State::done);
        CHECK(outcome.taken == dialogue.size());
        CHECK(outcome.listed.size() == 4096 + std::min<std::size_t>(length, 1024) + 2);
    }
}

TEST_CASE("a server that never stops replying is left") {
    Bytes infos = greeting;
    for (int i = 0; i < 64; ++i) infos = infos + reply(go, 3, info_export);
    CHECK(run(Goal::go, infos + reply(go, 1)).state == State::done);
    check_failed(Goal::go, infos + reply(go, 3, info_export), "too many replies from the server");

    ClientHandshake machine(ClientHandshake::ListSink{});
    feed(machine, greeting);
    const Bytes one = reply(list, 2, hex("00000001") + text("a"));
    for (int i = 0; i < 65536; ++i) machine.receive(one);
    CHECK(machine.state() == State::running);
    machine.receive(one);
    CHECK(machine.state() == State::failed);
}

TEST_CASE("a claim is made right after the flags, and GO follows the server's answer") {
    ClientHandshake machine(Goal::go, "root", claim);
    feed(machine, greeting);
    CHECK(drain(machine) == flags_said + hex("49484156454f5054 48460001 0000001c"  // IHAVEOPT, HF 1, 28 bytes
                                             "00010203 04050607 08090a0b 0c0d0e0f"
                                             "00000002 00000007 726f6f74"));  // slot, generation, "root"
    CHECK_FALSE(machine.session());
    CHECK(machine.wanted() == 20);
    feed(machine, reply(session, session, boot_identity + text("lvm:Xy12")));
    CHECK(machine.output().empty());  // not before the ACK: until then the older connections may be alive
    feed(machine, reply(session, 1));
    CHECK(drain(machine) == go_said);
    const Bytes rest = reply(go, 3, info_block_size) + reply(go, 3, info_export) + reply(go, 1);
    CHECK(feed(machine, rest + hex("67446698")) == rest.size());
    REQUIRE(machine.state() == State::done);
    CHECK(machine.output().empty());
    REQUIRE(machine.session());
    CHECK(copy(std::span<const std::uint8_t>(machine.session()->boot_identity)) == boot_identity);
    CHECK(machine.session()->export_identity == "lvm:Xy12");
    CHECK(machine.offer().block_sizes.minimum == 512);
}

TEST_CASE("the answer moves with the machine") {
    ClientHandshake first(Goal::go, "root", claim);
    feed(first, greeting + claim_answer);
    const ClientHandshake second(std::move(first));
    REQUIRE(second.session());
    CHECK(second.session()->export_identity == "lvm:Xy12");
    const char* text = second.session()->export_identity.data();
    const auto* begin = reinterpret_cast<const char*>(&second);
    CHECK((text >= begin && text < begin + sizeof second));
}

TEST_CASE("a server that does not know the session is entered without") {
    const Bytes dialogue =
        greeting + reply(session, unsup, text("what?")) + reply(go, 3, info_export) + reply(go, 1);
    const Outcome outcome = claimed(dialogue);
    CHECK(outcome.state == State::done);
    CHECK(outcome.taken == dialogue.size());
    CHECK(outcome.output == flags_said + claim_said + go_said);
    CHECK_FALSE(outcome.identity);
    CHECK(outcome.text.empty());
    // Nor does it count what it said before it found that out.
    CHECK_FALSE(claimed(greeting + reply(session, session, boot_identity) + reply(session, unsup) +
                        reply(go, 3, info_export) + reply(go, 1))
                    .identity);
}

TEST_CASE("where GO is not known either, EXPORT_NAME follows, with and without an answer to the claim") {
    for (const bool known : {false, true}) {
        const Bytes answer = known ? claim_answer : reply(session, unsup);
        const Outcome outcome =
            claimed(greeting + answer + reply(go, unsup, text("what?")) + hex("0000000000100000 0003"));
        CHECK(outcome.state == State::done);
        CHECK(outcome.output == flags_said + claim_said + go_said + option(1, text("root")));
        CHECK(outcome.identity.has_value() == known);
    }
    const std::string longest(4096, 'n');
    CHECK(claimed(greeting + reply(session, unsup) + reply(go, unsup), longest).output.size() ==
          4 + 16 + 24 + 4096 + 16 + 8 + 4096 + 16 + 4096);
}

TEST_CASE("any other error is a refusal of the claim, and GO is not said") {
    for (const std::uint32_t error :
         {0x80000002U, 0x80000003U, 0x80000005U, 0x80000006U, 0x80000007U, 0x80000063U}) {
        const Outcome outcome = claimed(greeting + reply(session, error, text("no")));
        CHECK(outcome.state == State::refused);
        CHECK(outcome.text == "no");
        CHECK(outcome.output == flags_said + claim_said + abort_said);
    }
    // Also behind the answer.
    CHECK(claimed(greeting + reply(session, session, boot_identity) + reply(session, 0x80000002)).state ==
          State::refused);
}

TEST_CASE("an answer to the claim that is malformed, missing or there twice is a broken protocol") {
    using namespace std::string_view_literals;
    const auto answer = [](const Bytes& data) { return greeting + reply(session, session, data); };
    for (std::size_t length = 0; length < 16; ++length)
        check_claim_failed(answer(Bytes(length, 'x')), "the server's answer to the session is malformed");
    check_claim_failed(answer(boot_identity + text("a\0b"sv)),
                       "the server's answer to the session is malformed");
    check_claim_failed(answer(boot_identity + Bytes(4097, 'i')),
                       "the server's answer to the session is malformed");
    check_claim_failed(greeting + reply(session, 1), "the server accepted the session without answering it");
    check_claim_failed(answer(boot_identity) + reply(session, session, boot_identity),
                       "two answers from the server to the session");
    check_claim_failed(answer(boot_identity) + reply(session, 1, hex("00")),
                       "the server's NBD_REP_ACK carries data");
    check_claim_failed(greeting + reply(session, 3, info_export),
                       "the type of the server's reply does not match the option");
    check_claim_failed(greeting + hex("0003e889045565a9") + be(session, 4) + be(session, 4) + be(65537, 4),
                       "the server's reply is longer than 64 KiB");
    CHECK(claimed(answer(boot_identity + Bytes(4096, 'i')) + reply(session, 1)).identity ==
          std::string(4096, 'i'));
    CHECK(claimed(answer(boot_identity) + reply(session, 1)).identity == "");
}

TEST_CASE("the host is named before the session, and its answer comes with the session's") {
    SessionClaim with_host = claim;
    with_host.host = HostRequest{{0x40, 0x41}, {0xb0}, 0x0102030405060708, 0};
    const auto talk = [&](const Bytes& bytes) { return run(Goal::go, bytes, SIZE_MAX, "root", with_host); };
    const auto fails = [&](const Bytes& bytes, std::string_view reason) {
        const Outcome outcome = talk(bytes);
        CHECK(outcome.state == State::failed);
        CHECK(outcome.text == reason);
    };
    const Bytes host_said = hex("49484156454f5054 48460003 0000002c") + hex("4041") + Bytes(14) + hex("b0") +
                            Bytes(15) + hex("0102030405060708 00000000");
    const Bytes named = greeting + reply(host_option, 1);
    const Bytes answer = reply(session, session, boot_identity + text("lvm:Xy12"));
    const Bytes host_answer = reply(session, host_option, hex("00000001"));
    const Bytes rest = reply(go, 3, info_export) + reply(go, 1);
    const Outcome outcome = talk(named + answer + host_answer + reply(session, 1) + rest);
    CHECK(outcome.state == State::done);
    CHECK(outcome.output == flags_said + host_said + claim_said + go_said);
    CHECK(outcome.identity == "lvm:Xy12");
    // Longer answers are those of later servers.
    ClientHandshake machine(Goal::go, "root", with_host);
    feed(machine, named + answer + reply(session, host_option, hex("00000003") + Bytes(252, 9)) +
                      reply(session, 1) + rest);
    REQUIRE(machine.state() == State::done);
    CHECK(machine.host() == HostAnswer{3});
    // A server that knows sessions only, and one that knows neither.
    ClientHandshake old(Goal::go, "root", with_host);
    feed(old, greeting + reply(host_option, unsup, text("what?")) + claim_answer + rest);
    REQUIRE(old.state() == State::done);
    CHECK(drain(old) == flags_said + host_said + claim_said + go_said);
    CHECK(old.session());
    CHECK_FALSE(old.host());
    CHECK(old.text().empty());
    CHECK(talk(greeting + reply(host_option, unsup) + reply(session, unsup) + rest).state == State::done);
    const Outcome refused = talk(greeting + reply(host_option, 0x80000002, text("no")));
    CHECK(refused.state == State::refused);
    CHECK(refused.output == flags_said + host_said + abort_said);

    const std::string_view wrong = "the type of the server's reply does not match the option";
    fails(greeting + reply(host_option, host_option, hex("00000001")), wrong);
    fails(named + host_answer, wrong);  // not before the session's
    fails(greeting + reply(host_option, unsup) + answer + host_answer, wrong);
    fails(named + answer + host_answer + host_answer, "two answers from the server to the host");
    fails(named + answer + reply(session, 1), "the server accepted the host without answering it");
    fails(named + answer + reply(session, host_option, hex("000000")),
          "the server's answer to the host is malformed");
    fails(named + answer + reply(session, host_option, Bytes(257)),
          "the server's answer to the host is malformed");
    check_claim_failed(greeting + answer + host_answer, wrong);  // it was not named
}

TEST_CASE("the claim and GO are answered in their order") {
    check_claim_failed(greeting + reply(go, 3, info_export),
                       "the server replied to an option that was not sent");
    check_claim_failed(greeting + reply(go, 1), "the server replied to an option that was not sent");
    check_claim_failed(greeting + claim_answer + claim_answer,
                       "the server replied to an option that was not sent");
    check_failed(Goal::go, greeting + claim_answer, "the server replied to an option that was not sent");
}

TEST_CASE("what was said to the claim does not count against the replies to GO") {
    Bytes infos = greeting + claim_answer;
    for (int i = 0; i < 64; ++i) infos = infos + reply(go, 3, info_export);
    CHECK(claimed(infos + reply(go, 1)).state == State::done);
    check_claim_failed(infos + reply(go, 3, info_export), "too many replies from the server");
}

TEST_CASE("who only looks may claim, and is told which disk it is") {
    const Outcome outcome =
        run(Goal::info, greeting + claim_answer + reply(info, 3, info_export) + reply(info, 1), SIZE_MAX,
            "root", claim);
    CHECK(outcome.state == State::done);
    CHECK(outcome.output == flags_said + claim_said +
                                option(info, hex("00000004") + text("root") + hex("0001 0003")) + abort_said);
    CHECK(outcome.identity == "lvm:Xy12");
}

TEST_CASE("a name that cannot be claimed is not asked for") {
    using namespace std::string_view_literals;
    const Outcome outcome = claimed(greeting, "ro\0t"sv);
    CHECK(outcome.state == State::failed);
    CHECK(outcome.text == "NUL in the export name");
    CHECK(outcome.output == flags_said);
}

TEST_CASE("a dialogue may arrive in any portions") {
    for (const Dialogue& dialogue : dialogues()) {
        const Outcome whole = run(dialogue.goal, dialogue.bytes, SIZE_MAX, "root", dialogue.claim);
        CHECK(whole.state == dialogue.end);
        CHECK(whole.taken == dialogue.bytes.size());
        for (const std::size_t portion : {1U, 2U, 3U, 7U, 19U})
            CHECK(run(dialogue.goal, dialogue.bytes, portion, "root", dialogue.claim) == whole);
    }
}

TEST_CASE("no dialogue is complete before its last byte") {
    for (const Dialogue& dialogue : dialogues())
        for (std::size_t size = 0; size < dialogue.bytes.size(); ++size) {
            const Bytes prefix(dialogue.bytes.begin(),
                               dialogue.bytes.begin() + static_cast<std::ptrdiff_t>(size));
            const Outcome outcome = run(dialogue.goal, prefix, SIZE_MAX, "root", dialogue.claim);
            REQUIRE(outcome.state == State::running);
            REQUIRE(outcome.taken == size);
        }
}

TEST_CASE("any byte of a dialogue may be anything") {
    for (const Dialogue& dialogue : dialogues())
        for (std::size_t at = 0; at < dialogue.bytes.size(); ++at)
            for (const int value : {0x00, 0x01, 0x02, 0x03, 0x7f, 0x80, 0xfe, 0xff}) {
                Bytes hostile = dialogue.bytes;
                hostile[at] = static_cast<std::uint8_t>(value);
                const Outcome outcome =
                    run(dialogue.goal, hostile + Bytes(300, static_cast<std::uint8_t>(value)), 1000, "root",
                        dialogue.claim);
                REQUIRE(outcome.output.size() <= 4 + 40 + 4096 + 24 + 4096 + 16 + 4096 + 16);
            }
}

TEST_CASE("a server that sends garbage does no harm") {
    std::mt19937_64 random(20);
    for (int i = 0; i < 20'000; ++i) {
        const Goal goal = static_cast<Goal>(random() % 3);
        const bool claims = random() % 2 == 0;
        const std::uint32_t asked = goal == Goal::go ? go : goal == Goal::info ? info : list;
        Bytes bytes = greeting;
        for (std::uint64_t replies = random() % 6; replies > 0; --replies) {
            const std::uint32_t types[] = {1, 2, 3, unsup, 0x80000006, static_cast<std::uint32_t>(random())};
            Bytes data(random() % 40);
            for (auto& byte : data)
                byte = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : random() % 4);
            if (random() % 3 == 0) data = info_export;
            const bool to_claim = claims && random() % 2 == 0;
            bytes =
                bytes + (to_claim ? reply(session, random() % 2 == 0 ? session : types[random() % 6], data)
                                  : reply(asked, types[random() % 6], data));
        }
        run(goal, bytes, 1 + random() % 50, "root", claims ? std::optional(claim) : std::nullopt);
    }
}
