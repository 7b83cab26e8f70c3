// The server's handshake against clients written out byte by byte: well-behaved ones, and every other kind.
#include "common/protocol/server_handshake.hh"

#include <doctest/doctest.h>

#include "tests/unit/wire_bytes.hh"

using namespace holdfast::nbd;
using namespace wire_bytes;
using State = ServerHandshake::State;

namespace {

constexpr std::uint32_t export_name = 1, abort_option = 2, list = 3, starttls = 5, info = 6, go = 7;
constexpr std::uint32_t structured = 8, list_meta = 9, set_meta = 10;
constexpr std::uint32_t session = 0x48460001, host_option = 0x48460003;
constexpr std::uint32_t unsup = 0x80000001, invalid = 0x80000003, unknown = 0x80000006, too_big = 0x80000009;

// Has "root" and a default export; "private" is refused by policy. Notes what was opened and looked at.
class Directory final : public ExportDirectory {
public:
    bool is_refused_at_once(std::string_view name) override { return name == "hidden"; }
    std::expected<std::vector<ListedExport>, Refusal> list() override {
        if (secret) return std::unexpected(Refusal{OptionReply::err_policy, "a secret"});
        std::vector<ListedExport> exports;
        for (const std::string& name : names) exports.push_back({name, description});
        return exports;
    }
    std::expected<OfferedExport, Refusal> look(std::string_view name) override {
        looked.emplace_back(name);
        return find(name);
    }
    std::expected<OfferedExport, Refusal> open(std::string_view name) override {
        opened.emplace_back(name);
        return find(name);
    }

    std::expected<ClaimAnswer, Refusal> claim(const SessionRequest& request,
                                              const std::optional<HostRequest>& host) override {
        hosts.push_back(host);
        claimed.push_back("claim " + std::to_string(request.slot) + "/" + std::to_string(request.generation) +
                          " " + std::string(request.export_name));
        if (const auto found = find(request.export_name); !found) return std::unexpected(found.error());
        if (request.generation < 7)
            return std::unexpected(Refusal{OptionReply::err_policy, "generation 7 was here"});
        ClaimAnswer answer{request.session, identity, host_flags};
        answer.boot_identity[0] = 0xb0;
        return answer;
    }

    std::vector<std::string> names{"root", "private"};
    std::string identity = "lvm:Xy12";
    std::string description;
    bool secret = false;
    std::uint32_t minimum = 1;
    std::string refusal_text = "no such export";
    std::uint32_t host_flags = 0x00000003;
    std::vector<std::string> looked, opened, claimed;
    std::vector<std::optional<HostRequest>> hosts;  // one for each claim

private:
    [[nodiscard]] std::expected<OfferedExport, Refusal> find(std::string_view name) const {
        if (name == "private") return std::unexpected(Refusal{OptionReply::err_policy, "not for you"});
        if (name != "root" && !name.empty())
            return std::unexpected(Refusal{OptionReply::err_unknown, refusal_text});
        return OfferedExport{{1 << 20, flag_send_flush | flag_send_fua, {minimum, 4096, 32 << 20}},
                             {"root", description}};
    }
};

const Bytes greeting = text("NBDMAGICIHAVEOPT") + hex("0003");
const Bytes client_flags = hex("00000003");
const Bytes info_export = hex("0000 0000000000100000 000d");
const Bytes info_block_size = hex("0003 00000001 00001000 02000000");

// The data of INFO and GO.
Bytes asking_for(std::string_view name, const Bytes& infos = {}) {
    return be(name.size(), 4) + text(name) + be(infos.size() / 2, 2) + infos;
}

// The data of LIST_META_CONTEXT and SET_META_CONTEXT.
Bytes queries(std::string_view name, std::initializer_list<std::string_view> all = {}) {
    Bytes bytes = be(name.size(), 4) + text(name) + be(all.size(), 4);
    for (const std::string_view one : all) bytes = bytes + be(one.size(), 4) + text(one);
    return bytes;
}

struct Outcome {
    State state;
    std::size_t taken;
    Bytes output;  // behind the greeting
    std::string reason;
    std::string name;
    std::vector<std::string> opened, looked, claimed;
    std::vector<std::optional<HostRequest>> hosts;

    bool operator==(const Outcome&) const = default;
};

Outcome run(const Bytes& bytes, std::size_t portion = SIZE_MAX, Directory directory = {}) {
    ServerHandshake machine(directory);
    CHECK(drain(machine) == greeting);
    const std::size_t taken = feed(machine, bytes, portion);
    CHECK((machine.state() == State::running) == (machine.wanted() > 0));
    CHECK(machine.wanted() <= 1 << 20);
    return {machine.state(),        taken,
            copy(machine.output()), machine.reason(),
            machine.export_name(),  directory.opened,
            directory.looked,       directory.claimed,
            directory.hosts};
}

// The answer to one option, when nothing but an answer is expected of it.
Bytes answer_to(const Bytes& one_option) {
    const Outcome outcome = run(client_flags + one_option);
    CHECK(outcome.state == State::running);
    CHECK(outcome.taken == 4 + one_option.size());
    return outcome.output;
}

// An error reply's head, without looking at its text.
void check_error(const Bytes& answer, std::uint32_t option_number, std::uint32_t error) {
    REQUIRE(answer.size() >= 20);
    CHECK(Bytes(answer.begin(), answer.begin() + 16) ==
          hex("0003e889045565a9") + be(option_number, 4) + be(error, 4));
    CHECK(answer.size() - 20 == load<be32>(std::span(answer).subspan(16)));
}

void check_failed(const Bytes& bytes, std::string_view reason) {
    const Outcome outcome = run(bytes);
    CHECK(outcome.state == State::failed);
    CHECK(outcome.reason == reason);
    CHECK(outcome.output.empty());
}

Bytes drop_first(const Bytes& bytes, std::size_t count) {
    REQUIRE(bytes.size() >= count);
    return {bytes.begin() + static_cast<std::ptrdiff_t>(count), bytes.end()};
}

// Session 00..0f, slot 2.
Bytes claiming(std::string_view name, std::uint32_t generation = 7) {
    return option(session,
                  hex("00010203 04050607 08090a0b 0c0d0e0f 00000002") + be(generation, 4) + text(name));
}
const Bytes claim_answer =
    reply(session, session, hex("b0010203 04050607 08090a0b 0c0d0e0f") + text("lvm:Xy12")) +
    reply(session, 1);

const Bytes go_answer = reply(go, 3, info_export) + reply(go, 1);

// One dialogue of each kind, complete to the last byte.
struct Dialogue {
    Bytes bytes;
    State end;
};
std::vector<Dialogue> dialogues() {
    return {
        {client_flags + option(list) + option(starttls) + option(info, asking_for("root")) +
             option(go, asking_for("root", hex("0003"))),
         State::transmission},
        {hex("00000001") + option(0x48460001, Bytes(30)) + option(export_name, text("root")),
         State::transmission},
        {client_flags + claiming("root") + option(go, asking_for("root")), State::transmission},
        {client_flags + option(structured) + option(list_meta, queries("root")) +
             option(set_meta, queries("root", {"base:allocation", "x-other:"})) +
             option(go, asking_for("root", hex("0001 0002 0003"))),
         State::transmission},
        {client_flags + option(go, asking_for("nowhere")) + option(abort_option), State::ended},
        {client_flags + option(export_name, text("nowhere")), State::failed},
    };
}

}  // namespace

