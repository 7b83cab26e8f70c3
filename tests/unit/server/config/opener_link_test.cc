// What the server makes of the answers of an opener that is not sound: nothing.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "server/config/config_packing.hh"
#include "server/opener/opener_client.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

constexpr std::string_view no_answer = "no answer from the opener process";
constexpr std::string_view ended = "the helper process ended without an answer";

struct Said {
    std::vector<std::uint8_t> bytes;
    std::size_t files = 0;  // descriptors that come with them
};

// Takes one request, and says this on the socket that came with it.
void answer_one(const Fd& control, const Said& said) {
    std::array<char, longest_opener_request> request;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(128 * sizeof(int))> space{};
    iovec data{request.data(), request.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    if (::recvmsg(control.get(), &message, MSG_CMSG_CLOEXEC) <= 0) return;
    int number = -1;
    std::memcpy(&number, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof number);
    const Fd reply_to(number);
    const Fd file(::open("/dev/null", O_RDWR | O_CLOEXEC));
    number = file.get();
    if (said.bytes.empty()) return;
    data = {const_cast<std::uint8_t*>(said.bytes.data()), said.bytes.size()};
    message.msg_controllen = said.files == 0 ? 0 : CMSG_SPACE(said.files * sizeof(int));
    if (cmsghdr* const head = CMSG_FIRSTHDR(&message); head != nullptr) {
        *head = {.cmsg_len = CMSG_LEN(said.files * sizeof(int)),
                 .cmsg_level = SOL_SOCKET,
                 .cmsg_type = SCM_RIGHTS};
        for (std::size_t i = 0; i < said.files; ++i)
            std::memcpy(CMSG_DATA(head) + i * sizeof number, &number, sizeof number);
    }
    (void)::sendmsg(reply_to.get(), &message, MSG_NOSIGNAL);
}

// What `ask` makes of it.
template <class Ask>
auto asked(const Said& said, Ask ask) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    OpenerClient link;
    link.connect(Fd(ends[0]), -1);
    const Fd control(ends[1]);
    std::thread opener([&] { answer_one(control, said); });
    auto result = ask(link);
    opener.join();
    return result;
}

DiskWanted wanted(std::chrono::seconds patience = std::chrono::minutes(1)) {
    return {"disk", "127.0.0.1", true, std::chrono::steady_clock::now() + patience};
}

