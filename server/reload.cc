// Sends requests in sequence: for the files, then for sockets of each new listener.

#include "server/reload.hh"

#include <fmt/core.h>

#include <utility>

namespace holdfast::server {

std::expected<void, std::string> Reload::ask(std::expected<OpenerQuestion, std::string> question) {
    if (!question) return std::unexpected(std::move(question.error()));
    question_ = std::move(*question);
    return {};
}

std::expected<void, std::string> Reload::begin() { return ask(opener_.ask_reload()); }

std::optional<std::expected<Reload::Result, std::string>> Reload::go_on(bool& asked) {
    std::optional<OpenerOutcome> answer = question_.take();
    if (!answer) return std::nullopt;
    if (auto taken = take(std::move(*answer)); !taken) return std::unexpected(std::move(taken.error()));
    if (!result_.loaded.errors.empty()) return std::move(result_);
    const std::expected<bool, std::string> next = ask_next();
    if (!next) return std::unexpected(next.error());
    asked = *next;
    if (!asked) return std::move(result_);
    return std::nullopt;
}

std::expected<void, std::string> Reload::take(OpenerOutcome answer) {
    if (!read_) {
        const std::expected<ConfigTexts, std::string> texts = texts_of(answer);
        if (!texts) return std::unexpected(to_string(Remark{{options_.config, 0}, texts.error()}));
        result_.loaded = make_config(options_, *texts);
        read_ = true;
        return {};
    }
    std::expected<std::vector<Fd>, std::string> sockets = sockets_of(std::move(answer));
    const FilePosition& position = result_.loaded.config.listens[number_].position;
    if (!sockets) return std::unexpected(to_string(Remark{position, sockets.error()}));
    result_.sockets[number_++] = std::move(*sockets);
    return {};
}

std::expected<bool, std::string> Reload::ask_next() {
    const std::vector<Listen>& listens = result_.loaded.config.listens;
    while (number_ < listens.size() && has_(listens[number_].endpoint)) ++number_;
    if (number_ == listens.size()) return false;
    if (auto asked = ask(opener_.ask_listen(number_)); !asked) return std::unexpected(asked.error());
    return true;
}

std::string Reload::lateness() const {
    if (!read_) {
        return to_string(Remark{{options_.config, 0},
                                fmt::format("not read by the opener process within {} s", patience.count())});
    }
    const Listen& listen = result_.loaded.config.listens[number_];
    return to_string(Remark{listen.position, fmt::format("cannot listen on {}: timed out after {} s",
                                                         to_string(listen.endpoint), patience.count())});
}

}  // namespace holdfast::server
