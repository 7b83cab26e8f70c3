// The server's half of the handshake against any client: what it says is always well-formed, each reply
// belongs to the option that came, nothing grows, and it does not matter in what pieces the bytes arrive.
#include "common/protocol/server_handshake.hh"

#include <utility>

#include "common/protocol/boot_manifest.hh"
#include "tests/fuzz/input.hh"
#include "tests/unit/wire_bytes.hh"

using namespace holdfast::nbd;
using fuzz::check;
using State = ServerHandshake::State;

namespace {

constexpr std::size_t greeting_size = 18;

void judge_name(std::string_view name) {
    check(name.size() <= longest_string, "a name is at most 4096 bytes");
    check(name.find('\0') == std::string_view::npos, "a name has no NUL");
}

// Wants files of more than a byte; checks that pieces come only between the beginning and the end of one.
class Files final : public BootFileReceiver {
public:
    std::expected<BootFileState, Refusal> begin(const BootFileBegin& request) override {
        judge_name(request.export_name);
        check(request.size >= 1 && request.size <= largest_boot_file, "a file's size is bounded");
        open_ = request.size > 1;
        return BootFileState{!open_, 0};
    }
    std::expected<void, Refusal> take(const BootFilePiece& piece) override {
        check(open_, "a piece belongs to a file");
        check(!piece.bytes.empty() && piece.bytes.size() <= longest_boot_piece, "a piece is bounded");
        open_ = piece.offset == 0;
        if (!open_) return std::unexpected(Refusal{OptionReply::err_invalid, "a gap"});
        return {};
    }
    std::expected<void, Refusal> end() override {
        check(std::exchange(open_, false), "an end belongs to a file");
        return {};
    }
    std::expected<void, Refusal> commit(const BootFileCommit& request) override {
        judge_name(request.export_name);
        check(request.manifest.size() <= longest_boot_manifest, "a manifest is bounded");
        (void)read_boot_manifest(request.manifest);
        return {};
    }
    std::expected<std::string, Refusal> status(const BootFileStatus& request) override {
        judge_name(request.export_name);
        (void)read_boot_published(request.export_name);
        return std::string(longest_boot_published, 'p');
    }

private:
    bool open_ = false;
};

class Directory final : public ExportDirectory {
public:
    BootFileReceiver* boot_files() override { return &files_; }
    std::expected<std::vector<ListedExport>, Refusal> list() override {
        return std::vector<ListedExport>{{"disk", "words"}, {std::string(longest_string, 'n'), ""}};
    }
    std::expected<OfferedExport, Refusal> look(std::string_view name) override {
        judge_name(name);
        if (name == "disk")
            return OfferedExport{{1 << 20, flag_send_flush | flag_send_fua, {512, 4096, 1 << 20}},
                                 {"disk", "words"}};
        if (name.empty()) return OfferedExport{{4096, flag_read_only, {}}, {"default", ""}};
        return std::unexpected(Refusal{OptionReply::err_unknown, std::string(name) + ": no such export"});
    }
    std::expected<ClaimAnswer, Refusal> claim(const SessionRequest& request,
                                              const std::optional<HostRequest>& host) override {
        check(++claims == 1, "a session is claimed once");
        if (const auto found = look(request.export_name); !found) return std::unexpected(found.error());
        return ClaimAnswer{{0xb0}, "identity", host ? host->flags : 0};
    }
    std::expected<OfferedExport, Refusal> open(std::string_view name) override {
        check(opened.empty(), "no export is opened after one");
        auto offer = look(name);
        if (offer) opened = "opened " + std::string(name);
        return offer;
    }

    int claims = 0;
    std::string opened;

private:
    Files files_;
};

std::uint64_t number(std::span<const std::uint8_t> bytes, std::size_t at, std::size_t size) {
    return fuzz::Input(bytes.data() + at, bytes.size() - at).number(size);
}

// What was said to one option: replies with its number and right lengths, of which the last alone ends it.
void check_replies(std::span<const std::uint8_t> said) {
    bool over = false;
    for (const std::uint64_t option = said.size() < 12 ? 0 : number(said, 8, 4); !said.empty();) {
        check(said.size() >= sizeof(WireOptionReply), "a reply has a whole head");
        check(number(said, 0, 8) == option_reply_magic, "a reply begins with its magic number");
        check(number(said, 8, 4) == option, "the replies of one answer name one option");
        check(!over, "nothing follows an ACK or an error");
        const std::uint64_t type = number(said, 12, 4);
        const std::uint64_t length = number(said, 16, 4);
        over = type == static_cast<std::uint32_t>(OptionReply::ack) || (type & option_reply_error_bit) != 0;
        check(length <= said.size() - sizeof(WireOptionReply), "a reply is as long as it says");
        check((type & option_reply_error_bit) == 0 || length <= longest_string, "an error's text is bounded");
        said = said.subspan(sizeof(WireOptionReply) + length);
    }
    check(over, "an answer ends with an ACK or an error");
}

struct Talk {
    wire_bytes::Bytes said;
    std::size_t taken = 0;
    State state{};
    std::string opened;

    bool operator==(const Talk&) const = default;
};

// In pieces of at most `portion` bytes; the output is taken as soon as it is there, as the connection does.
Talk talk(std::span<const std::uint8_t> bytes, std::size_t portion) {
    Directory directory;
    ServerHandshake machine(directory);
    Talk talk;
    talk.said = wire_bytes::drain(machine);
    check(talk.said.size() == greeting_size, "the greeting comes first");
    while (machine.wanted() > 0 && talk.taken < bytes.size()) {
        check(machine.state() == State::running, "only a running machine wants bytes");
        check(machine.wanted() <= 1 << 20, "no option is waited for that is longer than a mebibyte");
        const std::size_t count = std::min({portion, machine.wanted(), bytes.size() - talk.taken});
        machine.receive(bytes.subspan(talk.taken, count));
        talk.taken += count;
        const wire_bytes::Bytes said = wire_bytes::drain(machine);
        check(said.size() <= 3 * longest_string, "an answer is bounded");
        const bool by_export_name = machine.state() == State::transmission && !said.empty() &&
                                    (said.size() == sizeof(WireExportReply) ||
                                     said.size() == sizeof(WireExportReply) + export_reply_zeroes);
        if (!said.empty() && !by_export_name) check_replies(said);
        talk.said.insert(talk.said.end(), said.begin(), said.end());
    }
    check(machine.wanted() > 0 || machine.state() != State::running, "a running machine wants bytes");
    talk.state = machine.state();
    talk.opened = directory.opened;
    if (talk.state == State::transmission) {
        check(talk.opened == "opened " + machine.export_name(), "what is served is what was opened");
        const Offer& offer = machine.offer();
        check((offer.flags & flag_has_flags) != 0, "an offer has its flags");
        check(offer.structured_replies || !offer.block_status, "block status needs structured replies");
        check(((offer.flags & flag_send_df) != 0) == offer.structured_replies,
              "DF goes with structured replies");
    } else {
        check(talk.opened.empty(), "what was opened is served");
    }
    check(talk.state != State::failed || !machine.reason().empty(), "a failure has a reason");
    return talk;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::size_t portion = input.number(1) + 1;
    const auto bytes = input.rest_bytes();
    check(talk(bytes, SIZE_MAX) == talk(bytes, portion), "the pieces in which bytes arrive do not matter");
    return 0;
}
