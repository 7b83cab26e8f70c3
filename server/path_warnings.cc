// A new question replaces one without an answer.

#include "server/path_warnings.hh"

#include <fmt/core.h>

#include "common/linux/log.hh"

namespace holdfast::server {

void PathWarnings::ask() {
    all_ = true;
    ask_for_changes();
}

void PathWarnings::ask_for_changes() {
    // If the opener takes no requests, clients will get the same error.
    if (auto question = opener_.ask_look_around()) {
        question_ = std::move(*question);
        (void)epoll_.watch(question_.fd());
    }
}

bool PathWarnings::on_input(int fd) {
    if (!question_ || fd != question_.fd()) return false;
    const std::optional<OpenerOutcome> answer = question_.take();
    if (!answer) return true;
    question_ = OpenerQuestion();
    if (!*answer) log::warning("the exports' paths were not checked: " + answer->error().text);
    std::set<std::string> now;
    for (const Remark& one : remarks_of(*answer)) {
        if (all_) log::warning(to_string(one));
        now.insert(to_string(one));
    }
    if (!all_ && *answer) log_changes(now);
    all_ = false;
    if (*answer) known_ = std::move(now);
    return true;
}

void PathWarnings::log_changes(const std::set<std::string>& now) const {
    for (const std::string& one : now) {
        if (!known_.contains(one)) log::warning(one);
    }
    for (const std::string& one : known_) {
        // Clients may be refused for another reason.
        if (!now.contains(one)) log::notice(fmt::format("{}: no longer so", one.substr(0, one.find("; "))));
    }
}

}  // namespace holdfast::server