TEST_CASE("the server greets first, with fixed newstyle and no zeroes") {
    Directory directory;
    const ServerHandshake machine(directory);
    CHECK(copy(machine.output()) == hex("4e42444d41474943 49484156454f5054 0003"));
    CHECK(machine.wanted() == 4);
}

TEST_CASE("output goes away as it is sent") {
    Directory directory;
    ServerHandshake machine(directory);
    machine.sent(16);
    CHECK(copy(machine.output()) == hex("0003"));
    feed(machine, client_flags + option(abort_option));
    CHECK(copy(machine.output()) == hex("0003") + reply(abort_option, 1));
    machine.sent(22);
    CHECK(machine.output().empty());
}

TEST_CASE("GO answers with the export, block sizes when asked, and enters transmission") {
    const Bytes asked = client_flags + option(go, asking_for("root", hex("0003")));
    const Outcome outcome = run(asked + hex("25609513"));
    CHECK(outcome.state == State::transmission);
    CHECK(outcome.taken == asked.size());
    CHECK(outcome.name == "root");
    CHECK(outcome.opened == std::vector<std::string>{"root"});
    CHECK(outcome.output == hex("0003e889045565a9 00000007 00000003 0000000c 0000 0000000000100000 000d"
                                "0003e889045565a9 00000007 00000003 0000000e 0003 00000001 00001000 02000000"
                                "0003e889045565a9 00000007 00000001 00000000"));
}

TEST_CASE("GO answers without block sizes when they were not asked for, and does not insist") {
    CHECK(run(client_flags + option(go, asking_for("root"))).output == go_answer);
    CHECK(run(client_flags + option(go, asking_for("root", hex("0000 ffff 0004")))).output == go_answer);
}

TEST_CASE("GO and INFO tell unasked of a smallest block that is more than a byte, and once") {
    Directory directory;
    directory.minimum = 4096;
    const Bytes sizes = hex("0003 00001000 00001000 02000000");
    for (const Bytes& asked : {Bytes(), hex("0003"), hex("0000")}) {
        CHECK(run(client_flags + option(go, asking_for("root", asked)), SIZE_MAX, directory).output ==
              reply(go, 3, info_export) + reply(go, 3, sizes) + reply(go, 1));
        CHECK(run(client_flags + option(info, asking_for("root", asked)), SIZE_MAX, directory).output ==
              reply(info, 3, info_export) + reply(info, 3, sizes) + reply(info, 1));
    }
}

TEST_CASE("EXPORT_NAME, which cannot tell of block sizes, is refused where they are not those of any disk") {
    for (const std::uint32_t minimum : {1U, 512U, 1024U, 4096U}) {
        CAPTURE(minimum);
        Directory directory;
        directory.minimum = minimum;
        const Outcome outcome = run(client_flags + option(export_name, text("root")), SIZE_MAX, directory);
        CHECK(outcome.state == (minimum > 512 ? State::failed : State::transmission));
        if (minimum > 512) CHECK(outcome.reason.find("NBD_OPT_GO") != std::string::npos);
    }
}

TEST_CASE("name and description are told when asked for, a description only where there is one") {
    const Bytes name = reply(go, 3, hex("0001") + text("root"));
    CHECK(run(client_flags + option(go, asking_for("root", hex("0002")))).output == go_answer);
    CHECK(run(client_flags + option(go, asking_for("root", hex("0001 0002 0003")))).output ==
          reply(go, 3, info_export) + reply(go, 3, info_block_size) + name + reply(go, 1));
    // The default export has a name of its own.
    CHECK(run(client_flags + option(go, asking_for("", hex("0001")))).output ==
          reply(go, 3, info_export) + name + reply(go, 1));
    Directory directory;
    directory.description = "the root of host 7";
    CHECK(run(client_flags + option(go, asking_for("root", hex("0002 0001"))), SIZE_MAX, directory).output ==
          reply(go, 3, info_export) + name + reply(go, 3, hex("0002") + text("the root of host 7")) +
              reply(go, 1));
    CHECK(run(client_flags + option(list), SIZE_MAX, directory).output ==
          reply(list, 2, hex("00000004") + text("rootthe root of host 7")) +
              reply(list, 2, hex("00000007") + text("privatethe root of host 7")) + reply(list, 1));
}

TEST_CASE("the offer carries HAS_FLAGS whatever the directory says") {
    Directory directory;
    ServerHandshake machine(directory);
    feed(machine, client_flags + option(go, asking_for("")));
    REQUIRE(machine.state() == State::transmission);
    CHECK(machine.offer().flags == (flag_has_flags | flag_send_flush | flag_send_fua));
    CHECK(machine.offer().size == 1 << 20);
    CHECK(machine.offer().block_sizes == BlockSizes{1, 4096, 32 << 20});
    CHECK(machine.export_name().empty());
}

