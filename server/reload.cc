// Questions one after the other: the files, a socket for each new listener, and that all of it be in force.

#include "server/reload.hh"

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
    if (done_) return std::move(result_);
    if (auto next = ask_next(); !next) return std::unexpected(std::move(next.error()));
    asked = true;
    return std::nullopt;
}

std::expected<void, std::string> Reload::take(OpenerOutcome answer) {
    switch (step_) {
        case Step::reading: {
            const std::expected<ConfigTexts, std::string> texts = texts_of(answer);
            if (!texts) return std::unexpected(to_string(Remark{{options_.config, 0}, texts.error()}));
            result_.loaded = make_config(options_, *texts);
            done_ = !result_.loaded.errors.empty();
            step_ = Step::listening;
            return {};
        }
        case Step::listening: {
            std::expected<std::vector<Fd>, std::string> sockets = sockets_of(std::move(answer));
            const Place& place = result_.loaded.config.listens[number_].place;
            if (!sockets) return std::unexpected(to_string(Remark{place, sockets.error()}));
            result_.sockets[number_++] = std::move(*sockets);
            return {};
        }
        case Step::committing: done_ = true; return done_of(answer);
    }
    return {};
}

std::expected<void, std::string> Reload::ask_next() {
    const std::vector<Listen>& listens = result_.loaded.config.listens;
    while (number_ < listens.size() && has_(listens[number_].endpoint)) ++number_;
    if (number_ < listens.size()) return ask(opener_.ask_listen(number_));
    // Connections that ask by the old configuration are refused from here on where the new one differs.
    step_ = Step::committing;
    return ask(opener_.ask_commit());
}

}  // namespace holdfast::server
