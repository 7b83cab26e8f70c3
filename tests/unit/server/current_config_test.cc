// Replacement of the configuration on SIGHUP, with an opener whose answers the test makes.
#include "server/current_config.hh"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "server/config/config_packing.hh"
#include "tests/unit/log_lines.hh"

using namespace holdfast;
using namespace holdfast::server;
using namespace std::chrono_literals;
using Strings = std::vector<std::string>;

namespace {

constexpr std::string_view generic = "[generic]\nlistenaddr = 127.0.0.1\nport = 10999\n";
constexpr std::string_view disk = "[disk]\nexportname = /dev/null\n";
constexpr std::string_view swap = "[swap]\nexportname = /dev/zero\n";

std::string text_of(std::initializer_list<std::string_view> parts) {
    std::string text;
    for (const std::string_view part : parts) text += part;
    return text;
}

ConfigTexts texts_with(std::string text, std::string fault = {}) {
    ConfigTexts texts;
    texts.files.push_back({default_config, std::move(text), std::move(fault)});
    return texts;
}

// Receives the notices of this process in place of the service manager.
class FakeManager {
public:
    FakeManager() {
        const std::string name = "@holdfast-unit-" + std::to_string(::getpid());
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        name.copy(address.sun_path + 1, name.size() - 1, 1);
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
        REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
        ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
        notices.emplace(ServiceManager::of_this_process());
        ::unsetenv("NOTIFY_SOCKET");
    }
    // Notices since the last call, each without its time.
    Strings take() const {
        Strings found;
        std::array<char, 512> text;
        for (;;) {
            const ssize_t count = ::recv(socket_.get(), text.data(), text.size(), MSG_DONTWAIT);
            if (count <= 0) return found;
            const std::string_view whole(text.data(), static_cast<std::size_t>(count));
            found.emplace_back(whole.substr(0, whole.find("\nMONOTONIC")));
        }
    }

    std::optional<ServiceManager> notices;

private:
    Fd socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

// A socket that listens on 127.0.0.1, at a port that the kernel chooses.
Fd bound_socket() {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(socket.get(), 1) == 0);
    return socket;
}

// The opener's end: takes requests, and sends the answers that the test makes.
class FakeOpener {
public:
    explicit FakeOpener(OpenerClient& client) {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        client.connect(Fd(ends[0]), -1);
        control_.reset(ends[1]);
    }
    // Takes the next request; nullopt: there is none. The previous request gets no answer any more.
    std::optional<OpenerCall> next() {
        reply_to_.reset();
        std::array<std::uint8_t, longest_opener_request> bytes;
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
        iovec data{bytes.data(), bytes.size()};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = space.data();
        message.msg_controllen = space.size();
        const ssize_t count = ::recvmsg(control_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (count <= 0) return std::nullopt;
        int descriptor = -1;
        std::memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof descriptor);
        reply_to_.reset(descriptor);
        const auto request = unpack_request({bytes.data(), static_cast<std::size_t>(count)});
        REQUIRE(request);
        return request->call;
    }
    void answer(const ConfigTexts& texts) {
        Packer packed(OpenerStatus::done);
        pack(packed, texts);
        send(packed.bytes(), -1);
    }
    void answer_with_socket(const Fd& socket) { send(Packer(OpenerStatus::done).bytes(), socket.get()); }
    void refuse(std::string_view why) {
        Packer packed(OpenerStatus::refused);
        packed.text(why);
        send(packed.bytes(), -1);
    }
    void end_answer() { reply_to_.reset(); }
    // The opener dies.
    void die() { control_.reset(); }

private:
    void send(std::vector<std::uint8_t> bytes, int descriptor) {
        iovec data{bytes.data(), bytes.size()};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        if (descriptor >= 0) {
            message.msg_control = space.data();
            message.msg_controllen = space.size();
            cmsghdr* const head = CMSG_FIRSTHDR(&message);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(sizeof descriptor);
            std::memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
        }
        REQUIRE(::sendmsg(reply_to_.get(), &message, MSG_NOSIGNAL) > 0);
        end_answer();
    }

    Fd control_;
    Fd reply_to_;
};

struct Bench {
    Bench() : current(make_config(options, texts_with(text_of({generic, disk}))).config, context()) {
        REQUIRE(epoll.open());
    }
    CurrentConfig::Context context() {
        return {options, epoll, opener, listeners, shared, *manager.notices, [this] { ++changes; }};
    }
    // Handles the reload's event, which must be there.
    void turn() {
        std::array<epoll_event, 4> events;
        const auto got = epoll.wait(events, 5000);
        REQUIRE(got.size() == 1);
        REQUIRE(current.is_for_reload(got.front().data.fd));
        current.on_reload();
    }
    // Begins a reload, which reads this text.
    void reload(std::string text) {
        current.begin_reload();
        REQUIRE(other.next() == OpenerCall::reload);
        other.answer(texts_with(std::move(text)));
        turn();
    }
    // The same, up to the opener's answer to the request for the listener's socket.
    void reload_with_socket(std::string text) {
        reload(std::move(text));
        REQUIRE(other.next() == OpenerCall::listen);
        other.answer_with_socket(bound_socket());
    }

    // Whether a connection gets memory beyond its own.
    bool may_borrow() { return shared.buffer_memory.borrower("disk", "192.0.2.1").borrow(4096); }

    Options options;
    Epoll epoll;
    OpenerClient opener;
    FakeOpener other{opener};
    ListenerSet listeners{epoll, InheritedSockets(), std::nullopt};
    Shared shared{.opener = opener};
    FakeManager manager;
    int changes = 0;
    CurrentConfig current;
    LogLines log;
};

constexpr const char* failed = "the reload failed; the old configuration stays in effect";

}  // namespace

