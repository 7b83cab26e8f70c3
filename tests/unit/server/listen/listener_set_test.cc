// Listeners at the start, over a reload, and while no clients are accepted.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>

#include "server/listen/listener_set.hh"

using namespace holdfast;
using namespace holdfast::server;
using namespace std::chrono_literals;

namespace {

Listen listen_at(std::string host) {
    Listen listen;
    listen.endpoint = {.host = std::move(host), .port = 0, .unix_path = {}};
    listen.every_export = true;
    return listen;
}

Config listening_at(std::initializer_list<const char*> hosts) {
    Config config;
    for (const char* const host : hosts) config.listens.push_back(listen_at(host));
    return config;
}

// Connects to the port that the kernel chose for a listening socket.
Fd connect_to(int listener) {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
    return socket;
}

struct Set {
    explicit Set(std::initializer_list<const char*> hosts) {
        REQUIRE(epoll.open());
        listeners.emplace(epoll, InheritedSockets(), std::nullopt);
        REQUIRE(listeners->open(listening_at(hosts)).has_value());
    }
    // Descriptor that has input; -1: none has.
    [[nodiscard]] int ready() const {
        std::array<epoll_event, 4> events;
        const auto got = epoll.wait(events, 0);
        return got.empty() ? -1 : got.front().data.fd;
    }

    Epoll epoll;
    std::optional<ListenerSet> listeners;
};

// The descriptor of a client's listener, found by a connection that waits there.
int waiting_at(const Set& set) {
    const int fd = set.ready();
    REQUIRE(fd >= 0);
    REQUIRE(set.listeners->find(fd) != nullptr);
    return fd;
}

// A socket that listens on 127.0.0.1, as the opener hands over at a reload.
Fd bound_socket() {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(socket.get(), 8) == 0);
    return socket;
}

// A socket that the service manager gives to this process: it is descriptor 3, which is free meanwhile.
class Given {
public:
    explicit Given(const Fd& socket) {
        REQUIRE(::dup2(socket.get(), descriptor) == descriptor);
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        ::setenv("LISTEN_FDS", "1", 1);
        auto taken = InheritedSockets::take();
        REQUIRE(taken.has_value());
        sockets = std::move(*taken);
    }
    Given(const Given&) = delete;
    Given& operator=(const Given&) = delete;
    // Tests declare Given before their ListenerSet, which owns the descriptor and must end first.
    ~Given() {
        if (before_) ::dup2(before_.get(), descriptor);
    }

    static constexpr int descriptor = 3;
    InheritedSockets sockets;

private:
    Fd before_{::fcntl(descriptor, F_DUPFD_CLOEXEC, 10)};
};

// A UNIX socket that listens in a folder of the test's own.
struct UnixSocket {
    UnixSocket() {
        REQUIRE(::mkdtemp(folder.data()) != nullptr);
        path = folder + "/socket";
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, path.size());
        REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(fd.get(), 8) == 0);
    }
    UnixSocket(const UnixSocket&) = delete;
    UnixSocket& operator=(const UnixSocket&) = delete;
    ~UnixSocket() {
        ::unlink(path.c_str());
        ::rmdir(folder.c_str());
    }

    std::string folder = "/tmp/holdfast-listen-XXXXXX";
    std::string path;
    Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

ListenerSet::Bound bound_at(std::size_t number, Fd socket) {
    ListenerSet::Bound bound;
    bound[number].push_back(std::move(socket));
    return bound;
}

}  // namespace

TEST_CASE("a reload keeps the sockets of an endpoint that stays, and closes those of one that goes") {
    Set set({});
    Fd first = bound_socket();
    Fd second = bound_socket();
    const int first_fd = first.get();
    const int second_fd = second.get();
    auto bound = bound_at(0, std::move(first));
    bound[1].push_back(std::move(second));
    auto wanted = set.listeners->prepare(listening_at({"127.0.0.1", "127.0.0.2"}), std::move(bound));
    REQUIRE(wanted.has_value());
    CHECK_FALSE(set.listeners->has(listen_at("127.0.0.1").endpoint));
    set.listeners->replace(std::move(*wanted));
    CHECK(set.listeners->has(listen_at("127.0.0.1").endpoint));
    const Fd client = connect_to(first_fd);
    CHECK(waiting_at(set) == first_fd);

    Config fewer = listening_at({"127.0.0.1"});
    fewer.listens[0].every_export = false;
    fewer.listens[0].default_export = "root";
    wanted = set.listeners->prepare(fewer);
    REQUIRE(wanted.has_value());
    set.listeners->replace(std::move(*wanted));
    CHECK(waiting_at(set) == first_fd);
    CHECK(set.listeners->find(first_fd)->scope == ListenScope{false, "root"});
    CHECK(set.listeners->find(second_fd) == nullptr);
    CHECK_FALSE(set.listeners->has(listen_at("127.0.0.2").endpoint));
}