auto ask_find(OpenerClient& link) { return link.find(wanted()); }
auto ask_open(OpenerClient& link) { return link.open(wanted()); }
auto ask_look(OpenerClient& link) { return link.look(wanted()); }
// Waits, as the loop of the server never does.
OpenerOutcome whole_answer(std::expected<OpenerQuestion, std::string> question) {
    REQUIRE(question.has_value());
    for (;;) {
        if (auto answer = question->take()) return std::move(*answer);
        pollfd more{question->fd(), POLLIN, 0};
        REQUIRE(::poll(&more, 1, 60'000) == 1);
    }
}

auto ask_listen(OpenerClient& link) { return sockets_of(whole_answer(link.ask_listen(0))); }
auto ask_reload(OpenerClient& link) { return texts_of(whole_answer(link.ask_reload())); }
auto ask_look_around(OpenerClient& link) { return remarks_of(whole_answer(link.ask_look_around())); }

template <class T>
std::vector<std::uint8_t> done_with(const T& value) {
    Packer packed(OpenerStatus::done);
    pack(packed, value);
    return packed.bytes();
}

std::vector<std::uint8_t> with_more(std::vector<std::uint8_t> bytes) {
    bytes.push_back(0);
    return bytes;
}

const DiskFacts sound_facts{.writable = true, .preferred_block = 4096, .identity = "x", .path = "/x"};
const VolumeTraits sound_traits{
    .size = 8192, .can_trim = true, .minimum_block = 512, .preferred_block = 4096};

}  // namespace

TEST_CASE("a sound answer is taken as it is") {
    const DiskKey key{1, 2, true, false};
    CHECK(asked({done_with(key)}, ask_find).value() == key);
    CHECK(asked({done_with(sound_facts), 2}, ask_open).value().facts.path == "/x");
    CHECK(asked({done_with(sound_traits)}, ask_look).value().size == 8192);
    CHECK(asked({{0}, 3}, ask_listen).value().size() == 3);
}

TEST_CASE("an answer that does not fit is none") {
    const std::vector<std::uint8_t> done{0};
    for (const auto& bytes : {done, with_more(done_with(DiskKey{}))})
        CHECK(asked({bytes}, ask_find).error().text == no_answer);
    for (const auto& bytes : {done, with_more(done_with(sound_traits))})
        CHECK(asked({bytes}, ask_look).error().text == no_answer);
    for (const auto& bytes : {done, with_more(done_with(sound_facts))})
        CHECK(asked({bytes, 2}, ask_open).error().text == no_answer);
    CHECK(asked({with_more(done_with(ConfigTexts{}))}, ask_reload).error() == no_answer);
    const std::vector<std::uint8_t> nothing;
    CHECK(asked({nothing}, ask_find).error().text == ended);
    CHECK(asked({nothing}, ask_look).error().text == ended);
    CHECK(asked({nothing, 2}, ask_open).error().text == ended);
    CHECK(asked({nothing}, ask_reload).error() == ended);
    CHECK(asked({with_more(done)}, ask_look_around).empty());
}

TEST_CASE("values that no sound opener sends are none") {
    for (const std::uint32_t size : {0U, 3U, 4097U}) {
        DiskFacts facts = sound_facts;
        facts.preferred_block = size;
        CHECK(asked({done_with(facts), 2}, ask_open).error().text == no_answer);
        VolumeTraits traits = sound_traits;
        traits.preferred_block = size;
        CHECK(asked({done_with(traits)}, ask_look).error().text == no_answer);
        traits = sound_traits;
        traits.minimum_block = size;
        CHECK(asked({done_with(traits)}, ask_look).error().text == no_answer);
    }
}

TEST_CASE("a disk comes with two descriptors, a listener with at least one, and nothing with more than fit") {
    for (const std::size_t files : {0, 1, 3})
        CHECK(asked({done_with(sound_facts), files}, ask_open).error().text == no_answer);
    const auto without = asked({{0}, 0}, ask_listen);
    REQUIRE_FALSE(without.has_value());
    CHECK(without.error() == no_answer);
    CHECK(asked({{0}, 65}, ask_listen).error() == "too few file descriptors");
}

TEST_CASE("a refusal is taken with its text, and one that is not sound without") {
    const auto why = [](const std::vector<std::uint8_t>& bytes) {
        return asked({bytes}, ask_find).error().text;
    };
    Packer refused(OpenerStatus::refused);
    refused.text("not this one");
    CHECK(why(refused.bytes()) == "not this one");
    CHECK(why({1}).empty());              // refused, without a text
    CHECK(why({1, 9, 0, 0, 0}).empty());  // a text that is longer than the answer
    CHECK(why({77}).empty());             // a status that there is not
}

TEST_CASE("an opener that gives no answer in time is not waited for") {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    OpenerClient link;
    link.connect(Fd(ends[0]), -1);
    const Fd control(ends[1]);
    const std::string text = link.find(wanted(std::chrono::seconds(0))).error().text;
    CHECK(text.find("opening timed out") != std::string::npos);
}

TEST_CASE("a loop is not held up by an opener that takes no requests") {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    OpenerClient link;
    link.connect(Fd(ends[0]), -1);
    const Fd control(ends[1]);
    std::vector<OpenerQuestion> unanswered;
    for (;;) {
        std::expected<OpenerQuestion, std::string> question = link.ask_reload();
        if (!question) {
            CHECK(question.error() == no_answer);
            break;
        }
        CHECK_FALSE(question->take().has_value());
        unanswered.push_back(std::move(*question));
        REQUIRE(unanswered.size() < 100'000);
    }
    link.unlisten(false);
    CHECK(link.find(wanted(std::chrono::seconds(0))).error().text == no_answer);
}
