// The server's half of the fixed newstyle handshake, as a machine of bytes in and bytes out.
// It holds at most one option at a time, at most a few KiB of it, and counts the options: a client cannot
// make it grow. It asks for exactly the bytes that it is about to understand, so nothing that a client sends
// early is taken too early.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/protocol/constants.hh"
#include "common/protocol/session_option.hh"
#include "common/protocol/transmission.hh"
#include "common/protocol/wire.hh"

namespace holdfast::nbd {

// A refusal that the client is told.
struct Refusal {
    OptionReply reply = OptionReply::err_unknown;  // one of the errors
    std::string text;                              // for a person; cut at longest_string
};

// What a client is told whose session was taken up.
struct ClaimAnswer {
    Uuid boot_identity{};          // of this machine
    std::string export_identity;   // at most longest_string, without a NUL
    std::uint32_t host_flags = 0;  // see session_option.hh; sent only to a client that named its host
};

// An export as its clients see it listed.
struct ListedExport {
    std::string name;         // as the configuration has it; 1 to longest_string bytes
    std::string description;  // for a person, at most longest_string bytes; empty: none

    bool operator==(const ListedExport&) const = default;
};

struct OfferedExport {
    Offer
        offer;  // what the handshake negotiates (structured replies and what comes with them) it adds itself
    ListedExport listed;
};

// What the handshake asks of the server around it. Called from within receive(); may block (it opens
// devices).
class ExportDirectory {
public:
    virtual ~ExportDirectory() = default;
    // Whether look(), claim() and open() refuse this name without waiting for anything.
    [[nodiscard]] virtual bool is_refused_at_once(std::string_view /*name*/) { return false; }
    // The exports that this client may know of, or why it may know none. That the default export of a port
    // has the name "", too, is not listed.
    [[nodiscard]] virtual std::expected<std::vector<ListedExport>, Refusal> list() = 0;
    // NBD_OPT_INFO, and the meta contexts: what the export would offer, without taking it into use.
    [[nodiscard]] virtual std::expected<OfferedExport, Refusal> look(std::string_view name) = 0;
    // The session option, at most once. Returns when the session's older connections to the export are
    // fenced: nothing that they sent will touch it any more. The next open() of the same export belongs to
    // the session. `host`: the client has named it; its older attachments are fenced, too.
    [[nodiscard]] virtual std::expected<ClaimAnswer, Refusal> claim(
        const SessionRequest& request, const std::optional<HostRequest>& host) = 0;
    // NBD_OPT_GO and EXPORT_NAME: takes the export into use for this connection.
    [[nodiscard]] virtual std::expected<OfferedExport, Refusal> open(std::string_view name) = 0;
};

class ServerHandshake {
public:
    enum class State : std::uint8_t {
        running,
        transmission,  // after the output is sent, requests follow
        ended,         // the client said ABORT: after the output is sent, close
        failed,        // the client broke the protocol, or was refused by EXPORT_NAME: send the output, close
    };

    // Whether receive() calls what may wait, or leaves that to proceed().
    enum class Calls : std::uint8_t { at_once, by_proceed };

    // `directory` must outlive the machine.
    explicit ServerHandshake(ExportDirectory& directory, Calls calls = Calls::at_once);

    [[nodiscard]] std::span<const std::uint8_t> output() const noexcept;
    void sent(std::size_t count) noexcept;
    [[nodiscard]] std::size_t wanted() const noexcept;
    void receive(std::span<const std::uint8_t> bytes);

    // With Calls::by_proceed: an option has come whole that asks for this export, and nothing more is wanted
    // before proceed(), which may block.
    [[nodiscard]] const std::optional<std::string>& waits_for() const noexcept { return waits_for_; }
    void proceed();

    [[nodiscard]] State state() const noexcept { return state_; }
    // Valid in transmission.
    [[nodiscard]] const Offer& offer() const noexcept { return offer_; }
    [[nodiscard]] const std::string& export_name() const noexcept { return export_name_; }
    // Valid when failed: why, for the log.
    [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

private:
    // What the next bytes are: an element is collected whole, understood, and followed by another.
    enum class Step : std::uint8_t {
        client_flags,
        option_head,
        option_data,     // of an option that we understand
        option_skipped,  // the data of any other: counted off, not kept
    };
    // No option that we understand is longer: a name and some information requests or queries.
    static constexpr std::size_t longest_kept = 8 << 10;

    void expect(Step step, std::size_t length);
    void fail(std::string reason);

    void understand();
    void on_client_flags();
    void on_option_head();
    void on_option_data();
    [[nodiscard]] std::optional<std::string> name_in_option() const;
    void carry_out();
    void on_option_skipped();
    void on_export_name();
    void on_list();
    void on_info_or_go();
    void on_host();
    void on_session();
    void on_structured_reply();
    void on_meta_context();
    void begin_transmission(std::string_view name, const Offer& offer);
    [[nodiscard]] std::uint16_t flags_of(const Offer& offer) const noexcept;

    void put(std::span<const std::uint8_t> bytes);
    void put_reply(OptionReply type, std::span<const std::uint8_t> data = {});
    void put_error(OptionReply type, std::string_view text);
    void put_info(Info type, std::string_view text);
    void put_context(std::uint32_t id);

    ExportDirectory& directory_;
    const Calls calls_;
    std::optional<std::string> waits_for_;
    State state_ = State::running;
    Offer offer_;
    std::string export_name_;
    std::string reason_;

    Step step_ = Step::client_flags;
    std::size_t need_ = sizeof(be32);    // the length of the element
    std::size_t have_ = 0;               // how much of it is here
    std::vector<std::uint8_t> element_;  // longest_kept bytes, allocated once
    std::uint32_t option_ = 0;           // the option that is being read, as it came
    std::uint32_t length_ = 0;           // of its data
    unsigned options_ = 0;               // how many came
    bool no_zeroes_ = false;
    bool claimed_ = false;             // the session option has come
    std::optional<HostRequest> host_;  // the host option has come
    bool structured_replies_ = false;
    std::optional<std::string> allocation_of_;  // the export for which base:allocation is selected

    std::vector<std::uint8_t> output_;
    std::size_t sent_ = 0;
};

}  // namespace holdfast::nbd
