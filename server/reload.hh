// One reload of the configuration, from the question for its files to the last listener, as a loop carries it
// out. It never waits for the opener, for a file system or for a name service.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/config/config_file.hh"
#include "server/opener/opener_link.hh"

namespace holdfast::server {

class Reload {
public:
    using Clock = std::chrono::steady_clock;
    // Whether sockets for the endpoint are there already.
    using Has = std::function<bool(const Endpoint&)>;
    static constexpr std::chrono::seconds patience{30};

    // The new configuration, in force in both processes once the server has sent commit. `sockets` has those
    // of the listeners that had none, by their numbers.
    struct Result {
        LoadedConfig loaded;
        std::map<std::size_t, std::vector<Fd>> sockets;
    };

    // `options` and `opener` must outlive it.
    Reload(const Options& options, OpenerLink& opener, Has has)
        : options_(options), opener_(opener), has_(std::move(has)) {}

    // Asks the first question. The error: why the reload has failed.
    [[nodiscard]] std::expected<void, std::string> begin();
    // To be watched for reading; changes with go_on().
    [[nodiscard]] int fd() const noexcept { return question_.fd(); }
    [[nodiscard]] Clock::time_point deadline() const noexcept { return deadline_; }
    // Takes what is there. nullopt: it goes on, watch fd() anew if `asked` was set. Nothing is in force yet.
    [[nodiscard]] std::optional<std::expected<Result, std::string>> go_on(bool& asked);
    // Why it has failed, after the deadline.
    [[nodiscard]] std::string lateness() const;

private:
    [[nodiscard]] std::expected<void, std::string> ask(std::expected<OpenerQuestion, std::string> question);
    [[nodiscard]] std::expected<void, std::string> take(OpenerOutcome answer);
    // False: there is no listener left without sockets.
    [[nodiscard]] std::expected<bool, std::string> ask_next();

    const Options& options_;
    OpenerLink& opener_;
    const Has has_;
    const Clock::time_point deadline_ = Clock::now() + patience;
    bool read_ = false;  // the files have been
    OpenerQuestion question_;
    std::size_t number_ = 0;  // of the listener that is asked for; valid only if `read_`
    Result result_;
};

}  // namespace holdfast::server