TEST_CASE("a reload puts the new configuration in force in both processes, and opens its listeners") {
    Bench bench;
    const std::shared_ptr<const Config> before = bench.current.get();
    CHECK(bench.may_borrow());
    bench.reload_with_socket(text_of({generic, "buffermemory = 0\n", disk, swap}));
    CHECK(bench.manager.take() == Strings{"RELOADING=1"});
    CHECK(bench.current->exports.size() == 1);
    CHECK_FALSE(bench.other.next());
    bench.turn();
    CHECK(bench.other.next() == OpenerCall::commit);
    CHECK(bench.current->exports.size() == 2);
    CHECK(bench.listeners.has(bench.current->listens.at(0).endpoint));
    CHECK_FALSE(bench.may_borrow());
    CHECK(bench.changes == 1);
    CHECK(bench.manager.take() == Strings{"READY=1\nSTATUS=Serving 2 exports."});
    CHECK(bench.log.take(log::Level::notice) == Strings{"configuration reloaded: 2 exports"});
    CHECK(bench.current.deadline() == no_deadline);
    // Connections keep the configuration with which they began.
    CHECK(before->exports.size() == 1);
    // A listener that stays needs no socket.
    bench.reload(text_of({generic, swap}));
    CHECK(bench.other.next() == OpenerCall::commit);
    CHECK(bench.current->exports.at(0).name == "swap");
}

TEST_CASE("a reload that fails leaves the old configuration in force, in both processes") {
    Bench bench;
    std::string why = failed;
    SUBCASE("mistakes") {
        bench.reload(text_of({generic, disk, "colour = blue\n"}));
        why = "the new configuration has errors; the old one stays in effect";
    }
    SUBCASE("an unreadable file") {
        bench.current.begin_reload();
        REQUIRE(bench.other.next() == OpenerCall::reload);
        bench.other.answer(texts_with("", "open: Permission denied"));
        bench.turn();
        why = "the new configuration could not be read; the old one stays in effect";
    }
    SUBCASE("no answer") {
        bench.current.begin_reload();
        REQUIRE(bench.other.next() == OpenerCall::reload);
        bench.other.end_answer();
        bench.turn();
    }
    SUBCASE("an address that is in use") {
        bench.reload(text_of({generic, disk, swap}));
        REQUIRE(bench.other.next() == OpenerCall::listen);
        bench.other.refuse("cannot listen on 127.0.0.1:10999: Address already in use");
        bench.turn();
    }
    SUBCASE("an opener that is late") {
        bench.current.begin_reload();
        REQUIRE(bench.other.next() == OpenerCall::reload);
        const Deadline deadline = bench.current.deadline();
        CHECK(deadline <= Clock::now() + Reload::patience);
        bench.current.on_time(deadline - 1ns);
        CHECK(bench.current.deadline() == deadline);
        bench.current.on_time(deadline);
    }
    SUBCASE("an opener that takes no request") {
        bench.other.die();
        bench.current.begin_reload();
    }
    SUBCASE("an opener that dies before the commit") {
        bench.reload_with_socket(text_of({generic, disk, swap}));
        bench.other.die();
        bench.turn();
    }
    CHECK_FALSE(bench.other.next());
    CHECK(bench.current->exports.size() == 1);
    CHECK_FALSE(bench.listeners.has(bench.current->listens.at(0).endpoint));
    CHECK(bench.changes == 0);
    CHECK(bench.current.deadline() == no_deadline);
    CHECK(bench.manager.take() == Strings{"RELOADING=1", "READY=1\nSTATUS=SIGHUP: " + why + "."});
    const Strings errors = bench.log.take(log::Level::error);
    REQUIRE(errors.size() == 2);
    CHECK(errors[1] == why);
}

TEST_CASE("a request during a reload starts another reload afterwards, since the files may have changed") {
    Bench bench;
    bench.current.begin_reload();
    REQUIRE(bench.other.next() == OpenerCall::reload);
    bench.current.begin_reload();
    bench.current.begin_reload();
    SUBCASE("which has succeeded") {
        bench.other.answer(texts_with(text_of({generic, disk})));
        bench.turn();
        REQUIRE(bench.other.next() == OpenerCall::listen);
        bench.other.answer_with_socket(bound_socket());
        bench.turn();
        CHECK(bench.other.next() == OpenerCall::commit);
    }
    SUBCASE("which has failed") {
        bench.other.end_answer();
        bench.turn();
    }
    CHECK(bench.other.next() == OpenerCall::reload);
    CHECK_FALSE(bench.other.next());
    bench.current.cancel_reload();
    CHECK(bench.current.deadline() == no_deadline);
}

TEST_CASE("keys that take effect after a restart only, and disks whose path has changed, are warnings") {
    Bench bench;
    REQUIRE_FALSE(bench.shared.disks.enter("disk", {DiskKey{1, 2, true, false}, "/old", "client"}));
    bench.reload_with_socket(
        text_of({generic, "user = nobody\nstatussocket = /run/holdfast-unit\n", disk, swap}));
    bench.turn();
    CHECK(bench.current->exports.size() == 2);
    const Strings warnings = bench.log.take(log::Level::warning);
    REQUIRE(warnings.size() == 3);
    CHECK(warnings[0] == "user, group: changes take effect after a restart only");
    CHECK(warnings[1] == "statussocket: changes take effect after a restart only");
    CHECK(warnings[2].starts_with("export disk: 1 connection still uses /old"));
}
