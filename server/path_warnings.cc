// A new question replaces one without an answer.

#include "server/path_warnings.hh"

#include "common/linux/log.hh"

namespace holdfast::server {

void PathWarnings::ask() {
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
    for (const Remark& one : remarks_of(*answer)) log::warning(to_string(one));
    return true;
}

}  // namespace holdfast::server
