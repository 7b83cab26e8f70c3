// Asks one question at a time; the answer covers every client that came before the question.

#include "server/authfile_reading.hh"

#include <utility>

#include "server/config/config_file.hh"

namespace holdfast::server {

void AuthfileReading::ask() {
    constexpr std::chrono::seconds patience{5};
    if (question_ || lobby_.unjudged() == 0) return;
    asked_at_ = lobby_.admission().next();
    std::expected<OpenerQuestion, std::string> question = opener_.ask_authfiles();
    if (!question) return on_answer(std::unexpected(VolumeRefusal{false, question.error()}));
    question_ = std::move(*question);
    deadline_ = Clock::now() + patience;
    (void)epoll_.watch(question_.fd());
}

bool AuthfileReading::on_input(int fd) {
    if (!question_ || fd != question_.fd()) return false;
    if (const std::optional<OpenerOutcome> answer = question_.take()) on_answer(*answer);
    return true;
}

void AuthfileReading::on_time(Clock::time_point now) {
    if (deadline_ <= now)
        on_answer(std::unexpected(VolumeRefusal{false, "the authfiles could not be read in time"}));
}

void AuthfileReading::on_answer(const OpenerOutcome& answer) {
    question_ = OpenerQuestion();
    deadline_ = no_deadline;
    const std::expected<ConfigTexts, std::string> files = texts_of(answer);
    if (!files) log_.write(log::Level::warning, "the authfiles: " + files.error());
    // Without the files, every authfile rejects all clients.
    access_ = AccessTable::make(files.value_or(ConfigTexts()), access_.get());
    lobby_.judge(asked_at_, [this](const Address& client) { return access_->judge(client); });
    ask();
}

}  // namespace holdfast::server
