// The server's handshake, against untrusted clients. An option's length is checked before its first byte is
// kept; unknown data is counted, so that the next option is found at the right place.
#include "common/protocol/server_handshake.hh"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "common/protocol/meta_context.hh"

namespace holdfast::nbd {

namespace {

// Limits on a client's options. A real client sends a handful of options, none longer than a few KiB; beyond
// the limits the handshake fails.
constexpr unsigned most_options = 128;
constexpr std::uint32_t longest_option = 1 << 20;
// Boot files have their own limit, enough for three of the largest in pieces of 64 KiB. A refused one counts
// among the other options, too.
constexpr std::uint32_t most_boot_file_options = 1 << 16;

// Smallest block size assumed by a client that cannot be sent block sizes: the block devices of Linux use
// 512.
constexpr std::uint32_t unspoken_block = 512;

constexpr std::string_view malformed = "the option's data is malformed";
constexpr std::string_view wrong_order = "no file has begun";
constexpr std::string_view over_8_kib = "the option is longer than 8192 bytes";

// Returns why the data of a boot file command was not read.
std::string reason_to_skip(std::uint32_t length) {
    return length > longest_boot_file_option ? "the command is too long"
                                             : "no file has begun, or the command is too long";
}

std::string_view text_of(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::uint8_t> bytes_of_text(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

// Data of INFO and GO. The name points into the data.
struct InfoRequest {
    std::string_view name;
    std::span<const std::uint8_t> infos;  // 16 bits each

    [[nodiscard]] bool asks_for(Info type) const {
        for (auto rest = infos; !rest.empty(); rest = rest.subspan(sizeof(be16)))
            if (load<be16>(rest) == static_cast<std::uint16_t>(type)) return true;
        return false;
    }
};

// Decodes "32 bits, length of name; name; 16 bits, number of information requests; 16 bits each": exactly
// that, or nullopt.
std::optional<InfoRequest> decode_info_request(std::span<const std::uint8_t> data) {
    constexpr std::size_t least = sizeof(be32) + sizeof(be16);
    if (data.size() < least) return std::nullopt;
    const std::uint32_t name_length = load<be32>(data);
    if (name_length > data.size() - least) return std::nullopt;
    const std::size_t count = load<be16>(data.subspan(sizeof(be32) + name_length));
    const InfoRequest request{text_of(data.subspan(sizeof(be32), name_length)),
                              data.subspan(least + name_length)};
    if (request.infos.size() != count * sizeof(be16) || has_nul(request.name)) return std::nullopt;
    return request;
}

}  // namespace

ServerHandshake::ServerHandshake(ExportDirectory& directory, Calls calls)
    : directory_(directory), calls_(calls), element_(sizeof(be32)) {
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

std::size_t ServerHandshake::wanted() const noexcept {
    return state_ == State::running && !waits_for_ ? need_ - have_ : 0;
}

void ServerHandshake::receive(std::span<const std::uint8_t> bytes) {
    while (state_ == State::running && !bytes.empty() && !waits_for_) {
        const auto taken = bytes.first(std::min(bytes.size(), need_ - have_));
        if (step_ != Step::option_skipped)
            std::ranges::copy(taken, element_.begin() + static_cast<std::ptrdiff_t>(have_));
        have_ += taken.size();
        bytes = bytes.subspan(taken.size());
        // Processes empty data at once, since no bytes arrive for it. A head is never empty, so the loop
        // ends.
        while (state_ == State::running && have_ == need_ && !waits_for_) understand();
    }
}

void ServerHandshake::proceed() {
    if (!waits_for_) return;
    waits_for_.reset();
    carry_out();
}

// --- elements, in order ---

void ServerHandshake::expect(Step step, std::size_t length) {
    step_ = step;
    need_ = length;
    have_ = 0;
    // Allocates only for data that a client really sends, up to longest_kept; for boot files, up to
    // longest_boot_data().
    if (step != Step::option_skipped && element_.size() < length) element_.resize(length);
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

// Accepts a client that does not set FIXED_NEWSTYLE: such a client sends EXPORT_NAME, or gets a reply.
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
    const bool boot_file =
        static_cast<Option>(option_) == Option::boot_files && directory_.boot_files() != nullptr;
    if (boot_file ? ++boot_file_options_ > most_boot_file_options : ++options_ > most_options)
        return fail("too many options");
    if (length_ > longest_option)
        return fail("option " + std::to_string(option_) + " of " + std::to_string(length_) + " bytes");
    expect_option_data();
}

void ServerHandshake::expect_option_data() {
    switch (static_cast<Option>(option_)) {
        case Option::export_name:
            // EXPORT_NAME can be refused only by closing, so the name need not be read either.
            if (length_ > longest_string) return fail("EXPORT_NAME with a name longer than 4096 bytes");
            return expect(Step::option_data, length_);
        case Option::info:
        case Option::go:
        case Option::list_meta_context:
        case Option::set_meta_context:
        case Option::session:
        case Option::host:
            return expect(length_ > longest_kept ? Step::option_skipped : Step::option_data, length_);
        case Option::boot_files:
            return expect(length_ > longest_boot_data() ? Step::option_skipped : Step::option_data, length_);
        default: return expect(Step::option_skipped, length_);  // as received: any number is possible
    }
}

void ServerHandshake::on_option_data() {
    if (calls_ == Calls::by_proceed) {
        const std::optional<std::string> name = name_in_option();
        if (name && !directory_.is_refused_at_once(*name)) {
            waits_for_ = name;
            return;
        }
    }
    carry_out();
}

// Returns the export that the option names; nullopt if the option is malformed or names none.
std::optional<std::string> ServerHandshake::name_in_option() const {
    const auto data = std::span(element_).first(length_);
    switch (static_cast<Option>(option_)) {
        case Option::export_name: return std::string(text_of(data));
        case Option::session:
            if (const auto request = decode_session_request(data); request && !claimed_)
                return std::string(request->export_name);
            return std::nullopt;
        case Option::boot_files: return boot_file_export();
        case Option::list_meta_context:
        case Option::set_meta_context: {
            const bool set = static_cast<Option>(option_) == Option::set_meta_context;
            const auto request = decode_meta_context_request(data, set ? MetaOption::set : MetaOption::list);
            return request && structured_replies_ ? std::optional(std::string(request->export_name))
                                                  : std::nullopt;
        }
        default: {
            const auto request = decode_info_request(data);
            return request ? std::optional(std::string(request->name)) : std::nullopt;
        }
    }
}

void ServerHandshake::carry_out() {
    switch (static_cast<Option>(option_)) {
        case Option::export_name: return on_export_name();  // ends the negotiation either way
        case Option::session: on_session(); break;
        case Option::host: on_host(); break;
        case Option::boot_files: on_boot_files(); break;
        case Option::list_meta_context:
        case Option::set_meta_context: on_meta_context(); break;
        default: on_info_or_go(); break;  // no other option's data is kept
    }
    if (state_ == State::running) expect(Step::option_head, sizeof(WireOption));
}

// Handles options without data, unknown options, and options longer than allowed.
void ServerHandshake::on_option_skipped() {
    expect(Step::option_head, sizeof(WireOption));
    switch (static_cast<Option>(option_)) {
        case Option::abort:
            put_reply(OptionReply::ack);  // any data was skipped
            state_ = State::ended;
            return;
        case Option::list: return on_list();
        case Option::structured_reply: return on_structured_reply();
        case Option::set_meta_context:
            allocation_of_.reset();
            return put_error(OptionReply::err_too_big, over_8_kib);
        case Option::info:
        case Option::go:
        case Option::list_meta_context: return put_error(OptionReply::err_too_big, over_8_kib);
        case Option::session: claimed_ = true; return put_error(OptionReply::err_invalid, malformed);
        case Option::host: return put_error(OptionReply::err_invalid, malformed);
        case Option::boot_files:
            if (directory_.boot_files() == nullptr)
                return put_error(OptionReply::err_unsup, "unknown option");
            return refuse_boot_file({OptionReply::err_invalid, reason_to_skip(length_)});
        default: return put_error(OptionReply::err_unsup, "unknown option");
    }
}

void ServerHandshake::on_export_name() {
    const std::string name(text_of(std::span(element_).first(length_)));
    if (has_nul(name)) return fail("EXPORT_NAME with a NUL in the name");
    const auto found = directory_.open(name);
    if (!found) return fail(found.error().text);
    // Refuses large blocks: such a client cannot be sent block sizes, and would take request errors for disk
    // errors.
    if (const std::uint32_t minimum = found->offer.block_sizes.minimum; minimum > unspoken_block)
        return fail("EXPORT_NAME cannot report the minimum block size of " + std::to_string(minimum) +
                    " bytes; use a client that sends NBD_OPT_GO");
    begin_transmission(name, found->offer);
    put(bytes_of(WireExportReply{offer_.size, offer_.flags}));
    if (!no_zeroes_) output_.resize(output_.size() + export_reply_zeroes);
}

// Sends the description after the name: text "unless explicitly documented otherwise" for a person to read.
void ServerHandshake::on_list() {
    if (length_ != 0) return put_error(OptionReply::err_invalid, "LIST takes no data");
    const auto exports = directory_.list();
    if (!exports) return put_error(exports.error().reply, exports.error().text);
    std::uint32_t listed = 0;
    for (const ListedExport& one : *exports) {
        if (one.name.empty() || one.name.size() > longest_string) continue;
        if (++listed > most_listed_exports) break;
        const be32 length(static_cast<std::uint32_t>(one.name.size()));
        std::vector<std::uint8_t> data;
        data.reserve(sizeof length + one.name.size() + one.description.size());
        data.insert(data.end(), bytes_of(length).begin(), bytes_of(length).end());
        data.insert(data.end(), one.name.begin(), one.name.end());
        data.insert(data.end(), one.description.begin(), one.description.end());
        put_reply(OptionReply::server, data);
    }
    put_reply(OptionReply::ack);
}

// Accepts a client that does not ask for block sizes: nbd-client never asks. If the minimum is not 1 the
// sizes are sent unasked, and a misaligned request is answered with an error.
void ServerHandshake::on_info_or_go() {
    const auto request = decode_info_request(std::span(element_).first(length_));
    if (!request) return put_error(OptionReply::err_invalid, malformed);
    if (request->name.size() > longest_string)
        return put_error(OptionReply::err_too_big, "the export name is longer than 4096 bytes");
    const bool go = static_cast<Option>(option_) == Option::go;
    const auto found = go ? directory_.open(request->name) : directory_.look(request->name);
    if (!found) return put_error(found.error().reply, found.error().text);
    const Offer& offer = found->offer;
    put_reply(OptionReply::info, bytes_of(WireInfoExport{static_cast<std::uint16_t>(Info::export_),
                                                         offer.size, flags_of(offer)}));
    if (request->asks_for(Info::block_size) || offer.block_sizes.minimum > 1) {
        const BlockSizes& sizes = offer.block_sizes;
        put_reply(OptionReply::info,
                  bytes_of(WireInfoBlockSize{static_cast<std::uint16_t>(Info::block_size), sizes.minimum,
                                             sizes.preferred, sizes.maximum}));
    }
    if (request->asks_for(Info::name)) put_info(Info::name, found->listed.name);
    if (request->asks_for(Info::description) && !found->listed.description.empty())
        put_info(Info::description, found->listed.description);
    put_reply(OptionReply::ack);
    if (go) begin_transmission(request->name, offer);
}

// Accepts a repeated request, which changes nothing.
void ServerHandshake::on_structured_reply() {
    if (length_ != 0) return put_error(OptionReply::err_invalid, "STRUCTURED_REPLY takes no data");
    structured_replies_ = true;
    put_reply(OptionReply::ack);
}

// Clears the selection first: "Issuing this command replaces all previously-set metadata contexts (including
// when this command fails)".
void ServerHandshake::on_meta_context() {
    const bool set = static_cast<Option>(option_) == Option::set_meta_context;
    if (set) allocation_of_.reset();
    if (!structured_replies_)
        return put_error(OptionReply::err_invalid, "meta contexts need structured replies");
    const auto request = decode_meta_context_request(std::span(element_).first(length_),
                                                     set ? MetaOption::set : MetaOption::list);
    if (!request)
        return put_error(request.error(),
                         request.error() == OptionReply::err_too_big
                             ? "a name or query is longer than 4096 bytes, or there are too many"
                             : malformed);
    if (const auto found = directory_.look(request->export_name); !found)
        return put_error(found.error().reply, found.error().text);
    if (request->base_allocation) put_context(set ? base_allocation_id : 0);
    if (request->base_allocation && set) allocation_of_ = request->export_name;
    put_reply(OptionReply::ack);
}

// Accepts the host only before the session; the outcome is part of the session's answer.
void ServerHandshake::on_host() {
    if (claimed_ || host_)
        return put_error(OptionReply::err_invalid, "the host must be sent once, before the session");
    const auto request = decode_host_request(std::span(element_).first(length_));
    if (!request) return put_error(OptionReply::err_invalid, malformed);
    host_ = *request;
    put_reply(OptionReply::ack);
}

// Accepts a single session claim, even if the first failed: a connection has only one slot in one session.
void ServerHandshake::on_session() {
    if (std::exchange(claimed_, true))
        return put_error(OptionReply::err_invalid, "the session was already sent");
    const auto request = decode_session_request(std::span(element_).first(length_));
    if (!request) return put_error(OptionReply::err_invalid, malformed);
    const auto answer = directory_.claim(*request, host_);
    if (!answer) return put_error(answer.error().reply, answer.error().text);
    std::vector<std::uint8_t> data(longest_session_answer);
    const auto length = encode(SessionAnswer{answer->boot_identity, answer->export_identity}, data);
    if (!length) return put_error(OptionReply::err_platform, "the export identity is too long");
    put_reply(OptionReply::session, std::span(data).first(*length));
    if (host_) {
        std::array<std::uint8_t, host_answer_size> flags;
        (void)encode(HostAnswer{answer->host_flags}, flags);
        put_reply(OptionReply::host, flags);
    }
    put_reply(OptionReply::ack);
}

// Memory for a piece is taken only for a client whose file was accepted. 0: the option is unknown here.
std::size_t ServerHandshake::longest_boot_data() const noexcept {
    if (directory_.boot_files() == nullptr) return 0;
    return boot_file_of_ ? longest_boot_file_option : longest_boot_command;
}

// Returns the export of the option being received; nullopt if the option is refused without blocking.
std::optional<std::string> ServerHandshake::boot_file_export() const {
    const auto request = decode_boot_file_request(std::span(element_).first(length_));
    if (!request) return std::nullopt;
    return std::visit(
        [this](const auto& command) -> std::optional<std::string> {
            if constexpr (requires { command.export_name; }) return std::string(command.export_name);
            return boot_file_of_;
        },
        *request);
}

void ServerHandshake::on_boot_files() {
    const auto request = decode_boot_file_request(std::span(element_).first(length_));
    if (directory_.boot_files() == nullptr) return put_error(OptionReply::err_unsup, "unknown option");
    if (!request) return refuse_boot_file({OptionReply::err_invalid, std::string(malformed)});
    if (const auto done = carry_out(*request); !done) return refuse_boot_file(done.error());
    ++boot_file_progress_;
    put_reply(OptionReply::ack);
}

// Refusals are few for a sound client, and each may cost a log line.
void ServerHandshake::refuse_boot_file(const Refusal& refusal) {
    if (++options_ > most_options) return fail("too many options");
    put_error(refusal.reply, refusal.text);
}

std::expected<void, Refusal> ServerHandshake::carry_out(const BootFileRequest& request) {
    BootFileReceiver& files = *directory_.boot_files();
    if (const auto* const begin = std::get_if<BootFileBegin>(&request)) return begin_boot_file(*begin);
    if (const auto* const commit = std::get_if<BootFileCommit>(&request)) return files.commit(*commit);
    if (const auto* const status = std::get_if<BootFileStatus>(&request)) {
        const auto text = files.status(*status);
        if (!text) return std::unexpected(text.error());
        put_reply(OptionReply::boot_files,
                  bytes_of_text(std::string_view(*text).substr(0, longest_boot_published)));
        return {};
    }
    if (!boot_file_of_) return std::unexpected(Refusal{OptionReply::err_invalid, std::string(wrong_order)});
    if (const auto* const piece = std::get_if<BootFilePiece>(&request)) {
        const auto taken = files.take(*piece);
        if (!taken) boot_file_of_.reset();
        return taken;
    }
    boot_file_of_.reset();
    return files.end();
}

std::expected<void, Refusal> ServerHandshake::begin_boot_file(const BootFileBegin& request) {
    boot_file_of_.reset();
    const auto state = directory_.boot_files()->begin(request);
    if (!state) return std::unexpected(state.error());
    if (!state->complete) boot_file_of_ = request.export_name;
    put_reply(OptionReply::boot_files, encode(*state));
    return {};
}

void ServerHandshake::begin_transmission(std::string_view name, const Offer& offer) {
    offer_ = offer;
    offer_.flags = flags_of(offer);
    offer_.structured_replies = structured_replies_;
    // Compares the names: "it referred to the same export name that was ultimately selected".
    offer_.block_status = allocation_of_ == name;
    export_name_ = name;
    state_ = State::transmission;
}

// DF "MUST" be left clear "if structured replies have not been negotiated".
std::uint16_t ServerHandshake::flags_of(const Offer& offer) const noexcept {
    const int negotiated = structured_replies_ ? flag_send_df : 0;
    return static_cast<std::uint16_t>(offer.flags | flag_has_flags | negotiated);
}

// --- output ---

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

void ServerHandshake::put_info(Info type, std::string_view text) {
    const be16 number(static_cast<std::uint16_t>(type));
    std::vector<std::uint8_t> data(bytes_of(number).begin(), bytes_of(number).end());
    data.insert(data.end(), text.begin(), text.end());
    put_reply(OptionReply::info, data);
}

void ServerHandshake::put_context(std::uint32_t id) {
    const be32 number(id);
    std::vector<std::uint8_t> data(bytes_of(number).begin(), bytes_of(number).end());
    data.insert(data.end(), base_allocation.begin(), base_allocation.end());
    put_reply(OptionReply::meta_context, data);
}

}  // namespace holdfast::nbd