TEST_CASE("INFO looks and does not open, and the negotiation goes on") {
    const Outcome outcome =
        run(client_flags + option(info, asking_for("root", hex("0003"))) + option(go, asking_for("root")));
    CHECK(outcome.looked == std::vector<std::string>{"root"});
    CHECK(outcome.opened == std::vector<std::string>{"root"});
    CHECK(outcome.state == State::transmission);
    CHECK(outcome.output ==
          reply(info, 3, info_export) + reply(info, 3, info_block_size) + reply(info, 1) + go_answer);
}

TEST_CASE("a refusal is told by GO and INFO, and the client may ask again") {
    CHECK(answer_to(option(go, asking_for("nowhere"))) == reply(go, unknown, text("no such export")));
    CHECK(answer_to(option(info, asking_for("private"))) == reply(info, 0x80000002, text("not for you")));
    const Outcome outcome =
        run(client_flags + option(go, asking_for("nowhere")) + option(go, asking_for("root")));
    CHECK(outcome.state == State::transmission);
    CHECK(outcome.output == reply(go, unknown, text("no such export")) + go_answer);
}

TEST_CASE("a refusal's text is cut at 4096 bytes") {
    for (const std::size_t length : {0U, 4095U, 4096U, 4097U}) {
        Directory directory;
        directory.refusal_text = std::string(length, 'w');
        const Outcome outcome = run(client_flags + option(go, asking_for("nowhere")), SIZE_MAX, directory);
        CHECK(outcome.output == reply(go, unknown, Bytes(std::min<std::size_t>(length, 4096), 'w')));
    }
}

TEST_CASE("EXPORT_NAME is answered with size, flags, and zeroes unless both can do without") {
    const Bytes head = hex("0000000000100000 000d");
    CHECK(run(client_flags + option(export_name, text("root"))).output == head);
    CHECK(run(hex("00000001") + option(export_name, text("root"))).output == head + Bytes(124));
    CHECK(run(hex("00000000") + option(export_name)).output == head + Bytes(124));
    CHECK(run(hex("00000002") + option(export_name)).output == head);
    const Outcome outcome = run(client_flags + option(export_name, text("root")) + hex("25609513"));
    CHECK(outcome.state == State::transmission);
    CHECK(outcome.name == "root");
    CHECK(outcome.taken == 4 + 16 + 4);
}

TEST_CASE("EXPORT_NAME can only be refused by closing") {
    using namespace std::string_view_literals;
    check_failed(client_flags + option(export_name, text("nowhere")), "no such export");
    check_failed(client_flags + option(export_name, text("private")), "not for you");
    check_failed(client_flags + option(export_name, text("ro\0ot"sv)), "EXPORT_NAME with a NUL in the name");
    check_failed(client_flags + option(export_name, Bytes(4096, 'n')), "no such export");
    const Outcome outcome = run(client_flags + option(export_name, Bytes(4097, 'n')));
    CHECK(outcome.state == State::failed);
    CHECK(outcome.taken == 4 + 16);  // not a byte of the name
    CHECK(outcome.opened.empty());
}

