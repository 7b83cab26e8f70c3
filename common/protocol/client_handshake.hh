// The client's half of the fixed newstyle handshake, as a machine of bytes in and bytes out.
// Allocates nothing and knows no sockets: the daemon of a dead root disk runs it. It asks for exactly the
// bytes that it is about to understand, so that what follows the handshake stays in the socket for the
// kernel.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "common/protocol/constants.hh"
#include "common/protocol/session_option.hh"
#include "common/protocol/transmission.hh"
#include "common/protocol/wire.hh"

namespace holdfast::nbd {

// Who says GO, to a server that fences: the connections of this session and slot with a lower generation are
// dead, once the server has answered; and with `host`, those of the host's older attachments.
struct SessionClaim {
    Uuid session{};
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    std::optional<HostRequest> host{};  // for writable use only
};

class ClientHandshake {
public:
    enum class Goal : std::uint8_t {
        go,    // enter transmission: NBD_OPT_GO, or EXPORT_NAME where the server does not know GO
        info,  // only look: NBD_OPT_INFO, then ABORT
        list,  // NBD_OPT_LIST, then ABORT
    };
    enum class State : std::uint8_t {
        running,
        done,  // go: the socket is in transmission. info, list: the answer is here and ABORT is in output()
        refused,  // the server said no: refusal() and text() say what, and ABORT is in output()
        failed,   // the server broke the protocol, or cannot do what is asked: text() says what
    };
    // Called once for each export of a LIST, with its name and description; the views live during the call.
    using ListSink = std::function<void(std::string_view name, std::string_view description)>;

    // `export_name` is copied. A name over longest_string makes a machine that has failed. A claim is made
    // before GO or INFO; a server that does not know it is asked all the same, and session() says so. With
    // INFO, a claim of a session of one's own asks which disk the export is, and one of a session that is in
    // use fences its connections without making a new one.
    ClientHandshake(Goal goal, std::string_view export_name, std::optional<SessionClaim> claim = {}) noexcept;
    ClientHandshake(ListSink sink) noexcept;

    // Bytes to send, and the note that `count` of them were sent. Send before receiving.
    [[nodiscard]] std::span<const std::uint8_t> output() const noexcept;
    void sent(std::size_t count) noexcept;

    // How many bytes the machine can take now: read at most so many. 0 when it is not running.
    [[nodiscard]] std::size_t wanted() const noexcept;
    // Takes at most wanted() bytes.
    void receive(std::span<const std::uint8_t> bytes) noexcept;

    [[nodiscard]] State state() const noexcept { return state_; }
    // Valid when done, for go and info.
    [[nodiscard]] const Offer& offer() const noexcept { return offer_; }
    // Whether the server named block sizes; without, offer() has the specification's defaults.
    [[nodiscard]] bool block_sizes_given() const noexcept { return block_sizes_given_; }
    // Valid when done: the server's answer to the claim; nullopt where none was made, or the server does not
    // know what it is. The text lives in the machine, and is as the server sent it.
    [[nodiscard]] std::optional<SessionAnswer> session() const noexcept;
    // Valid when done: nullopt where the claim named no host, or the server does not know what that is.
    [[nodiscard]] std::optional<HostAnswer> host() const noexcept { return host_answer_; }
    // Valid when refused.
    [[nodiscard]] OptionReply refusal() const noexcept { return refusal_; }
    // The server's words when refused (what fits; control characters as they came), our reason when failed.
    [[nodiscard]] std::string_view text() const noexcept;

private:
    // What the next bytes are: an element is collected whole, understood, and followed by another.
    enum class Step : std::uint8_t {
        greeting,
        export_reply,  // the answer to EXPORT_NAME
        reply_head,
        session_answer,
        host_answer,
        info_type,  // an INFO reply begins with its type
        info_export,
        info_block_size,
        error_text,        // as much of it as text_ holds
        list_name_length,  // a SERVER reply: length, name, description
        list_name,
        list_description,  // as much of it as element_ holds
        discard,           // bytes that say nothing to us; then after_discard_
    };
    // What a reply that is over, discarded bytes included, leads to.
    enum class Then : std::uint8_t { next_reply, enter, refuse };

