// The client's half of the fixed newstyle handshake, as a state machine: bytes in, bytes out. Allocates
// nothing and uses no sockets, since the daemon of an unreachable root disk runs the handshake. Asks for
// exactly the bytes of the next element, so that data after the handshake stays in the socket for the kernel.
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

// Identifies the client of GO to a server that fences: once the server has answered, the connections of this
// session and slot with a lower generation are dead; with `host`, those of the host's older attachments, too.
struct SessionClaim {
    Uuid session{};
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    std::optional<HostRequest> host{};  // for writable use only
};

class ClientHandshake {
public:
    enum class Goal : std::uint8_t {
        go,    // enter transmission: NBD_OPT_GO, or EXPORT_NAME if the server does not know GO
        info,  // query only: NBD_OPT_INFO, then ABORT
        list,  // NBD_OPT_LIST, then ABORT
    };
    enum class State : std::uint8_t {
        running,
        done,     // go: the socket is in transmission. info, list: the answer is complete and ABORT is in
                  // output()
        refused,  // the server refused: see refusal() and text(); ABORT is in output()
        failed,   // the server broke the protocol or lacks a required feature: see text()
    };
    // Called for each export of a LIST with its name and description; the views are valid during the call.
    using ListSink = std::function<void(std::string_view name, std::string_view description)>;

    // `export_name` is copied; if longer than longest_string, the handshake starts in state failed. A claim
    // is sent before GO or INFO; with a server that does not know claims the handshake continues anyway, and
    // session() is empty. With INFO, a claim of a separate session queries the disk's identity, and a claim
    // of a session in use fences that session's connections without opening a new connection.
    ClientHandshake(Goal goal, std::string_view export_name, std::optional<SessionClaim> claim = {}) noexcept;
    ClientHandshake(ListSink sink) noexcept;

    // Bytes to send; sent() reports that `count` of them were sent. Send before receiving.
    [[nodiscard]] std::span<const std::uint8_t> output() const noexcept;
    void sent(std::size_t count) noexcept;

    // Maximum number of bytes to read now. 0 when the handshake is not running.
    [[nodiscard]] std::size_t wanted() const noexcept;
    // Takes at most wanted() bytes.
    void receive(std::span<const std::uint8_t> bytes) noexcept;

    [[nodiscard]] State state() const noexcept { return state_; }
    // Valid when done, for go and info.
    [[nodiscard]] const Offer& offer() const noexcept { return offer_; }
    // True if the server sent block sizes; otherwise offer() has the specification's defaults.
    [[nodiscard]] bool block_sizes_given() const noexcept { return block_sizes_given_; }
    // Valid when done: the server's answer to the claim; nullopt if no claim was made or the server does not
    // know claims. The text is stored in the handshake, as received from the server.
    [[nodiscard]] std::optional<SessionAnswer> session() const noexcept;
    // Valid when done: nullopt if the claim named no host or the server does not know the host option.
    [[nodiscard]] std::optional<HostAnswer> host() const noexcept { return host_answer_; }
    // Valid when refused.
    [[nodiscard]] OptionReply refusal() const noexcept { return refusal_; }
    // When refused, the server's text (truncated to fit; control characters unchanged); when failed, the
    // client's reason.
    [[nodiscard]] std::string_view text() const noexcept;

private:
    // Kind of the element being read. Each element is collected whole, then processed, and selects the next.
    enum class Step : std::uint8_t {
        greeting,
        export_reply,  // answer to EXPORT_NAME
        reply_head,
        session_answer,
        host_answer,
        info_type,  // type at the start of an INFO reply
        info_export,
        info_block_size,
        error_text,        // truncated to the size of text_
        list_name_length,  // a SERVER reply: length, name, description
        list_name,
        list_description,  // truncated to the size of element_
        discard,           // ignored bytes; then after_discard_
    };
    // Next action after a reply, including its discarded bytes.
    enum class Then : std::uint8_t { next_reply, enter, refuse };

    static constexpr std::size_t longest_description = 1024;
    static constexpr std::size_t longest_text = 1024;
    // Maximum output of a handshake: flags, host, claim, GO, EXPORT_NAME instead of GO, and ABORT.
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
    void on_info_export() noexcept;
    void on_reply_head() noexcept;
    void on_data_reply(OptionReply type, std::uint32_t length) noexcept;
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
    std::optional<Uuid> boot_identity_;                   // set once the server has answered the claim
    std::array<char, longest_string> export_identity_{};  // valid only with boot_identity_
    std::size_t export_identity_length_ = 0;
    bool host_known_ = false;  // the server acknowledged the host
    std::optional<HostAnswer> host_answer_;

    ListSink sink_;                            // for list
    std::array<char, longest_string> name_{};  // for go and info
    std::size_t name_length_ = 0;

    Step step_ = Step::greeting;
    std::size_t need_ = sizeof(WireGreeting);  // length of the element
    std::size_t have_ = 0;                     // bytes of the element received
    std::array<std::uint8_t, longest_string + longest_description> element_{};
    Then after_discard_ = Then::next_reply;

    Option asked_{};              // option awaiting its answer
    std::size_t reply_left_ = 0;  // bytes of the reply's data after the element
    std::uint32_t replies_ = 0;   // number of replies to the option
    std::size_t list_name_length_ = 0;
    bool export_given_ = false;  // INFO_EXPORT was received
    bool no_zeroes_ = false;

    std::array<char, longest_text> text_{};  // the server's text, when refused
    std::size_t text_length_ = 0;
    const char* reason_ = "";  // the client's reason, when failed

    std::array<std::uint8_t, most_output> output_{};
    std::size_t written_ = 0;
    std::size_t sent_ = 0;
};

// "NBD_REP_ERR_POLICY: the server does not allow it", for messages.
[[nodiscard]] const char* describe(OptionReply refusal) noexcept;

}  // namespace holdfast::nbd
