// The client's handshake. An element is collected in a fixed buffer, processed, and selects the next; reply
// data that the client does not use is counted, not kept. Every length and the number of replies are limited:
// a server can neither keep the client busy for ever nor make it grow.
#include "common/protocol/client_handshake.hh"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

namespace holdfast::nbd {

namespace {

constexpr std::uint32_t longest_reply = 64 << 10;
constexpr const char* wrong_type = "the type of the server's reply does not match the option";
constexpr std::uint32_t most_info_replies = 64;

// Checks "Block size constraints" and returns the error, or nullptr. A preferred size below 512 is harmless
// and accepted.
const char* flaw_of(const BlockSizes& sizes, std::uint64_t export_size) noexcept {
    if (!std::has_single_bit(sizes.minimum) || sizes.minimum > 65536)
        return "the server's minimum block size is not a power of two up to 65536";
    if (!std::has_single_bit(sizes.preferred) || sizes.preferred < sizes.minimum)
        return "the server's preferred block size is not a power of two from its minimum up";
    const bool unlimited = sizes.maximum == std::numeric_limits<std::uint32_t>::max();
    if (sizes.maximum < sizes.minimum || (!unlimited && sizes.maximum % sizes.minimum != 0))
        return "the server's maximum block size is not a multiple of its minimum";
    if (sizes.maximum < std::min<std::uint64_t>(sizes.preferred, export_size))
        return "the server's maximum block size is below its preferred one";
    return nullptr;
}

std::string_view text_of(std::span<const std::uint8_t> bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::uint8_t> bytes_of_text(std::string_view text) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

ClientHandshake::ClientHandshake(Goal goal, std::string_view export_name,
                                 std::optional<SessionClaim> claim) noexcept
    : goal_(goal), claim_(goal != Goal::list ? claim : std::nullopt) {
    if (export_name.size() > name_.size()) {
        fail("the export name is longer than 4096 bytes");
        return;
    }
    std::ranges::copy(export_name, name_.begin());
    name_length_ = export_name.size();
}

ClientHandshake::ClientHandshake(ListSink sink) noexcept : goal_(Goal::list), sink_(std::move(sink)) {}

std::span<const std::uint8_t> ClientHandshake::output() const noexcept {
    return std::span(output_).subspan(sent_, written_ - sent_);
}

void ClientHandshake::sent(std::size_t count) noexcept { sent_ += std::min(count, written_ - sent_); }

std::size_t ClientHandshake::wanted() const noexcept { return state_ == State::running ? need_ - have_ : 0; }

std::string_view ClientHandshake::text() const noexcept {
    if (state_ == State::failed) return reason_;
    return {text_.data(), text_length_};
}

std::optional<SessionAnswer> ClientHandshake::session() const noexcept {
    if (!boot_identity_) return std::nullopt;
    return SessionAnswer{*boot_identity_, {export_identity_.data(), export_identity_length_}};
}

void ClientHandshake::receive(std::span<const std::uint8_t> bytes) noexcept {
    while (state_ == State::running && !bytes.empty()) {
        const auto taken = bytes.first(std::min(bytes.size(), need_ - have_));
        if (step_ == Step::error_text)
            std::ranges::copy(text_of(taken), text_.begin() + static_cast<std::ptrdiff_t>(have_));
        else if (step_ != Step::discard)
            std::ranges::copy(taken, element_.begin() + static_cast<std::ptrdiff_t>(have_));
        have_ += taken.size();
        bytes = bytes.subspan(taken.size());
        // Processes empty elements at once, since no bytes arrive for them. Heads are never empty, so the
        // loop ends.
        while (state_ == State::running && have_ == need_) understand();
    }
}

// --- elements, in order ---

void ClientHandshake::expect(Step step, std::size_t length) noexcept {
    step_ = step;
    need_ = length;
    have_ = 0;
}

void ClientHandshake::discard(std::size_t length, Then then) noexcept {
    after_discard_ = then;
    expect(Step::discard, length);
}

void ClientHandshake::proceed(Then then) noexcept {
    switch (then) {
        case Then::next_reply: return expect(Step::reply_head, sizeof(WireOptionReply));
        case Then::enter: return finish(State::done);
        case Then::refuse:
            // Continues with a server that does not fence: fencing is optional.
            if (asked_ == Option::session && refusal_ == OptionReply::err_unsup) {
                boot_identity_.reset();
                host_answer_.reset();
                return ask_for_export();
            }
            if (asked_ == Option::host && refusal_ == OptionReply::err_unsup) return ask_for_session();
            // Falls back to EXPORT_NAME for a server without GO, as the specification says.
            if (goal_ == Goal::go && asked_ == Option::go && refusal_ == OptionReply::err_unsup)
                return ask_by_export_name();
            return finish(State::refused);
    }
}

void ClientHandshake::fail(const char* reason) noexcept {
    state_ = State::failed;
    reason_ = reason;
}

// Sends ABORT unless transmission follows: only the client may end a negotiation cleanly.
void ClientHandshake::finish(State state) noexcept {
    state_ = state;
    if (state == State::refused || goal_ != Goal::go) put_option(Option::abort, 0);
}

void ClientHandshake::understand() noexcept {
    switch (step_) {
        case Step::greeting: return on_greeting();
        case Step::export_reply: return on_export_reply();
        case Step::reply_head: return on_reply_head();
        case Step::session_answer: return on_session_answer();
        case Step::host_answer: return on_host_answer();
        case Step::info_type: return on_info_type();
        case Step::info_export: return on_info_export();
        case Step::info_block_size: return on_info_block_size();
        case Step::error_text: text_length_ = need_; return discard(reply_left_, Then::refuse);
        case Step::list_name_length: return on_list_name_length();
        case Step::list_name: return on_list_name();
        case Step::list_description: return on_list_description();
        case Step::discard: return proceed(after_discard_);
    }
}

void ClientHandshake::on_greeting() noexcept {
    const auto greeting = load<WireGreeting>(element_);
    if (greeting.nbdmagic != nbdmagic)
        return fail("this is not an NBD server: it does not begin with NBDMAGIC");
    if (greeting.ihaveopt == oldstyle_magic)
        return fail("the server uses oldstyle negotiation, which is not supported");
    if (greeting.ihaveopt != ihaveopt) return fail("the server's greeting is not a newstyle greeting");
    const std::uint16_t flags = greeting.handshake_flags;  // unknown flags must be ignored
    if (!(flags & flag_fixed_newstyle))
        return fail("the server supports newstyle negotiation, but not fixed newstyle");
    no_zeroes_ = (flags & flag_no_zeroes) != 0;
    put(bytes_of(be32(flag_c_fixed_newstyle | (no_zeroes_ ? flag_c_no_zeroes : 0))));
    ask();
}

void ClientHandshake::on_export_reply() noexcept {
    const auto reply = load<WireExportReply>(element_);
    take_export(reply.size, reply.flags);
    if (state_ == State::running) discard(no_zeroes_ ? 0 : export_reply_zeroes, Then::enter);
}

// The type is already read; the rest of the struct equals the answer to EXPORT_NAME.
void ClientHandshake::on_info_export() noexcept {
    const auto info = load<WireExportReply>(element_);
    export_given_ = true;
    take_export(info.size, info.flags);
    if (state_ == State::running) proceed(Then::next_reply);
}

void ClientHandshake::on_reply_head() noexcept {
    const auto head = load<WireOptionReply>(element_);
    const auto type = static_cast<OptionReply>(std::uint32_t{head.type});
    const std::uint32_t length = head.length;
    if (head.magic != option_reply_magic) return fail("wrong magic number in the server's reply");
    if (head.option != static_cast<std::uint32_t>(asked_))
        return fail("the server replied to an option that was not sent");
    if (length > longest_reply) return fail("the server's reply is longer than 64 KiB");
    if (head.type & option_reply_error_bit) return on_error_reply(type, length);
    if (type == OptionReply::ack)
        return length == 0 ? on_acknowledged() : fail("the server's NBD_REP_ACK carries data");
    on_data_reply(type, length);
}

// Takes the head of a reply that is neither an error nor the end of the answer.
void ClientHandshake::on_data_reply(OptionReply type, std::uint32_t length) noexcept {
    const bool listing = asked_ == Option::list;
    if (++replies_ > (listing ? most_listed_exports : most_info_replies))
        return fail("too many replies from the server");
    if (asked_ == Option::session) return on_claim_reply(type, length);
    if (asked_ == Option::host || type != (listing ? OptionReply::server : OptionReply::info))
        return fail(wrong_type);
    const std::size_t head_length = listing ? sizeof(be32) : sizeof(be16);
    if (length < head_length) return fail("the server's reply is too short");
    reply_left_ = length - head_length;
    expect(listing ? Step::list_name_length : Step::info_type, head_length);
}

// Expects a reply for the session, then, if the host was named, a reply for the host.
void ClientHandshake::on_claim_reply(OptionReply type, std::uint32_t length) noexcept {
    if (type == OptionReply::session) {
        if (boot_identity_) return fail("two answers from the server to the session");
        if (length > longest_session_answer) return fail("the server's answer to the session is malformed");
        return expect(Step::session_answer, length);
    }
    if (type != OptionReply::host || !host_known_ || !boot_identity_) return fail(wrong_type);
    if (host_answer_) return fail("two answers from the server to the host");
    if (length > longest_host_answer) return fail("the server's answer to the host is malformed");
    expect(Step::host_answer, length);
}

void ClientHandshake::on_error_reply(OptionReply type, std::uint32_t length) noexcept {
    refusal_ = type;
    const std::size_t kept = std::min<std::size_t>(length, text_.size());
    reply_left_ = length - kept;
    expect(Step::error_text, kept);
}

void ClientHandshake::on_acknowledged() noexcept {
    if (asked_ == Option::list) return finish(State::done);
    if (asked_ == Option::host) {
        host_known_ = true;
        return ask_for_session();
    }
    if (asked_ == Option::session) {
        if (!boot_identity_) return fail("the server accepted the session without answering it");
        if (host_known_ && !host_answer_) return fail("the server accepted the host without answering it");
        return ask_for_export();
    }
    if (!export_given_) return fail("the server accepted the export without sending its size");
    // Checks block sizes only at the end: the replies come in any order, and the check needs the size.
    const char* flaw = block_sizes_given_ ? flaw_of(offer_.block_sizes, offer_.size) : nullptr;
    if (flaw != nullptr) return fail(flaw);
    finish(State::done);
}

void ClientHandshake::on_session_answer() noexcept {
    const std::optional<SessionAnswer> answer = decode_session_answer(std::span(element_).first(need_));
    if (!answer) return fail("the server's answer to the session is malformed");
    boot_identity_ = answer->boot_identity;
    std::ranges::copy(answer->export_identity, export_identity_.begin());
    export_identity_length_ = answer->export_identity.size();
    proceed(Then::next_reply);
}

void ClientHandshake::on_host_answer() noexcept {
    host_answer_ = decode_host_answer(std::span(element_).first(need_));
    if (!host_answer_) return fail("the server's answer to the host is malformed");
    proceed(Then::next_reply);
}

void ClientHandshake::take_export(std::uint64_t size, std::uint16_t flags) noexcept {
    // Requires the bit that "MUST always be 1". Without this bit the other flags cannot be trusted.
    if (!(flags & flag_has_flags)) return fail("the server's transmission flags lack NBD_FLAG_HAS_FLAGS");
    if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return fail("the export is larger than the largest possible device");
    offer_.size = size;
    offer_.flags = flags;
}

void ClientHandshake::on_info_type() noexcept {
    const auto type = static_cast<Info>(std::uint16_t{load<be16>(element_)});
    constexpr std::size_t export_rest = sizeof(WireInfoExport) - sizeof(be16);
    constexpr std::size_t block_size_rest = sizeof(WireInfoBlockSize) - sizeof(be16);
    if (type == Info::export_) {
        if (reply_left_ != export_rest) return fail("the server's NBD_INFO_EXPORT has a wrong length");
        return expect(Step::info_export, export_rest);
    }
    if (type == Info::block_size) {
        if (reply_left_ != block_size_rest)
            return fail("the server's NBD_INFO_BLOCK_SIZE has a wrong length");
        return expect(Step::info_block_size, block_size_rest);
    }
    discard(reply_left_, Then::next_reply);  // name, description, and future types
}

void ClientHandshake::on_info_block_size() noexcept {
    struct Rest {
        be32 minimum, preferred, maximum;
    };
    const auto rest = load<Rest>(element_);
    offer_.block_sizes = {rest.minimum, rest.preferred, rest.maximum};
    block_sizes_given_ = true;
    proceed(Then::next_reply);
}

void ClientHandshake::on_list_name_length() noexcept {
    list_name_length_ = load<be32>(element_);
    if (list_name_length_ > reply_left_) return fail("the server lists a name that is longer than its reply");
    if (list_name_length_ > longest_string) return fail("the server lists a name longer than 4096 bytes");
    reply_left_ -= list_name_length_;
    expect(Step::list_name, list_name_length_);
}

// Appends the description to the name, so that both are in the buffer when the sink is called.
void ClientHandshake::on_list_name() noexcept {
    const std::size_t kept = std::min(reply_left_, longest_description);
    reply_left_ -= kept;
    expect(Step::list_description, list_name_length_ + kept);
    have_ = list_name_length_;
}

void ClientHandshake::on_list_description() noexcept {
    const std::string_view both = text_of(std::span(element_).first(need_));
    if (sink_) sink_(both.substr(0, list_name_length_), both.substr(list_name_length_));
    discard(reply_left_, Then::next_reply);
}

// --- output ---

// Appends to `output_`, which has room for the longest dialogue.
void ClientHandshake::put(std::span<const std::uint8_t> bytes) noexcept {
    std::ranges::copy(bytes, output_.begin() + static_cast<std::ptrdiff_t>(written_));
    written_ += bytes.size();
}

void ClientHandshake::put_option(Option option, std::size_t length) noexcept {
    put(bytes_of(
        WireOption{ihaveopt, static_cast<std::uint32_t>(option), static_cast<std::uint32_t>(length)}));
}

void ClientHandshake::ask() noexcept {
    if (claim_) return claim_->host ? name_host() : ask_for_session();
    if (goal_ != Goal::list) return ask_for_export();
    asked_ = Option::list;
    put_option(asked_, 0);
    proceed(Then::next_reply);
}

void ClientHandshake::name_host() noexcept {
    asked_ = Option::host;
    put_option(asked_, host_request_size);
    written_ += encode(*claim_->host, std::span(output_).subspan(written_)).value_or(0);
    proceed(Then::next_reply);
}

void ClientHandshake::ask_for_session() noexcept {
    // Clears a refusal of the host option.
    refusal_ = {};
    text_length_ = 0;
    replies_ = 0;
    asked_ = Option::session;
    const SessionRequest request{claim_->session, claim_->slot, claim_->generation, export_name()};
    const auto length = encode(request, std::span(output_).subspan(written_ + sizeof(WireOption)));
    if (!length) return fail("NUL in the export name");
    put_option(asked_, *length);
    written_ += *length;  // the data is already encoded in place
    proceed(Then::next_reply);
}

void ClientHandshake::ask_for_export() noexcept {
    // Clears a refusal of the claim.
    refusal_ = {};
    text_length_ = 0;
    replies_ = 0;
    asked_ = goal_ == Goal::go ? Option::go : Option::info;
    put_option(asked_, sizeof(be32) + name_length_ + 2 * sizeof(be16));
    put(bytes_of(be32(static_cast<std::uint32_t>(name_length_))));
    put(bytes_of_text(export_name()));
    put(bytes_of(be16(
        1)));  // request for block sizes: without a request a server may withhold them, or refuse the client
    put(bytes_of(be16(static_cast<std::uint16_t>(Info::block_size))));
    proceed(Then::next_reply);
}

void ClientHandshake::ask_by_export_name() noexcept {
    asked_ = Option::export_name;
    offer_ = {};
    block_sizes_given_ = false;
    refusal_ = {};
    text_length_ = 0;
    put_option(asked_, name_length_);
    put(bytes_of_text(export_name()));
    expect(Step::export_reply, sizeof(WireExportReply));
}

namespace {

struct ReplyText {
    OptionReply reply;
    const char* text;
};
constexpr ReplyText reply_texts[] = {
    {OptionReply::ack, "NBD_REP_ACK: no refusal"},
    {OptionReply::server, "NBD_REP_SERVER: no refusal"},
    {OptionReply::info, "NBD_REP_INFO: no refusal"},
    {OptionReply::meta_context, "NBD_REP_META_CONTEXT: no refusal"},
    {OptionReply::session, "session reply: no refusal"},
    {OptionReply::host, "host reply: no refusal"},
    {OptionReply::err_unsup, "NBD_REP_ERR_UNSUP: the server does not know this option"},
    {OptionReply::err_policy, "NBD_REP_ERR_POLICY: the server does not allow it"},
    {OptionReply::err_invalid, "NBD_REP_ERR_INVALID: the server considers the request malformed"},
    {OptionReply::err_platform, "NBD_REP_ERR_PLATFORM: the server's platform cannot do it"},
    {OptionReply::err_tls_reqd, "NBD_REP_ERR_TLS_REQD: the server requires TLS"},
    {OptionReply::err_unknown, "NBD_REP_ERR_UNKNOWN: the server has no such export, or none for this client"},
    {OptionReply::err_shutdown, "NBD_REP_ERR_SHUTDOWN: the server is shutting down"},
    {OptionReply::err_block_size_reqd,
     "NBD_REP_ERR_BLOCK_SIZE_REQD: the server requires a request for its block sizes"},
    {OptionReply::err_too_big, "NBD_REP_ERR_TOO_BIG: the request or its answer is too large for the server"},
};

}  // namespace

const char* describe(OptionReply refusal) noexcept {
    for (const auto& [reply, text] : reply_texts)
        if (reply == refusal) return text;
    return "an error that the NBD protocol does not name";
}

}  // namespace holdfast::nbd