TEST_CASE("ABORT is acknowledged and ends, also with data") {
    for (const std::size_t length : {0U, 1U, 100'000U}) {
        const Outcome outcome = run(client_flags + option(abort_option, Bytes(length)));
        CHECK(outcome.state == State::ended);
        CHECK(outcome.output == reply(abort_option, 1));
    }
}

TEST_CASE("LIST names the exports that have a name") {
    CHECK(answer_to(option(list)) == reply(list, 2, hex("00000004") + text("root")) +
                                         reply(list, 2, hex("00000007") + text("private")) + reply(list, 1));
    check_error(answer_to(option(list, hex("00"))), list, invalid);
    check_error(answer_to(option(list, Bytes(1 << 20))), list, invalid);
    Directory directory;
    directory.names = {"", std::string(4097, 'n'), std::string(4096, 'n')};
    CHECK(run(client_flags + option(list), SIZE_MAX, directory).output ==
          reply(list, 2, hex("00001000") + Bytes(4096, 'n')) + reply(list, 1));
    directory.names.clear();
    CHECK(run(client_flags + option(list), SIZE_MAX, directory).output == reply(list, 1));
    directory.names.assign(65537, "n");
    CHECK(run(client_flags + option(list), SIZE_MAX, directory).output.size() == 65536 * 25 + 20);
}

TEST_CASE("a LIST that is not allowed is refused by policy, and the next option is found") {
    Directory directory;
    directory.secret = true;
    const Outcome outcome =
        run(client_flags + option(list) + option(go, asking_for("root")), SIZE_MAX, directory);
    CHECK(outcome.state == State::transmission);
    CHECK(outcome.output == reply(list, 0x80000002, text("a secret")) + go_answer);
}

TEST_CASE("options that are not known are answered ERR_UNSUP, and the next one is found") {
    for (const std::uint32_t number :
         {0U, 4U, starttls, 11U, 12U, 0x48460000U, 0x48460002U, 0x80000001U, 0xffffffffU})
        for (const std::size_t length : {0U, 1U, 15U, 16U, 17U, 8192U, 8193U, 1U << 20}) {
            CAPTURE(number);
            CAPTURE(length);
            const Bytes unknown_option = option(number, Bytes(length, 'I'));
            check_error(answer_to(unknown_option), number, unsup);
            const Outcome outcome = run(client_flags + unknown_option + option(go, asking_for("root")), 4000);
            CHECK(outcome.state == State::transmission);
            CHECK(Bytes(outcome.output.end() - static_cast<std::ptrdiff_t>(go_answer.size()),
                        outcome.output.end()) == go_answer);
        }
}

TEST_CASE("structured replies are there when they were asked for, and with them DF") {
    CHECK(answer_to(option(structured)) == reply(structured, 1));
    check_error(answer_to(option(structured, hex("00"))), structured, invalid);
    check_error(answer_to(option(structured, Bytes(1 << 20))), structured, invalid);
    const Bytes with_df = hex("0000 0000000000100000 008d");
    CHECK(run(client_flags + option(structured) + option(structured) + option(info, asking_for("root")))
              .output ==
          reply(structured, 1) + reply(structured, 1) + reply(info, 3, with_df) + reply(info, 1));
    for (const bool asked : {false, true}) {
        Directory directory;
        ServerHandshake machine(directory);
        feed(machine, client_flags + (asked ? option(structured) : option(structured, hex("00"))) +
                          option(export_name, text("root")));
        REQUIRE(machine.state() == State::transmission);
        CHECK(machine.offer().structured_replies == asked);
        CHECK(((machine.offer().flags & flag_send_df) != 0) == asked);
        CHECK_FALSE(machine.offer().block_status);
    }
}

TEST_CASE("base:allocation is listed for every query that finds it, once") {
    const Bytes found = reply(list_meta, 4, hex("00000000") + text("base:allocation")) + reply(list_meta, 1);
    const Bytes nothing = reply(list_meta, 1);
    const auto listed = [](std::initializer_list<std::string_view> all) {
        return drop_first(
            run(client_flags + option(structured) + option(list_meta, queries("root", all))).output, 20);
    };
    CHECK(listed({}) == found);
    CHECK(listed({"base:"}) == found);
    CHECK(listed({"base:allocation"}) == found);
    CHECK(listed({"base:", "base:allocation", "base:allocation", "qemu:dirty-bitmap:x"}) == found);
    CHECK(listed({"x-other:", "base:nothing", "base:allocation2", "BASE:", ":", "base:allocatio"}) ==
          nothing);
}

TEST_CASE("SET selects base:allocation by its whole name, and the last SET counts") {
    const Bytes context = reply(set_meta, 4, hex("00000001") + text("base:allocation"));
    const auto set = [](std::string_view name, std::initializer_list<std::string_view> all) {
        return option(set_meta, queries(name, all));
    };
    const auto selected = [&](const Bytes& options, std::string_view entered, bool by_go = true) {
        Directory directory;
        ServerHandshake machine(directory);
        feed(machine, client_flags + option(structured) + options +
                          (by_go ? option(go, asking_for(entered)) : option(export_name, text(entered))));
        REQUIRE(machine.state() == State::transmission);
        CHECK(machine.offer().structured_replies);
        return machine.offer().block_status;
    };
    const Bytes good = set("root", {"base:allocation"});
    CHECK(run(client_flags + option(structured) + good).output ==
          reply(structured, 1) + context + reply(set_meta, 1));
    CHECK(selected(good, "root"));
    CHECK(selected(good, "root", false));
    CHECK(selected(good + option(list_meta, queries("root", {"x-none:"})), "root"));
    CHECK(selected(set("root", {"x-other:y", "base:allocation", "base:allocation"}), "root"));
    CHECK(selected(set("", {"base:allocation"}), ""));
    CHECK_FALSE(selected({}, "root"));
    CHECK_FALSE(selected(option(list_meta, queries("root")), "root"));
    CHECK_FALSE(selected(set("root", {}), "root"));
    CHECK_FALSE(selected(set("root", {"base:"}), "root"));
    // For one export, and another one entered.
    CHECK_FALSE(selected(good, ""));
    CHECK_FALSE(selected(set("", {"base:allocation"}), "root", false));
    // A later SET replaces it, also one that fails in any way.
    for (const Bytes& later : {set("root", {}), set("root", {"x-other:y"}), set("", {"base:allocation"}),
                               set("nowhere", {"base:allocation"}), option(set_meta),
                               option(set_meta, Bytes(9000)), set("root", {"base:allocation", "no colon"})})
        CHECK_FALSE(selected(good + later, "root"));
    CHECK(selected(set("root", {}) + good, "root"));
}

TEST_CASE("meta contexts need structured replies, and an export that the client may have") {
    for (const std::uint32_t number : {list_meta, set_meta}) {
        check_error(answer_to(option(number, queries("root", {"base:allocation"}))), number, invalid);
        const auto asked = [&](std::string_view name) {
            return drop_first(
                run(client_flags + option(structured) + option(number, queries(name, {"base:allocation"})))
                    .output,
                20);
        };
        CHECK(asked("nowhere") == reply(number, unknown, text("no such export")));
        CHECK(asked("private") == reply(number, 0x80000002, text("not for you")));
    }
    // What was selected before they were negotiated is not.
    const Outcome outcome = run(client_flags + option(set_meta, queries("root", {"base:allocation"})) +
                                option(structured) + option(go, asking_for("root")));
    CHECK(outcome.looked.empty());
}

TEST_CASE("malformed and oversized meta queries are refused, and the next option is found") {
    using namespace std::string_view_literals;
    const std::string long_name(4097, 'n');
    const struct {
        Bytes data;
        std::uint32_t error;
    } wrong[] = {
        {{}, invalid},
        {hex("00000000 000000"), invalid},
        {hex("00000000 00000001"), invalid},           // a query promised and not there
        {hex("00000000 00000001 00000001"), invalid},  // its text not there
        {hex("00000000 00000001 ffffffff 3a"), invalid},
        {hex("ffffffff 00000000"), invalid},
        {hex("fffffffc 00000000 00000000"), invalid},
        {hex("00000000 00000000 00"), invalid},  // more than promised
        {queries("ro\0ot"sv), invalid},
        {queries("root", {""}), invalid},  // no colon
        {queries("root", {"base:allocation", "base"}), invalid},
        {queries("root", {"base:allocation"}) + hex("00"), invalid},
        {hex("00000000 ffffffff"), too_big},
        {hex("00000000 00000101") + Bytes(0x101 * 4), too_big},
        {queries(long_name), too_big},
        {queries("root", {"base:" + std::string(4092, 'q')}), too_big},
        {Bytes(8193), too_big},
        {Bytes(1 << 20, 0xff), too_big},
    };
    for (const std::uint32_t number : {list_meta, set_meta})
        for (const auto& [data, error] : wrong) {
            CAPTURE(number);
            CAPTURE(data.size());
            const Outcome outcome =
                run(client_flags + option(structured) + option(number, data) + option(go, asking_for("root")),
                    999);
            CHECK(outcome.state == State::transmission);
            CHECK(outcome.looked.empty());
            const Bytes answer = drop_first(outcome.output, 20);
            check_error(Bytes(answer.begin(), answer.end() - 20 - 12 - 20), number, error);
        }
    // As many and as long as they may be.
    Bytes most = be(4, 4) + text("root") + be(256, 4);
    for (int i = 0; i < 256; ++i) most = most + be(2, 4) + text("x:");
    CHECK(drop_first(run(client_flags + option(structured) + option(set_meta, most)).output, 20) ==
          reply(set_meta, 1));
    CHECK(drop_first(run(client_flags + option(structured) +
                         option(list_meta, queries("root", {"base:" + std::string(4091, 'q')})))
                         .output,
                     20) == reply(list_meta, 1));
}

TEST_CASE("a session is handed on, and answered with both identities before the ACK") {
    CHECK(claim_answer == hex("0003e889045565a9 48460001 48460001 00000018"  // 24 bytes
                              "b0010203 04050607 08090a0b 0c0d0e0f 6c766d3a58793132"
                              "0003e889045565a9 48460001 00000001 00000000"));
    const Outcome outcome = run(client_flags + claiming("root") + option(go, asking_for("root")));
    CHECK(outcome.state == State::transmission);
    CHECK(outcome.output == claim_answer + go_answer);
    CHECK(outcome.claimed == std::vector<std::string>{"claim 2/7 root"});
    CHECK(run(client_flags + claiming("")).claimed == std::vector<std::string>{"claim 2/7 "});
    CHECK(run(client_flags + claiming("root", 0xffffffff)).claimed ==
          std::vector<std::string>{"claim 2/4294967295 root"});
}

TEST_CASE("a session that is refused is told why, and the next option is found") {
    CHECK(answer_to(claiming("nowhere")) == reply(session, unknown, text("no such export")));
    CHECK(answer_to(claiming("private")) == reply(session, 0x80000002, text("not for you")));
    CHECK(answer_to(claiming("root", 6)) == reply(session, 0x80000002, text("generation 7 was here")));
    CHECK(run(client_flags + claiming("root", 6) + option(go, asking_for("root"))).state ==
          State::transmission);
}

TEST_CASE("a session is named once") {
    const Bytes second = client_flags + claiming("root") + claiming("root", 8);
    const Outcome outcome = run(second);
    CHECK(outcome.state == State::running);
    check_error(Bytes(outcome.output.begin() + static_cast<std::ptrdiff_t>(claim_answer.size()),
                      outcome.output.end()),
                session, invalid);
    CHECK(outcome.claimed.size() == 1);
    // Also when the first was none, or was refused.
    for (const Bytes& first : {option(session), option(session, Bytes(9000)), claiming("root", 6)}) {
        const Outcome after = run(client_flags + first + claiming("root"));
        CHECK(after.claimed.size() == (first == claiming("root", 6) ? 1 : 0));
        CHECK(after.state == State::running);
    }
}

TEST_CASE("a malformed session is answered ERR_INVALID, and the next option is found") {
    using namespace std::string_view_literals;
    for (const Bytes& data : {Bytes{}, Bytes(23), Bytes(24) + text("ro\0t"sv), Bytes(24) + Bytes(4097, 'n'),
                              Bytes(8192, 'n'), Bytes(8193, 'n'), Bytes(1 << 20, 'n')}) {
        CAPTURE(data.size());
        check_error(answer_to(option(session, data)), session, invalid);
        const Outcome outcome = run(client_flags + option(session, data) + option(go, asking_for("root")));
        CHECK(outcome.state == State::transmission);
        CHECK(outcome.claimed.empty());
    }
    CHECK(answer_to(claiming(std::string(4096, 'n'))) == reply(session, unknown, text("no such export")));
}

TEST_CASE("a host is acknowledged, handed on with the session, and answered behind it") {
    const Bytes data =
        hex("40414243 44454647 48494a4b 4c4d4e4f"  // the host
            "b0b1b2b3 b4b5b6b7 b8b9babb bcbdbebf"  // its boot
            "0102030405060708 00000000");          // attachment, flags
    for (const Bytes& sent : {data, data + hex("ffffffff"), data + Bytes(8000, 1)}) {
        const Outcome outcome =
            run(client_flags + option(host_option, sent) + claiming("root") + option(go, asking_for("root")));
        CHECK(outcome.state == State::transmission);
        const Bytes answer =
            reply(session, session, hex("b0010203 04050607 08090a0b 0c0d0e0f") + text("lvm:Xy12")) +
            hex("0003e889045565a9 48460001 48460003 00000004 00000003") + reply(session, 1);
        CHECK(outcome.output == hex("0003e889045565a9 48460003 00000001 00000000") + answer + go_answer);
        CHECK(outcome.hosts == std::vector{decode_host_request(data)});
    }
    // Who names none gets the answer of before.
    const Outcome nameless = run(client_flags + claiming("root"));
    CHECK(nameless.output == claim_answer);
    CHECK(nameless.hosts == std::vector<std::optional<HostRequest>>{std::nullopt});
}

TEST_CASE("a host that is malformed, named again, or named behind the session is answered ERR_INVALID") {
    for (const std::size_t length : {0, 1, 43, 8193, 1 << 20}) {
        check_error(answer_to(option(host_option, Bytes(length, 7))), host_option, invalid);
        const Outcome outcome = run(client_flags + option(host_option, Bytes(length, 7)) + claiming("root"));
        CHECK(outcome.claimed.size() == 1);
        CHECK(outcome.state == State::running);
    }
    const Bytes whole = option(host_option, Bytes(44, 7));
    check_error(drop_first(run(client_flags + whole + whole).output, 20), host_option, invalid);
    check_error(drop_first(run(client_flags + claiming("root") + whole).output, claim_answer.size()),
                host_option, invalid);
}

TEST_CASE("an identity is sent whole or not at all") {
    Directory directory;
    directory.identity = std::string(4096, 'i');
    CHECK(run(client_flags + claiming("root"), SIZE_MAX, directory).output.size() == 20 + 16 + 4096 + 20);
    directory.identity += "i";
    check_error(run(client_flags + claiming("root"), SIZE_MAX, directory).output, session, 0x80000004);
}

TEST_CASE("malformed INFO and GO are answered ERR_INVALID, and the next option is found") {
    using namespace std::string_view_literals;
    const Bytes malformed[] = {
        {},
        hex("00000000 00"),    // no room for the number of requests
        hex("00000001 0000"),  // the name longer than what is left
        hex("ffffffff 0000"),
        hex("fffffffe 726f6f74 0000"),  // a sum that does not fit in 32 bits
        hex("00000005 726f6f74 0000"),
        hex("00000003 726f6f74 0000"),  // the name shorter: what is left is no list
        hex("00000004 726f6f74 0001"),  // a request promised and not there
        hex("00000004 726f6f74 0001 00"),
        hex("00000004 726f6f74 0001 0003 00"),  // more than promised
        hex("00000004 726f6f74 0000 0003"),
        hex("00000004 726f6f74 ffff 0003"),
        be(8187, 4) + Bytes(8188, 'n'),  // names that end at the end of all that is kept
        be(8188, 4) + Bytes(8188, 'n'),
        asking_for("ro\0t"sv),
    };
    for (const std::uint32_t number : {info, go})
        for (const Bytes& data : malformed) {
            CAPTURE(data.size());
            check_error(answer_to(option(number, data)), number, invalid);
            CHECK(run(client_flags + option(number, data) + option(go, asking_for("root"))).state ==
                  State::transmission);
        }
}

TEST_CASE("names and options are held to their lengths") {
    CHECK(answer_to(option(go, asking_for(std::string(4096, 'n')))) ==
          reply(go, unknown, text("no such export")));
    check_error(answer_to(option(go, asking_for(std::string(4097, 'n')))), go, too_big);
    check_error(answer_to(option(info, asking_for(std::string(8186, 'n')))), info, too_big);
    // 8 KiB of option is kept, more is skipped.
    const Bytes widest = asking_for("root", Bytes(8192 - 10));
    CHECK(widest.size() == 8192);
    CHECK(run(client_flags + option(go, widest)).output == go_answer);
    for (const std::size_t length : {8193U, 100'000U, 1U << 20}) {
        check_error(answer_to(option(go, Bytes(length))), go, too_big);
        check_error(answer_to(option(info, Bytes(length))), info, too_big);
    }
}

TEST_CASE("an option beyond 1 MiB ends the connection before its data is read") {
    const Bytes head = text("IHAVEOPT");
    for (const std::uint32_t number : {abort_option, list, starttls, info, go, 0xffffffffU}) {
        check_failed(client_flags + head + be(number, 4) + hex("00100001"),
                     "option " + std::to_string(number) + " of 1048577 bytes");
        check_failed(client_flags + head + be(number, 4) + hex("ffffffff"),
                     "option " + std::to_string(number) + " of 4294967295 bytes");
    }
}

TEST_CASE("an option that does not begin with IHAVEOPT ends the connection") {
    for (std::size_t i = 0; i < 8; ++i) {
        Bytes wrong = option(list);
        wrong[i] ^= 1;
        check_failed(client_flags + wrong, "an option does not begin with IHAVEOPT");
    }
}

TEST_CASE("unknown client flags end the connection") {
    for (unsigned bit = 0; bit < 32; ++bit) {
        const Outcome outcome = run(be(1U << bit, 4));
        CHECK(outcome.state == (bit < 2 ? State::running : State::failed));
        if (bit >= 2) CHECK(outcome.reason == "the client set unknown handshake flags");
    }
}

TEST_CASE("a client that never stops asking is left") {
    Bytes options = client_flags;
    for (int i = 0; i < 128; ++i) options = options + option(starttls);
    CHECK(run(options).state == State::running);
    const Outcome outcome = run(options + option(go, asking_for("root")));
    CHECK(outcome.state == State::failed);
    CHECK(outcome.reason == "too many options");
    CHECK(outcome.opened.empty());
}

TEST_CASE("what a client says may arrive in any portions") {
    for (const Dialogue& dialogue : dialogues()) {
        const Outcome whole = run(dialogue.bytes);
        CHECK(whole.state == dialogue.end);
        CHECK(whole.taken == dialogue.bytes.size());
        for (const std::size_t portion : {1U, 2U, 3U, 7U, 17U}) CHECK(run(dialogue.bytes, portion) == whole);
    }
}

TEST_CASE("nothing that a client says is complete before its last byte") {
    for (const Dialogue& dialogue : dialogues())
        for (std::size_t size = 0; size < dialogue.bytes.size(); ++size) {
            const Bytes prefix(dialogue.bytes.begin(),
                               dialogue.bytes.begin() + static_cast<std::ptrdiff_t>(size));
            const Outcome outcome = run(prefix);
            REQUIRE(outcome.state == State::running);
            REQUIRE(outcome.taken == size);
        }
}

TEST_CASE("any byte that a client says may be anything") {
    for (const Dialogue& dialogue : dialogues())
        for (std::size_t at = 0; at < dialogue.bytes.size(); ++at)
            for (const int value : {0x00, 0x01, 0x02, 0x03, 0x07, 0x7f, 0x80, 0xff}) {
                Bytes hostile = dialogue.bytes;
                hostile[at] = static_cast<std::uint8_t>(value);
                const Outcome outcome = run(hostile + Bytes(300, static_cast<std::uint8_t>(value)), 1000);
                REQUIRE(outcome.output.size() < 2000);
            }
}

TEST_CASE("a client that sends garbage does no harm") {
    std::mt19937_64 random(20);
    for (int i = 0; i < 20'000; ++i) {
        Bytes bytes = client_flags;
        for (std::uint64_t options = random() % 6; options > 0; --options) {
            const auto number = static_cast<std::uint32_t>(random() % 8 == 0 ? random() : random() % 13);
            Bytes data(random() % 40);
            for (auto& byte : data)
                byte = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : random() % 4);
            Bytes one = random() % 4 == 0 ? claiming("root", static_cast<std::uint32_t>(random() % 9))
                                          : option(number, data);
            if (random() % 8 == 0) one[random() % one.size()] ^= static_cast<std::uint8_t>(random());
            bytes = bytes + one;
        }
        run(bytes, 1 + random() % 50);
    }
}

TEST_CASE("a machine whose calls wait for proceed() says the same, and calls nothing before") {
    for (const Dialogue& dialogue : dialogues()) {
        const Outcome at_once = run(dialogue.bytes);
        Directory directory;
        ServerHandshake machine(directory, ServerHandshake::Calls::by_proceed);
        CHECK(drain(machine) == greeting);
        Bytes output;
        for (std::span<const std::uint8_t> rest(dialogue.bytes); machine.state() == State::running;) {
            if (machine.waits_for()) {
                CHECK(machine.wanted() == 0);
                const std::size_t before =
                    directory.opened.size() + directory.looked.size() + directory.claimed.size();
                machine.receive(rest);
                CHECK(directory.opened.size() + directory.looked.size() + directory.claimed.size() == before);
                machine.proceed();
                CHECK_FALSE(machine.waits_for().has_value());
            } else {
                const std::size_t count = std::min(machine.wanted(), rest.size());
                REQUIRE(count > 0);
                machine.receive(rest.first(count));
                rest = rest.subspan(count);
            }
            output = output + drain(machine);
        }
        CHECK(output == at_once.output);
        CHECK(machine.state() == at_once.state);
        CHECK(directory.opened == at_once.opened);
        CHECK(directory.looked == at_once.looked);
        CHECK(directory.claimed == at_once.claimed);
    }
}

TEST_CASE("an option is waited with for the export that it names, and not where that is refused at once") {
    const auto waits_for = [](const Bytes& one_option, bool structured_replies = true) {
        Directory directory;
        ServerHandshake machine(directory, ServerHandshake::Calls::by_proceed);
        (void)drain(machine);
        feed(machine, client_flags + (structured_replies ? option(structured) : Bytes()) + one_option,
             SIZE_MAX);
        return machine.waits_for();
    };
    for (const Bytes& one :
         {option(go, asking_for("root")), option(info, asking_for("root")), option(export_name, text("root")),
          claiming("root"), option(set_meta, queries("root")), option(list_meta, queries("root"))})
        CHECK(waits_for(one) == "root");
    CHECK(waits_for(option(go, asking_for(""))) == "");
    for (const Bytes& one : {option(go, asking_for("hidden")), option(export_name, text("hidden")),
                             claiming("hidden"), option(go, hex("00")), option(list), option(starttls)})
        CHECK_FALSE(waits_for(one).has_value());
    CHECK_FALSE(waits_for(option(set_meta, queries("root")), false).has_value());
}

namespace {

constexpr std::uint32_t boot_files = 0x48460002, policy = 0x80000002, platform = 0x80000004;

// Notes the calls; refuses the export "private", and pieces at offset 13.
class Files final : public BootFileReceiver {
public:
    std::expected<BootFileState, Refusal> begin(const BootFileBegin& request) override {
        calls.push_back("begin " + std::string(request.export_name));
        if (request.export_name == "private")
            return std::unexpected(Refusal{OptionReply::err_policy, "no boot files"});
        return BootFileState{request.size == 1, request.size == 1 ? 1U : 0U};
    }
    std::expected<void, Refusal> take(const BootFilePiece& piece) override {
        calls.push_back("piece " + std::to_string(piece.offset) + " " + std::to_string(piece.bytes.size()));
        if (piece.offset == 13) return std::unexpected(Refusal{OptionReply::err_platform, "disk full"});
        return {};
    }
    std::expected<void, Refusal> end() override {
        calls.emplace_back("end");
        return {};
    }
    std::expected<void, Refusal> commit(const BootFileCommit& request) override {
        calls.push_back("commit " + std::string(request.manifest));
        return {};
    }
    std::expected<std::string, Refusal> status(const BootFileStatus&) override {
        calls.emplace_back("status");
        return published;
    }

    std::vector<std::string> calls;
    std::string published = "as published";
};

class DirectoryWithFiles final : public ExportDirectory {
public:
    bool is_refused_at_once(std::string_view name) override { return name == "hidden"; }
    std::expected<std::vector<ListedExport>, Refusal> list() override { return {}; }
    std::expected<OfferedExport, Refusal> look(std::string_view) override { return OfferedExport{}; }
    std::expected<OfferedExport, Refusal> open(std::string_view) override { return OfferedExport{}; }
    std::expected<ClaimAnswer, Refusal> claim(const SessionRequest&,
                                              const std::optional<HostRequest>&) override {
        return ClaimAnswer{};
    }
    BootFileReceiver* boot_files() override { return &files; }

    Files files;
};

Bytes begin_file(std::string_view name, std::uint64_t size) {
    return option(boot_files, encode(BootFileBegin{{}, name, {}, size}));
}
Bytes send_piece(std::uint64_t offset, std::size_t size) {
    const Bytes bytes(size, 0x77);
    return option(boot_files, encode(BootFilePiece{offset, bytes}));
}
const Bytes end_file = option(boot_files, encode(BootFileEnd{}));
const Bytes acknowledged = hex("0003e889045565a9 48460002 00000001 00000000");
const Bytes go_on = hex("0003e889045565a9 48460002 48460002 00000009 00 0000000000000000") + acknowledged;

}  // namespace

TEST_CASE("a boot file comes in pieces, and is committed") {
    DirectoryWithFiles directory;
    ServerHandshake machine(directory);
    (void)drain(machine);
    const std::vector<std::string> calls{"begin root", "piece 0 65536", "piece 65536 1",
                                         "end",        "commit text",   "status"};
    feed(machine, client_flags + begin_file("root", 65537) + send_piece(0, 65536) + send_piece(65536, 1) +
                      end_file + option(boot_files, encode(BootFileCommit{{}, "root", "text"})));
    CHECK(drain(machine) == go_on + acknowledged + acknowledged + acknowledged + acknowledged);
    feed(machine, option(boot_files, encode(BootFileStatus{{}, "root"})));
    CHECK(drain(machine) ==
          hex("0003e889045565a9 48460002 48460002 0000000c") + text("as published") + acknowledged);
    CHECK(directory.files.calls == calls);
    CHECK(machine.boot_file_progress() == 6);
    CHECK(machine.state() == State::running);
}

TEST_CASE("a piece or an end of a boot file that has not begun is refused, and not kept") {
    DirectoryWithFiles directory;
    ServerHandshake machine(directory);
    feed(machine, client_flags);
    for (const Bytes& early : {send_piece(0, 5), send_piece(0, 65536), end_file}) {
        (void)drain(machine);
        feed(machine, early);
        check_error(drain(machine), boot_files, invalid);
    }
    // The same after a file that the server has, after a refused one, after the end, and after a lost one.
    for (const Bytes& before :
         {begin_file("root", 1), begin_file("private", 5), begin_file("root", 5) + end_file,
          begin_file("root", 50) + send_piece(13, 5)}) {
        feed(machine, before);
        (void)drain(machine);
        feed(machine, send_piece(0, 5));
        check_error(drain(machine), boot_files, invalid);
    }
    CHECK(machine.state() == State::running);
    CHECK(machine.boot_file_progress() == 4);
}

TEST_CASE("a command of boot files that is too long is refused for its length") {
    DirectoryWithFiles directory;
    ServerHandshake machine(directory);
    feed(machine, client_flags);
    const auto answer_says = [&](const Bytes& bytes, std::string_view words) {
        (void)drain(machine);
        feed(machine, bytes);
        const Bytes answer = drain(machine);
        check_error(answer, boot_files, invalid);
        return std::string(answer.begin() + 20, answer.end()) == words;
    };
    CHECK(answer_says(send_piece(0, 65536), "no file has begun, or the command is too long"));
    CHECK(answer_says(option(boot_files, Bytes(65546)), "the command is too long"));
    feed(machine, begin_file("root", 1 << 20));
    CHECK(answer_says(option(boot_files, Bytes(65546)), "the command is too long"));
    (void)drain(machine);
    feed(machine, send_piece(0, 5));
    CHECK(drain(machine) == acknowledged);
}

TEST_CASE("a commit of the longest name and manifest is not too long") {
    DirectoryWithFiles directory;
    ServerHandshake machine(directory);
    feed(machine, client_flags);
    (void)drain(machine);
    const std::string name(4096, 'n');
    const std::string manifest(4096, 'm');
    feed(machine, option(boot_files, encode(BootFileCommit{{}, name, manifest})));
    CHECK(drain(machine) == acknowledged);
    CHECK(directory.files.calls == std::vector<std::string>{"commit " + manifest});
}

TEST_CASE("a refused boot file tells why") {
    DirectoryWithFiles directory;
    ServerHandshake machine(directory);
    feed(machine, client_flags);
    (void)drain(machine);
    feed(machine, begin_file("private", 5));
    check_error(drain(machine), boot_files, policy);
    feed(machine, begin_file("root", 50));
    (void)drain(machine);
    feed(machine, send_piece(13, 5));
    check_error(drain(machine), boot_files, platform);
    feed(machine, option(boot_files, hex("09")));
    check_error(drain(machine), boot_files, invalid);
}

TEST_CASE("boot files are an unknown option where the server takes none") {
    check_error(answer_to(begin_file("root", 5)), boot_files, unsup);
    check_error(answer_to(send_piece(0, 65536)), boot_files, unsup);
    check_error(answer_to(option(boot_files)), boot_files, unsup);
}

TEST_CASE("the many pieces of a boot file are not too many options, and refused ones are") {
    DirectoryWithFiles directory;
    ServerHandshake machine(directory);
    feed(machine, client_flags + begin_file("root", 1 << 20));
    for (unsigned i = 0; i < 1000; ++i) feed(machine, send_piece(20, 1));
    CHECK(machine.state() == State::running);
    for (unsigned i = 0; i < 128; ++i) feed(machine, option(boot_files, hex("09")));
    CHECK(machine.state() == State::running);
    feed(machine, option(boot_files, hex("09")));
    CHECK(machine.state() == State::failed);
    ServerHandshake endless(directory);
    feed(endless, client_flags + begin_file("root", 1 << 20));
    for (unsigned i = 1; i < 1 << 16; ++i) feed(endless, send_piece(20, 1));
    CHECK(endless.state() == State::running);
    feed(endless, send_piece(20, 1));
    CHECK(endless.state() == State::failed);
}

TEST_CASE("each command of boot files that may wait for a disk is left to proceed()") {
    DirectoryWithFiles directory;
    ServerHandshake machine(directory, ServerHandshake::Calls::by_proceed);
    feed(machine, client_flags);
    for (const Bytes& one : {begin_file("root", 50), send_piece(0, 5), end_file,
                             option(boot_files, encode(BootFileCommit{{}, "root", "text"})),
                             option(boot_files, encode(BootFileStatus{{}, "root"}))}) {
        feed(machine, one);
        CHECK(machine.waits_for() == "root");
        machine.proceed();
        CHECK_FALSE(machine.waits_for());
    }
    CHECK(directory.files.calls.size() == 5);
    feed(machine, begin_file("hidden", 50));  // refused at once, by begin()
    CHECK_FALSE(machine.waits_for());
    CHECK(directory.files.calls.size() == 6);
}
