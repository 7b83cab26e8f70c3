// A reload of the configuration, from the request for its files to the last listener, as steps of an event
// loop. Never waits for the opener, a file system or a name service.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/linux/clock.hh"
#include "server/config/config_file.hh"
#include "server/opener/opener_client.hh"

namespace holdfast::server {

class Reload {
public:
    // Whether sockets for the endpoint exist already.
    using Has = std::function<bool(const Endpoint&)>;
    static constexpr std::chrono::seconds patience{30};

    // The new configuration, in force in both processes once the server has sent commit. `sockets` has the
    // new sockets of the listeners that had none, by listener number.
    struct Result {
        LoadedConfig loaded;
        std::map<std::size_t, std::vector<Fd>> sockets;
    };

    // `options` and `opener` must outlive this object.
    Reload(const Options& options, OpenerClient& opener, Has has)
        : options_(options), opener_(opener), has_(std::move(has)) {}

    // Sends the first request. The error: why the reload has failed.
    [[nodiscard]] std::expected<void, std::string> begin();
    // Watch for reading; changes with go_on().
    [[nodiscard]] int fd() const noexcept { return question_.fd(); }
    [[nodiscard]] Deadline deadline() const noexcept { return deadline_; }
    // Reads the available bytes. nullopt: the reload continues; watch fd() anew if `asked` was set. Nothing
    // is in force yet.
    [[nodiscard]] std::optional<std::expected<Result, std::string>> go_on(bool& asked);
    // Explains the failure, after the deadline.
    [[nodiscard]] std::string lateness() const;

private:
    [[nodiscard]] std::expected<void, std::string> ask(std::expected<OpenerQuestion, std::string> question);
    [[nodiscard]] std::expected<void, std::string> take(OpenerOutcome answer);
    // Returns false if every listener has sockets.
    [[nodiscard]] std::expected<bool, std::string> ask_next();

    const Options& options_;
    OpenerClient& opener_;
    const Has has_;
    const Clock::time_point deadline_ = Clock::now() + patience;
    bool read_ = false;  // the files have been read
    OpenerQuestion question_;
    std::size_t number_ = 0;  // number of the listener being requested; valid only if `read_`
    Result result_;
};

}  // namespace holdfast::server
