// The server's handshake, against clients that are not trusted yet. An option's length is judged before its
// first byte is kept; what is not understood is counted off, so that the next option is found where it is.
#include "common/protocol/server_handshake.hh"

#include <algorithm>
#include <optional>
#include <utility>

namespace holdfast::nbd {

namespace {

// An honest client sends a handful of options, none longer than a few KiB. Beyond these it is not worth
// talking to.
constexpr unsigned most_options = 128;
constexpr std::uint32_t longest_option = 1 << 20;

constexpr std::string_view malformed = "the option's data is malformed";

std::string_view text_of(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::uint8_t> bytes_of_text(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

// The data of INFO and GO. The name points into it.
struct InfoRequest {
    std::string_view name;
    bool block_sizes = false;
};

// "32 bits, length of name; name; 16 bits, number of information requests; 16 bits each": exactly that, or
// nullopt.
std::optional<InfoRequest> decode_info_request(std::span<const std::uint8_t> data) {
    constexpr std::size_t least = sizeof(be32) + sizeof(be16);
    if (data.size() < least) return std::nullopt;
    const std::uint32_t name_length = load<be32>(data);
    if (name_length > data.size() - least) return std::nullopt;
    InfoRequest request{text_of(data.subspan(sizeof(be32), name_length))};
    const std::size_t count = load<be16>(data.subspan(sizeof(be32) + name_length));
    auto infos = data.subspan(least + name_length);
    if (infos.size() != count * sizeof(be16) || has_nul(request.name)) return std::nullopt;
    for (; !infos.empty(); infos = infos.subspan(sizeof(be16)))
        if (load<be16>(infos) == static_cast<std::uint16_t>(Info::block_size)) request.block_sizes = true;
    return request;
}

}  // namespace

ServerHandshake::ServerHandshake(ExportDirectory& directory) : directory_(directory), element_(longest_kept) {
    put(bytes_of(WireGreeting{nbdmagic, ihaveopt, flag_fixed_newstyle | flag_no_zeroes}));
}

std::span<const std::uint8_t> ServerHandshake::output() const noexcept {
    return std::span(output_).subspan(sent_);
}

void ServerHandshake::sent(std::size_t count) noexcept {
    sent_ += std::min(count, output_.size() - sent_);
    if (sent_ < output_.size()) return;
    output_.clear();
    sent_ = 0;
}

std::size_t ServerHandshake::wanted() const noexcept { return state_ == State::running ? need_ - have_ : 0; }

void ServerHandshake::receive(std::span<const std::uint8_t> bytes) {
    while (state_ == State::running && !bytes.empty()) {
        const auto taken = bytes.first(std::min(bytes.size(), need_ - have_));
        if (step_ != Step::option_skipped)
            std::ranges::copy(taken, element_.begin() + static_cast<std::ptrdiff_t>(have_));
        have_ += taken.size();
        bytes = bytes.subspan(taken.size());
        // Data may be empty: then there is nothing to wait for. A head never is, so this ends.
        while (state_ == State::running && have_ == need_) understand();
    }
}

// --- the elements, one after the other ---

void ServerHandshake::expect(Step step, std::size_t length) {
    step_ = step;
    need_ = length;
    have_ = 0;
}

void ServerHandshake::fail(std::string reason) {
    state_ = State::failed;
    reason_ = std::move(reason);
}

void ServerHandshake::understand() {
    switch (step_) {
        case Step::client_flags: return on_client_flags();
        case Step::option_head: return on_option_head();
        case Step::option_data: return on_option_data();
        case Step::option_skipped: return on_option_skipped();
    }
}

// A client that does not set FIXED_NEWSTYLE is served all the same: it will send EXPORT_NAME, or be answered.
void ServerHandshake::on_client_flags() {
    const std::uint32_t flags = load<be32>(element_);
    if (flags & ~(flag_c_fixed_newstyle | flag_c_no_zeroes))
        return fail("the client set unknown handshake flags");
    no_zeroes_ = (flags & flag_c_no_zeroes) != 0;
    expect(Step::option_head, sizeof(WireOption));
}

void ServerHandshake::on_option_head() {
    const auto head = load<WireOption>(element_);
    option_ = head.option;
    length_ = head.length;
    if (head.ihaveopt != ihaveopt) return fail("an option does not begin with IHAVEOPT");
    if (++options_ > most_options) return fail("too many options");
    if (length_ > longest_option)
        return fail("option " + std::to_string(option_) + " of " + std::to_string(length_) + " bytes");
    switch (static_cast<Option>(option_)) {
        case Option::export_name:
            // There is no way to refuse it but to close, so there is no need to read it either.
            if (length_ > longest_string) return fail("EXPORT_NAME with a name longer than 4096 bytes");
            return expect(Step::option_data, length_);
        case Option::info:
        case Option::go:
        case Option::session:
            return expect(length_ > longest_kept ? Step::option_skipped : Step::option_data, length_);
        default: return expect(Step::option_skipped, length_);  // as it came: any number is possible
    }
}

void ServerHandshake::on_option_data() {
    // EXPORT_NAME ends the negotiation either way.
    if (static_cast<Option>(option_) == Option::export_name) return on_export_name();
    if (static_cast<Option>(option_) == Option::session) {
        on_session();
    } else {
        on_info_or_go();
    }
    if (state_ == State::running) expect(Step::option_head, sizeof(WireOption));
}

// Options without data, those that are not known here, and those that are longer than they can be.
void ServerHandshake::on_option_skipped() {
    expect(Step::option_head, sizeof(WireOption));
    switch (static_cast<Option>(option_)) {
        case Option::abort:
            put_reply(OptionReply::ack);  // whatever data came with it
            state_ = State::ended;
            return;
        case Option::list: return on_list();
        case Option::info:
        case Option::go: return put_error(OptionReply::err_too_big, "the option is longer than 8192 bytes");
        case Option::session: claimed_ = true; return put_error(OptionReply::err_invalid, malformed);
        default: return put_error(OptionReply::err_unsup, "this option is not known here");
    }
}

void ServerHandshake::on_export_name() {
    const std::string name(text_of(std::span(element_).first(length_)));
    if (has_nul(name)) return fail("EXPORT_NAME with a NUL in the name");
    const auto offer = directory_.open(name);
    if (!offer) return fail(offer.error().text);
    begin_transmission(name, *offer);
    put(bytes_of(WireExportReply{offer_.size, offer_.flags}));
    if (!no_zeroes_) output_.resize(output_.size() + export_reply_zeroes);
}

void ServerHandshake::on_list() {
    if (length_ != 0) return put_error(OptionReply::err_invalid, "LIST takes no data");
    const auto names = directory_.list();
    if (!names) return put_error(names.error().reply, names.error().text);
    std::uint32_t listed = 0;
    for (const std::string& name : *names) {
        if (name.empty() || name.size() > longest_string) continue;
        if (++listed > most_listed_exports) break;
        const be32 length(static_cast<std::uint32_t>(name.size()));
        std::vector<std::uint8_t> data;
        data.reserve(sizeof length + name.size());
        data.insert(data.end(), bytes_of(length).begin(), bytes_of(length).end());
        data.insert(data.end(), name.begin(), name.end());
        put_reply(OptionReply::server, data);
    }
    put_reply(OptionReply::ack);
}

// A client that does not ask for the block sizes is not turned away: nbd-client never asks, and a
// request that does not keep to them is answered with an error.
void ServerHandshake::on_info_or_go() {
    const auto request = decode_info_request(std::span(element_).first(length_));
    if (!request) return put_error(OptionReply::err_invalid, malformed);
    if (request->name.size() > longest_string)
        return put_error(OptionReply::err_too_big, "the export's name is longer than 4096 bytes");
    const bool go = static_cast<Option>(option_) == Option::go;
    const auto offer = go ? directory_.open(request->name) : directory_.look(request->name);
    if (!offer) return put_error(offer.error().reply, offer.error().text);
    put_offer(*offer, request->block_sizes);
    put_reply(OptionReply::ack);
    if (go) begin_transmission(request->name, *offer);
}

// Once only, whatever became of the first: a connection has one place in one session.
void ServerHandshake::on_session() {
    if (std::exchange(claimed_, true))
        return put_error(OptionReply::err_invalid, "the session was named already");
    const auto request = decode_session_request(std::span(element_).first(length_));
    if (!request) return put_error(OptionReply::err_invalid, malformed);
    const auto answer = directory_.claim(*request);
    if (!answer) return put_error(answer.error().reply, answer.error().text);
    std::vector<std::uint8_t> data(longest_session_answer);
    const auto length = encode(SessionAnswer{answer->boot_identity, answer->export_identity}, data);
    if (!length) return put_error(OptionReply::err_platform, "the export's identity is too long");
    put_reply(OptionReply::session, std::span(data).first(*length));
    put_reply(OptionReply::ack);
}

void ServerHandshake::begin_transmission(std::string_view name, const Offer& offer) {
    offer_ = offer;
    offer_.flags |= flag_has_flags;
    export_name_ = name;
    state_ = State::transmission;
}

// --- what we say ---

void ServerHandshake::put(std::span<const std::uint8_t> bytes) {
    output_.insert(output_.end(), bytes.begin(), bytes.end());
}

void ServerHandshake::put_reply(OptionReply type, std::span<const std::uint8_t> data) {
    put(bytes_of(WireOptionReply{option_reply_magic, option_, static_cast<std::uint32_t>(type),
                                 static_cast<std::uint32_t>(data.size())}));
    put(data);
}

void ServerHandshake::put_error(OptionReply type, std::string_view text) {
    put_reply(type, bytes_of_text(text.substr(0, longest_string)));
}

void ServerHandshake::put_offer(const Offer& offer, bool block_sizes_asked) {
    const auto flags = static_cast<std::uint16_t>(offer.flags | flag_has_flags);
    put_reply(OptionReply::info,
              bytes_of(WireInfoExport{static_cast<std::uint16_t>(Info::export_), offer.size, flags}));
    if (!block_sizes_asked) return;
    const BlockSizes& sizes = offer.block_sizes;
    put_reply(OptionReply::info, bytes_of(WireInfoBlockSize{static_cast<std::uint16_t>(Info::block_size),
                                                            sizes.minimum, sizes.preferred, sizes.maximum}));
}

}  // namespace holdfast::nbd
