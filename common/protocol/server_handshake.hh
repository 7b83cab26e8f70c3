// The server's half of the fixed newstyle handshake, as a state machine: bytes in, bytes out. The handshake
// holds at most one option at a time, a few KiB long, and limits the number of options: a client cannot make
// the handshake grow. It asks for exactly the bytes of the next element, so data that a client sends early is
// not consumed too early.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/protocol/boot_file_option.hh"
#include "common/protocol/constants.hh"
#include "common/protocol/session_option.hh"
#include "common/protocol/transmission.hh"
#include "common/protocol/wire.hh"

namespace holdfast::nbd {

// An error reply for the client.
struct Refusal {
    OptionReply reply = OptionReply::err_unknown;  // an error code
    std::string text;                              // for a person; cut at longest_string
};

// Answer to a client whose session claim was accepted.
struct ClaimAnswer {
    Uuid boot_identity{};          // boot identity of the server machine
    std::string export_identity;   // at most longest_string, without a NUL
    std::uint32_t host_flags = 0;  // see session_option.hh; sent only to a client that named its host
};

// An export as listed to clients.
struct ListedExport {
    std::string name;         // as configured; 1 to longest_string bytes
    std::string description;  // for a person, at most longest_string bytes; may be empty

    bool operator==(const ListedExport&) const = default;
};

struct OfferedExport {
    Offer offer;  // structured replies and their features are added by the handshake
    ListedExport listed;
};

// Takes a host's boot files (boot_file_option.hh): at most one file at a time, in pieces. Called from within
// receive() or proceed(); may block. The handshake sees to the order: a piece or an end comes only after a
// begin() that wants the file, and before its end.
class BootFileReceiver {
public:
    virtual ~BootFileReceiver() = default;
    // Abandons an earlier file that has not ended; its bytes are kept for a later begin().
    [[nodiscard]] virtual std::expected<BootFileState, Refusal> begin(const BootFileBegin& request) = 0;
    // After a refusal the file is over.
    [[nodiscard]] virtual std::expected<void, Refusal> take(const BootFilePiece& piece) = 0;
    [[nodiscard]] virtual std::expected<void, Refusal> end() = 0;
    [[nodiscard]] virtual std::expected<void, Refusal> commit(const BootFileCommit& request) = 0;
    // Returns the text of `published`, at most longest_boot_published bytes.
    [[nodiscard]] virtual std::expected<std::string, Refusal> status(const BootFileStatus& request) = 0;
};

// Server functions that the handshake needs. Called from within receive(); may block (opens devices).
class ExportDirectory {
public:
    virtual ~ExportDirectory() = default;
    // True if look(), claim() and open() refuse this name without blocking.
    [[nodiscard]] virtual bool is_refused_at_once(std::string_view /*name*/) { return false; }
    // Returns the exports visible to this client, or the reason for showing none. The default export's alias
    // "" is not listed.
    [[nodiscard]] virtual std::expected<std::vector<ListedExport>, Refusal> list() = 0;
    // For NBD_OPT_INFO and the meta contexts: returns the export's offer without opening the export for use.
    [[nodiscard]] virtual std::expected<OfferedExport, Refusal> look(std::string_view name) = 0;
    // For the session option, at most once. Returns once the session's older connections to the export are
    // fenced: nothing that they sent will reach the export any more. The next open() of the same export
    // belongs to the session. `host`, if given: the host's older attachments are fenced, too.
    [[nodiscard]] virtual std::expected<ClaimAnswer, Refusal> claim(
        const SessionRequest& request, const std::optional<HostRequest>& host) = 0;
    // For NBD_OPT_GO and EXPORT_NAME: opens the export for this connection.
    [[nodiscard]] virtual std::expected<OfferedExport, Refusal> open(std::string_view name) = 0;
    // nullptr: boot files are an unknown option. Otherwise refuses names that is_refused_at_once() refuses
    // without blocking, and must outlive the handshake.
    [[nodiscard]] virtual BootFileReceiver* boot_files() { return nullptr; }
};

class ServerHandshake {
public:
    enum class State : std::uint8_t {
        running,
        transmission,  // requests follow once the output is sent
        ended,         // the client sent ABORT: close once the output is sent
        failed,        // protocol error by the client, or EXPORT_NAME refused: send the output, then close
    };

    // Whether receive() makes calls that may block, or leaves them to proceed().
    enum class Calls : std::uint8_t { at_once, by_proceed };

    // `directory` must outlive the handshake.
    explicit ServerHandshake(ExportDirectory& directory, Calls calls = Calls::at_once);

    [[nodiscard]] std::span<const std::uint8_t> output() const noexcept;
    void sent(std::size_t count) noexcept;
    [[nodiscard]] std::size_t wanted() const noexcept;
    void receive(std::span<const std::uint8_t> bytes);

    // With Calls::by_proceed: set when a complete option asks for this export; wanted() is then 0 until
    // proceed(), which may block.
    [[nodiscard]] const std::optional<std::string>& waits_for() const noexcept { return waits_for_; }
    void proceed();

    // Number of boot file commands that were carried out: changes only if the client has made progress.
    [[nodiscard]] std::uint32_t boot_file_progress() const noexcept { return boot_file_progress_; }

    [[nodiscard]] State state() const noexcept { return state_; }
    // Valid in transmission.
    [[nodiscard]] const Offer& offer() const noexcept { return offer_; }
    [[nodiscard]] const std::string& export_name() const noexcept { return export_name_; }
    // Reason for the log; valid when failed.
    [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

private:
    // Kind of the element being read. Each element is collected whole, then processed, and selects the next.
    enum class Step : std::uint8_t {
        client_flags,
        option_head,
        option_data,     // data of a known option
        option_skipped,  // data of an unknown option: counted, not kept
    };
    // Longest data of a known option: a name and some information requests or queries.
    static constexpr std::size_t longest_kept = 8 << 10;

    void expect(Step step, std::size_t length);
    void fail(std::string reason);

    void understand();
    void on_client_flags();
    void on_option_head();
    void expect_option_data();
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
    void on_boot_files();
    [[nodiscard]] std::expected<void, Refusal> carry_out(const BootFileRequest& request);
    [[nodiscard]] std::expected<void, Refusal> begin_boot_file(const BootFileBegin& request);
    void refuse_boot_file(const Refusal& refusal);
    [[nodiscard]] std::size_t longest_boot_data() const noexcept;
    [[nodiscard]] std::optional<std::string> boot_file_export() const;
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
    std::size_t need_ = sizeof(be32);    // length of the element
    std::size_t have_ = 0;               // bytes of the element received
    std::vector<std::uint8_t> element_;  // as long as the longest element so far
    std::uint32_t option_ = 0;           // code of the current option, as received
    std::uint32_t length_ = 0;           // length of the option's data
    unsigned options_ = 0;               // number of options received
    bool no_zeroes_ = false;
    bool claimed_ = false;             // the session option was received
    std::optional<HostRequest> host_;  // set once the host option was received
    bool structured_replies_ = false;
    std::optional<std::string> allocation_of_;  // export for which base:allocation is selected
    std::optional<std::string> boot_file_of_;   // export of the boot file that is being received
    std::uint32_t boot_file_options_ = 0;       // number of boot file options received
    std::uint32_t boot_file_progress_ = 0;

    std::vector<std::uint8_t> output_;
    std::size_t sent_ = 0;
};

}  // namespace holdfast::nbd
