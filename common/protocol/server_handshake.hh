// The server's half of the fixed newstyle handshake, as a machine of bytes in and bytes out.
// It holds at most one option at a time, at most a few KiB of it, and counts the options: a client cannot make it grow.
// It asks for exactly the bytes that it is about to understand, so nothing that a client sends early is taken too early.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/protocol/constants.hh"
#include "common/protocol/transmission.hh"
#include "common/protocol/wire.hh"

namespace holdfast::nbd {

// A refusal that the client is told.
struct Refusal {
    OptionReply reply = OptionReply::err_unknown;  // one of the errors
    std::string text;                              // for a person; cut at longest_string
};

// What the handshake asks of the server around it. Called from within receive(); may block (it opens devices).
class ExportDirectory {
public:
    virtual ~ExportDirectory() = default;
    // The names that this client may know of. The default export of a port has the name "" and is not listed.
    [[nodiscard]] virtual std::vector<std::string> list() = 0;
    // NBD_OPT_INFO: what the export would offer, without taking it into use.
    [[nodiscard]] virtual std::expected<Offer, Refusal> look(std::string_view name) = 0;
    // NBD_OPT_GO and EXPORT_NAME: takes the export into use for this connection.
    [[nodiscard]] virtual std::expected<Offer, Refusal> open(std::string_view name) = 0;
};

class ServerHandshake {
public:
    enum class State : std::uint8_t {
        running,
        transmission,  // after the output is sent, requests follow
        ended,         // the client said ABORT: after the output is sent, close
        failed,        // the client broke the protocol, or was refused by EXPORT_NAME: send the output, close
    };

    // `directory` must outlive the machine.
    explicit ServerHandshake(ExportDirectory& directory);

    [[nodiscard]] std::span<const std::uint8_t> output() const noexcept;
    void sent(std::size_t count) noexcept;
    [[nodiscard]] std::size_t wanted() const noexcept;
    void receive(std::span<const std::uint8_t> bytes);

    [[nodiscard]] State state() const noexcept { return state_; }
    // Valid in transmission.
    [[nodiscard]] const Offer& offer() const noexcept { return offer_; }
    [[nodiscard]] const std::string& export_name() const noexcept { return export_name_; }
    // Valid when failed: why, for the log.
    [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

private:
    // (the implementation's own state goes here)
    State state_ = State::running;
    Offer offer_;
    std::string export_name_;
    std::string reason_;
};

}  // namespace holdfast::nbd
