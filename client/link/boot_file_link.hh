// Connection to the server of an attached device, beside the device's own, that hands in boot files
// (boot_file_option.hh). Blocks until a deadline; for commands only, never for the daemon.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/link/endpoint.hh"
#include "client/link/link.hh"
#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/protocol/boot_file_option.hh"

namespace holdfast::client {

struct BootFileError {
    LinkFault fault = LinkFault::unreachable;
    nbd::OptionReply reply{};  // valid only if refused
    std::string text;          // printable
};

class BootFileLink {
public:
    // Connects to the server; `session` uses `export_name` there for writing. `end` bounds everything that
    // the link does, also while the server goes on sending; a single answer has a bound of its own.
    [[nodiscard]] static std::expected<BootFileLink, BootFileError> open(const Endpoint& server,
                                                                         const nbd::Uuid& session,
                                                                         std::string export_name,
                                                                         Deadline end);
    [[nodiscard]] std::expected<nbd::BootFileState, BootFileError> begin(const nbd::Digest& sha256,
                                                                         std::uint64_t size);
    [[nodiscard]] std::expected<void, BootFileError> send(std::uint64_t offset,
                                                          std::span<const std::uint8_t> piece);
    [[nodiscard]] std::expected<void, BootFileError> end();
    [[nodiscard]] std::expected<void, BootFileError> commit(std::string_view manifest);
    // Returns the text of `published`; empty: none yet.
    [[nodiscard]] std::expected<std::string, BootFileError> status();

private:
    using Data = std::vector<std::uint8_t>;

    BootFileLink(Fd socket, const nbd::Uuid& session, std::string export_name, Deadline end)
        : socket_(std::move(socket)), session_(session), export_name_(std::move(export_name)), end_(end) {}

    // Begins an exchange, which ends within `patience`, and by `end_`.
    void begin_exchange(std::chrono::seconds patience);
    // Bounds the next call on the socket (SO_SNDTIMEO, SO_RCVTIMEO) by the end of the exchange; false: it is
    // over.
    [[nodiscard]] bool bound_next(int option) const;

    // Sends the request and returns the data of the reply before the ACK; empty: there was none.
    [[nodiscard]] std::expected<Data, BootFileError> ask(const nbd::BootFileRequest& request);
    [[nodiscard]] std::expected<void, BootFileError> send_all(std::span<const std::uint8_t> bytes) const;
    [[nodiscard]] std::expected<Data, BootFileError> receive(std::size_t size) const;

    Fd socket_;
    nbd::Uuid session_{};
    std::string export_name_;
    Deadline end_;
    Deadline exchange_end_ = end_;
};

}  // namespace holdfast::client