TEST_CASE("listeners that were only prepared change nothing") {
    Set set({"127.0.0.1"});
    {
        const auto wanted =
            set.listeners->prepare(listening_at({"127.0.0.1", "127.0.0.2"}), bound_at(1, bound_socket()));
        REQUIRE(wanted.has_value());
        CHECK(wanted->front().sockets.empty());
    }
    CHECK(set.listeners->has(listen_at("127.0.0.1").endpoint));
    CHECK_FALSE(set.listeners->has(listen_at("127.0.0.2").endpoint));
}

TEST_CASE("held listeners leave clients in the kernel's queue until the time has come") {
    Set set({});
    Fd socket = bound_socket();
    const int fd = socket.get();
    set.listeners->replace(
        *set.listeners->prepare(listening_at({"127.0.0.1"}), bound_at(0, std::move(socket))));
    CHECK(set.listeners->deadline() == no_deadline);
    const Clock::time_point now = Clock::now();
    set.listeners->hold(now + 1s);
    set.listeners->hold(now + 2s);
    CHECK(set.listeners->deadline() == now + 2s);
    const Fd client = connect_to(fd);
    CHECK(set.ready() == -1);
    set.listeners->on_time(now + 1s);
    CHECK(set.ready() == -1);
    set.listeners->on_time(now + 2s);
    CHECK(waiting_at(set) == fd);
    CHECK(set.listeners->deadline() == no_deadline);
}

TEST_CASE("an endpoint that a reload adds while listeners are held is watched afterwards") {
    Set set({});
    set.listeners->hold(Clock::now());
    Fd socket = bound_socket();
    const int fd = socket.get();
    set.listeners->replace(
        *set.listeners->prepare(listening_at({"127.0.0.1"}), bound_at(0, std::move(socket))));
    const Fd client = connect_to(fd);
    CHECK(set.ready() == -1);
    set.listeners->on_time(Clock::now());
    CHECK(waiting_at(set) == fd);
}

TEST_CASE("closed listeners accept nobody any more, and keep their places") {
    Set set({});
    Fd socket = bound_socket();
    const int fd = socket.get();
    set.listeners->replace(
        *set.listeners->prepare(listening_at({"127.0.0.1"}), bound_at(0, std::move(socket))));
    const Fd client = connect_to(fd);
    set.listeners->close();
    CHECK(set.ready() == -1);
    CHECK(set.listeners->find(fd) == nullptr);
    CHECK(set.listeners->deadline() == no_deadline);
}

TEST_CASE("an address that this machine does not have is reported at its place in the configuration") {
    Epoll epoll;
    REQUIRE(epoll.open());
    ListenerSet listeners(epoll, InheritedSockets(), std::nullopt);
    Config config = listening_at({"192.0.2.1"});
    config.listens[0].position = {"server.conf", 7};
    const auto opened = listeners.open(config);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().starts_with("server.conf:7: cannot listen on 192.0.2.1"));
}

TEST_CASE("a socket from the service manager serves every export, and stays over each reload") {
    const Fd socket = bound_socket();
    Given given(socket);
    Epoll epoll;
    REQUIRE(epoll.open());
    ListenerSet listeners(epoll, std::move(given.sockets), std::nullopt);
    Config config;
    REQUIRE(listeners.open(config).has_value());
    const ListenerSet::Listener* found = listeners.find(Given::descriptor);
    REQUIRE(found != nullptr);
    CHECK(found->scope == ListenScope{true, {}});
    CHECK(found->given);
    listeners.replace(*listeners.prepare(config));
    found = listeners.find(Given::descriptor);
    REQUIRE(found != nullptr);
    const Fd client = connect_to(Given::descriptor);
    std::array<epoll_event, 4> events;
    CHECK(epoll.wait(events, 1000).size() == 1);
}

TEST_CASE(
    "the path of a UNIX socket is this process's to remove, unless the service manager gave the socket") {
    UnixSocket mine;
    Config config;
    config.listens.emplace_back();
    config.listens[0].endpoint = {.host = {}, .port = 0, .unix_path = mine.path};
    SUBCASE("created by this process") {
        Set set({});
        set.listeners->replace(*set.listeners->prepare(config, bound_at(0, std::move(mine.fd))));
        CHECK(set.listeners->created_paths() == std::set<std::string>{mine.path});
    }
    SUBCASE("given") {
        Given given(mine.fd);
        Epoll epoll;
        REQUIRE(epoll.open());
        ListenerSet listeners(epoll, std::move(given.sockets), std::nullopt);
        REQUIRE(listeners.open(config).has_value());
        CHECK(listeners.find(Given::descriptor) != nullptr);
        CHECK(listeners.created_paths().empty());
    }
}