    static constexpr std::size_t longest_description = 1024;
    static constexpr std::size_t longest_text = 1024;
    // Everything that one handshake ever sends: flags, the host, the claim, GO, EXPORT_NAME in its stead, and
    // ABORT.
    static constexpr std::size_t most_output = sizeof(be32) + (sizeof(WireOption) + host_request_size) +
                                               (sizeof(WireOption) + longest_session_request) +
                                               (sizeof(WireOption) + 8 + longest_string) +
                                               (sizeof(WireOption) + longest_string) + sizeof(WireOption);

    void expect(Step step, std::size_t length) noexcept;
    void discard(std::size_t length, Then then) noexcept;
    void proceed(Then then) noexcept;
    void fail(const char* reason) noexcept;
    void finish(State state) noexcept;

    void understand() noexcept;
    void on_greeting() noexcept;
    void on_export_reply() noexcept;
    void on_reply_head() noexcept;
    void on_error_reply(OptionReply type, std::uint32_t length) noexcept;
    void on_acknowledged() noexcept;
    void on_claim_reply(OptionReply type, std::uint32_t length) noexcept;
    void on_session_answer() noexcept;
    void on_host_answer() noexcept;
    void on_info_type() noexcept;
    void on_info_block_size() noexcept;
    void on_list_name_length() noexcept;
    void on_list_name() noexcept;
    void on_list_description() noexcept;
    void take_export(std::uint64_t size, std::uint16_t flags) noexcept;

    void put(std::span<const std::uint8_t> bytes) noexcept;
    void put_option(Option option, std::size_t length) noexcept;
    void ask() noexcept;
    void name_host() noexcept;
    void ask_for_session() noexcept;
    void ask_for_export() noexcept;
    void ask_by_export_name() noexcept;
    [[nodiscard]] std::string_view export_name() const noexcept { return {name_.data(), name_length_}; }

    Goal goal_;
    State state_ = State::running;
    Offer offer_;
    bool block_sizes_given_ = false;
    OptionReply refusal_{};

    std::optional<SessionClaim> claim_;
    std::optional<Uuid> boot_identity_;                   // the server has answered the claim
    std::array<char, longest_string> export_identity_{};  // gives meaning to boot_identity_
    std::size_t export_identity_length_ = 0;
    bool host_known_ = false;  // the server has acknowledged the host
    std::optional<HostAnswer> host_answer_;

    ListSink sink_;                            // list
    std::array<char, longest_string> name_{};  // go, info
    std::size_t name_length_ = 0;

    Step step_ = Step::greeting;
    std::size_t need_ = sizeof(WireGreeting);  // the length of the element
    std::size_t have_ = 0;                     // how much of it is here
    std::array<std::uint8_t, longest_string + longest_description> element_{};
    Then after_discard_ = Then::next_reply;

    Option asked_{};              // the option that is being answered
    std::size_t reply_left_ = 0;  // of a reply's data, what comes after the element
    std::uint32_t replies_ = 0;   // how many came for it
    std::size_t list_name_length_ = 0;
    bool export_given_ = false;  // INFO_EXPORT has come
    bool no_zeroes_ = false;

    std::array<char, longest_text> text_{};  // the server's, when refused
    std::size_t text_length_ = 0;
    const char* reason_ = "";  // ours, when failed

    std::array<std::uint8_t, most_output> output_{};
    std::size_t written_ = 0;
    std::size_t sent_ = 0;
};

// "NBD_REP_ERR_POLICY: the server does not allow it", for messages.
[[nodiscard]] const char* describe(OptionReply refusal) noexcept;

}  // namespace holdfast::nbd
