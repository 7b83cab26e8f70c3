// Connections of which nobody has a descriptor: their names, and their end by the kernel's socket
// diagnostics.
#include "client/daemon/older_links.hh"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "client/link/link_health.hh"
#include "common/linux/clock.hh"
#include "common/linux/socket_name.hh"
#include "tests/unit/socket_pair.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

constexpr std::chrono::seconds patience{10};

// Answers of a kernel, for a child that asks; counted in this process.
int questions_here = 0;
Result<void> has_it(int /*netlink*/) noexcept {
    ++questions_here;
    return {};
}
Result<void> lacks_it(int /*netlink*/) noexcept {
    ++questions_here;
    return std::unexpected(SysError{ENOENT, "a test's kernel"});
}
Result<void> hangs(int /*netlink*/) noexcept {
    for (;;) ::pause();
}

// No right, or a kernel that was built without it: there is nothing to see then.
bool cannot_end(const Result<void>& done) {
    const bool unable = !done && (done.error().code == EPERM || done.error().code == EOPNOTSUPP ||
                                  done.error().code == EPROTONOSUPPORT);
    if (unable) MESSAGE("skipped: ", done.error().message());
    return unable;
}

}  // namespace

TEST_CASE("a daemon that has no descriptor of a connection ends it, and its stuck sender wakes") {
    Pair pair = connected();
    fill(pair.ours.get());
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    REQUIRE(::setsockopt(pair.ours.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
    const std::vector<char> more(1 << 16, 'y');
    int error = 0;
    std::thread sender([&] {
        while (::send(pair.ours.get(), more.data(), more.size(), MSG_NOSIGNAL) > 0) continue;
        error = errno;
    });
    OlderLinks links;
    const SocketName name = name_of_socket(pair.ours.get());
    links.prepare(name.view());
    links.set(name.view());
    REQUIRE(links.any());
    const auto done = links.end();
    const bool skipped = cannot_end(done);
    if (skipped) ::shutdown(pair.ours.get(), SHUT_RDWR);
    sender.join();
    CHECK(error != EAGAIN);
    if (skipped) return;
    CHECK(done);
    CHECK_FALSE(links.any());
    // A socket that is gone is a success.
    links.set(name.view());
    CHECK(links.end());
}

TEST_CASE("every connection of the list is ended, and one that cannot be does not save the others") {
    // The kernel lets root alone end a connection; the error of the UNIX socket would hide the refusal.
    if (::geteuid() != 0) return;
    Pair first = connected();
    Pair second = connected();
    SocketNames names = with(unix_socket, name_of_socket(first.ours.get()));
    names = with(names, name_of_socket(second.ours.get()));
    OlderLinks links;
    links.prepare(names);
    links.set(names);
    const auto done = links.end();
    if (cannot_end(done)) return;
    REQUIRE_FALSE(done);
    // The kernel has no such command for a UNIX socket.
    CHECK(done.error().code == EAFNOSUPPORT);
    CHECK(links.any());
    for (const int peer : {first.peers.get(), second.peers.get()}) {
        char byte = 0;
        CHECK(::recv(peer, &byte, 1, 0) == -1);
        CHECK(errno == ECONNRESET);
    }
}

TEST_CASE(
    "a UNIX socket is recorded as one, and stays in the record, since nothing but its server can end it") {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    const Fd ours(ends[0]);
    const Fd peers(ends[1]);
    const bool has_numbers = network_of_socket(ours.get()).has_value();
    const SocketNames name =
        has_numbers ? SocketNames(name_of_socket(ours.get()).view()) : SocketNames(unix_socket);
    OlderLinks links;
    links.set(name);
    links.prepare(name);
    REQUIRE(links.any());
    const auto done = links.end();
    REQUIRE_FALSE(done);
    CHECK(links.any());
    CHECK_FALSE(links.have_vanished());
    CHECK(links.names_with("own") == with(name, "own"));
    CHECK(links.names_with({}) == name);
    if (cannot_end(done)) return;
    const LineText text = reason_not_to_disconnect(done.error(), 3);
    CHECK(text.view().find("a UNIX socket") != std::string_view::npos);
    CHECK(text.view().find("holdfast-client takeover nbd3") != std::string_view::npos);
    CHECK(text.view().find("ss --kill") == std::string_view::npos);
    CHECK_FALSE(text.full());
}

TEST_CASE("a connection that the kernel has released is known to exist no more") {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    Fd local(ends[0]);
    const Fd peer(ends[1]);
    Pair pair = connected();
    const SocketNames names =
        with(SocketNames(name_of_socket(local.get()).view()), name_of_socket(pair.ours.get()));
    OlderLinks links;
    links.prepare(names);
    if (links.problem() || !network_of_socket(local.get())) return;
    links.set(names);
    CHECK_FALSE(links.have_vanished());
    // Both ends are gone: the peer of a TCP connection would keep the connection in its state for a while.
    cut(pair.peers.get());
    pair.peers.reset();
    cut(pair.ours.get());
    pair.ours.reset();
    CHECK_FALSE(links.have_vanished());
    local.reset();
    // False if the kernel has no module for UNIX sockets, and for a socket of an older version's record.
    if (links.have_vanished()) {
        links.set(with(names, unix_socket));
        CHECK_FALSE(links.have_vanished());
    } else {
        MESSAGE("skipped: the kernel does not find UNIX sockets");
    }
}

TEST_CASE("diagnostics that the kernel does not have are not taken for a socket that is gone") {
    const auto ask_for_no_protocol = [](int netlink) noexcept { return ask_for_inet_sockets(netlink, 255); };
    const auto missing = SocketDiagnostics::open(patience, {}, {ask_for_no_protocol, ask_for_unix_sockets});
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == EPROTONOSUPPORT);
    const LineText text = reason_not_to_disconnect(missing.error(), 3);
    CHECK(text.view().find("modprobe tcp_diag") != std::string_view::npos);
    CHECK_FALSE(text.full());
    // Neither are those that were never opened.
    OlderLinks links;
    links.set("4294967297 0200a1b20100007f0000000000000000 0200a1b30100007f0000000000000000");
    CHECK_FALSE(links.end());
    CHECK(links.any());
}

TEST_CASE("a module for UNIX sockets that does not come in time does not cost the TCP connections") {
    Pair pair = connected();
    const SocketNames names = with("unix 1 2 3", name_of_socket(pair.ours.get()));
    const auto begin = Clock::now();
    // Also the time for the answer of a child that is slow to start.
    constexpr std::chrono::seconds module_patience{2};
    const auto opened = SocketDiagnostics::open(module_patience, names, {has_it, hangs});
    CHECK(Clock::now() - begin < patience);
    REQUIRE(opened);
    CHECK_FALSE(opened->has_vanished("unix 1 2 3"));
    CHECK_FALSE(opened->has_vanished(name_of_socket(pair.ours.get())));
    const auto none = SocketDiagnostics::open(module_patience, names, {hangs, has_it});
    REQUIRE_FALSE(none);
    CHECK(none.error().code == ETIMEDOUT);
}

TEST_CASE("UNIX sockets are asked for only if the record has one with its numbers") {
    for (const char* names : {"", "none", "unix", "1 0200a1b20100007f0000000000000000", "unix;unix x"}) {
        const auto begin = Clock::now();
        CHECK(SocketDiagnostics::open(patience, names, {has_it, hangs}));
        CHECK(Clock::now() - begin < patience);
    }
}

TEST_CASE("a process that must not wait for a module's disk leaves every question to its child") {
    questions_here = 0;
    for (const auto question : {has_it, lacks_it}) {
        const auto opened = SocketDiagnostics::open(patience, "unix 1 2 3", {question, lacks_it});
        CHECK(opened.has_value() == (question == has_it));
        if (opened)
            CHECK_FALSE(opened->has_vanished("unix 1 2 3"));
        else
            CHECK(opened.error().code == EPROTONOSUPPORT);
    }
    CHECK(questions_here == 0);
}

TEST_CASE("a connection of another network namespace is refused, not taken for one that is gone") {
    Pair pair = connected();
    const SocketName name = name_of_socket(pair.ours.get());
    const auto in_another_network = [&] {
        if (::unshare(CLONE_NEWNET) != 0 || !network_of_socket(pair.ours.get())) {
            MESSAGE("skipped: no right to make a network");
            return;
        }
        const auto diagnostics = SocketDiagnostics::open(patience);
        if (!diagnostics) return;
        const auto done = diagnostics->destroy(name);
        REQUIRE_FALSE(done);
        CHECK(done.error().code == EXDEV);
    };
    std::async(std::launch::async, in_another_network).get();
}

TEST_CASE("what is no name destroys nothing") {
    const auto diagnostics = SocketDiagnostics::open(patience);
    if (!diagnostics) return;
    for (const char* text : {"", "1", "x 0200 0200", "1 02000001 0200", "1 zz zz", "unknown",
                             "1 0100000000000000 0100000000000000"})
        CHECK(diagnostics->destroy(text).error().code == EINVAL);
    CHECK(diagnostics->destroy_all({}).error().code == EINVAL);
    CHECK(diagnostics->destroy_all(no_socket));
}

TEST_CASE("the links before a daemon's own stay in the record until it is seen which one the kernel has") {
    OlderLinks links;
    CHECK(links.names_with("own") == "own");
    CHECK(links.names_with({}) == no_socket);
    links.set("before");
    CHECK(links.names_with("own") == "before;own");
    CHECK(links.names_with({}) == "before");
    links.forget();
    CHECK(links.names_with("own") == "own");
    CHECK_FALSE(links.any());
}

TEST_CASE("a list of sockets: names are added and taken out, and one too many is no name any more") {
    CHECK(with({}, "a") == "a");
    CHECK(with(no_socket, "a") == "a");
    CHECK(with("a", {}) == "a");
    CHECK(without("a;b;a", "a") == "b");
    CHECK(without("a", "a") == no_socket);
    CHECK(without({}, "a") == no_socket);
    CHECK(without("a", "b") == "a");
    const Pair pair = connected();
    const SocketName name = name_of_socket(pair.ours.get());
    const std::string_view whole = name.view();
    const auto older = [&](std::size_t words) {
        std::size_t end = 0;
        for (std::size_t i = 0; i < words; ++i) end = whole.find(' ', end + 1);
        return SocketNames(whole.substr(0, end));
    };
    // Records of a version that wrote no numbers of a UNIX socket, or no network.
    CHECK(without("a;unix", "unix 1 2 3") == "a");
    // After a downgrade, and an upgrade: both name the same socket.
    CHECK(without("unix 1 2 3;unix", "unix 1 2 3") == no_socket);
    CHECK(without("unix;unix", "unix 1 2 3") == "unix");
    CHECK(without("unix 1 2 4", "unix 1 2 3") == "unix 1 2 4");
    if (network_of_socket(pair.ours.get())) CHECK(without(older(3), whole) == no_socket);
    CHECK(without(older(2), whole) == older(2));
    SocketNames names;
    for (int i = 0; i < 3; ++i) names = with(names, SocketName(name));
    CHECK_FALSE(names.full());
    while (!names.full()) names = with(names, SocketName(name));
    std::string_view last;
    for (std::string_view rest = names; !rest.empty();) last = take_name(rest);
    CHECK((last.size() < name.view().size() || last.empty()));
}
