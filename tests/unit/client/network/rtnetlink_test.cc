// Answers of the kernel and the requests that they belong to: the test is the kernel, behind a pair of
// sockets.
#include "client/network/rtnetlink.hh"

#include <doctest/doctest.h>
#include <errno.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <span>
#include <thread>
#include <utility>
#include <vector>

using namespace holdfast;
using namespace holdfast::client;

namespace {

struct Acknowledgement {
    nlmsghdr head{};
    std::int32_t error = 0;
};
struct Interface {
    nlmsghdr head{};
    ifinfomsg body{};
};
struct Route {
    nlmsghdr head{};
    rtmsg body{};
    rtattr attribute{};
    std::uint32_t interface = 0;
};

template <class Message>
Message message_of(std::uint16_t type, std::uint32_t sequence) {
    Message message{};
    message.head.nlmsg_len = sizeof message;
    message.head.nlmsg_type = type;
    message.head.nlmsg_seq = sequence;
    return message;
}

class Kernel {
public:
    Kernel() {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
        ours_.reset(ends[0]);
        theirs_.reset(ends[1]);
    }
    [[nodiscard]] Rtnetlink netlink() { return {std::move(theirs_), Fd{}}; }

    template <class Message>
    void send(const Message& message) const {
        (void)::send(ours_.get(), &message, sizeof message, MSG_NOSIGNAL);
    }
    void acknowledge(std::uint32_t sequence, int error, std::uint16_t type = NLMSG_ERROR) const {
        auto message = message_of<Acknowledgement>(type, sequence);
        message.error = -error;
        send(message);
    }
    void name_interface(std::uint32_t sequence, int index) const {
        auto message = message_of<Interface>(RTM_NEWLINK, sequence);
        message.body.ifi_index = index;
        send(message);
    }
    void name_route(std::uint32_t sequence, std::uint32_t interface) const {
        auto message = message_of<Route>(RTM_NEWROUTE, sequence);
        message.body.rtm_family = AF_INET;
        message.attribute = {.rta_len = sizeof(rtattr) + sizeof interface, .rta_type = RTA_OIF};
        message.interface = interface;
        send(message);
    }
    // Waits for a request; returns its number.
    [[nodiscard]] std::uint32_t take() const {
        std::array<std::byte, 2048> room{};
        nlmsghdr head{};
        if (::recv(ours_.get(), room.data(), room.size(), 0) < static_cast<ssize_t>(sizeof head)) return 0;
        std::memcpy(&head, room.data(), sizeof head);
        return head.nlmsg_seq;
    }
    // Ends a request that waits for more answers.
    void leave() noexcept { ours_.reset(); }

private:
    Fd ours_;
    Fd theirs_;
};

// Runs `ask` while the kernel answers in a thread.
template <class Answer, class Ask>
void exchange(Kernel& kernel, Answer answer, Ask ask) {
    std::thread thread([&] {
        answer(kernel.take());
        kernel.leave();
    });
    ask();
    thread.join();
}

constexpr std::uint32_t earlier = 4711;

}  // namespace

TEST_CASE("an answer to an earlier request is not taken for that of a change") {
    Kernel kernel;
    const Rtnetlink netlink = kernel.netlink();
    kernel.acknowledge(earlier, EEXIST);
    exchange(
        kernel,
        [&](std::uint32_t sequence) {
            kernel.acknowledge(earlier, EEXIST);
            kernel.acknowledge(sequence, ENODEV);
        },
        [&] {
            const auto done = netlink.change(raise_request(7, {}), "RTM_NEWLINK");
            REQUIRE_FALSE(done);
            CHECK(done.error().code == ENODEV);
        });
}

TEST_CASE("an answer to an earlier request is not taken for the route of a later one") {
    Kernel kernel;
    const Rtnetlink netlink = kernel.netlink();
    kernel.name_route(earlier, 3);
    exchange(
        kernel,
        [&](std::uint32_t sequence) {
            kernel.acknowledge(earlier, ENETUNREACH);
            kernel.name_route(earlier, 3);
            kernel.name_route(sequence, 5);
        },
        [&] {
            const auto interface = netlink.interface_towards({AF_INET, {10, 0, 0, 1}}, 0);
            REQUIRE(interface);
            CHECK(*interface == 5);
        });
}

TEST_CASE("the rest of an earlier list neither fills nor ends a later one") {
    Kernel kernel;
    const Rtnetlink netlink = kernel.netlink();
    kernel.name_interface(earlier, 1);
    std::vector<std::uint32_t> found;
    exchange(
        kernel,
        [&](std::uint32_t sequence) {
            kernel.name_interface(earlier, 2);
            kernel.acknowledge(earlier, 0, NLMSG_DONE);
            kernel.name_interface(sequence, 3);
            kernel.acknowledge(sequence, 0, NLMSG_DONE);
        },
        [&] {
            CHECK(netlink.list(RTM_GETLINK, [&](const nlmsghdr& message) {
                if (const auto facts = read_interface(message)) found.push_back(facts->index);
            }));
        });
    CHECK(found == std::vector<std::uint32_t>{3});
}

TEST_CASE("each request has a number of its own") {
    Kernel kernel;
    const Rtnetlink netlink = kernel.netlink();
    std::vector<std::uint32_t> numbers;
    std::thread thread([&] {
        for (int i = 0; i < 2; ++i) {
            numbers.push_back(kernel.take());
            kernel.acknowledge(numbers.back(), 0);
        }
    });
    CHECK(netlink.change(raise_request(7, {}), "RTM_NEWLINK"));
    CHECK(netlink.change(raise_request(7, {}), "RTM_NEWLINK"));
    thread.join();
    REQUIRE(numbers.size() == 2);
    CHECK(numbers[0] != 0);
    CHECK(numbers[1] != 0);
    CHECK(numbers[0] != numbers[1]);
}
