// Stands in for libnl's functions that need the kernel's nbd module; the sockets are then exchanged for
// pairs.

#include "tests/unit/client/kernel/fake_driver.hh"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

struct nl_sock;

extern "C" {
int nl_connect(nl_sock* socket, int protocol);
int nl_socket_get_fd(const nl_sock* socket);
// Replace libnl's.
int genl_connect(nl_sock* socket);
int genl_ctrl_resolve(nl_sock* socket, const char* name);
int genl_ctrl_resolve_grp(nl_sock* socket, const char* family, const char* group);
int nl_socket_add_membership(nl_sock* socket, int group);
}

namespace {

// Descriptors of the sockets that were opened last: for requests, for events.
std::vector<int>& opened() {
    static std::vector<int> descriptors;
    return descriptors;
}

}  // namespace

int genl_connect(nl_sock* socket) {
    const int code = nl_connect(socket, NETLINK_GENERIC);
    opened().push_back(nl_socket_get_fd(socket));
    return code;
}
int genl_ctrl_resolve(nl_sock*, const char* name) {
    return std::string_view(name) == "nbd" ? holdfast::client::driver::family : -1;
}
int genl_ctrl_resolve_grp(nl_sock*, const char*, const char* group) {
    return std::string_view(group) == "nbd_mc_group" ? 1 : -1;
}
int nl_socket_add_membership(nl_sock*, int) { return 0; }

namespace holdfast::client {
namespace {

// Appends an object's bytes, padded to four as in netlink's messages.
template <typename Object>
void append(std::string& bytes, const Object& object) {
    bytes.append(reinterpret_cast<const char*>(&object), sizeof object);
    bytes.resize((bytes.size() + 3) / 4 * 4);
}

// Replaces the open descriptor by an end of a new pair; returns the other end.
Fd exchange(int descriptor) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
    const Fd theirs(ends[0]);
    REQUIRE(::dup2(theirs.get(), descriptor) == descriptor);
    return Fd(ends[1]);
}

std::map<std::uint16_t, std::string> attributes_in(std::string_view bytes) {
    std::map<std::uint16_t, std::string> found;
    nlattr head{};
    while (bytes.size() >= sizeof head) {
        std::memcpy(&head, bytes.data(), sizeof head);
        REQUIRE(head.nla_len >= sizeof head);
        REQUIRE(head.nla_len <= bytes.size());
        const auto type = static_cast<std::uint16_t>(head.nla_type & NLA_TYPE_MASK);
        CHECK_FALSE(found.contains(type));
        found[type] = std::string(bytes.substr(sizeof head, head.nla_len - sizeof head));
        bytes.remove_prefix(std::min<std::size_t>((head.nla_len + 3U) / 4 * 4, bytes.size()));
    }
    return found;
}

}  // namespace

Netlink FakeDriver::open() {
    opened().clear();
    auto netlink = Netlink::open();
    REQUIRE(netlink);
    REQUIRE(opened().size() == 2);
    requests_ = exchange(opened()[0]);
    events_ = exchange(opened()[1]);
    return std::move(*netlink);
}

std::uint64_t FakeDriver::Request::number(std::uint16_t type) const {
    REQUIRE(has(type));
    const std::string& data = attributes.at(type);
    if (data.size() == sizeof(std::uint32_t)) {
        std::uint32_t value = 0;
        std::memcpy(&value, data.data(), sizeof value);
        return value;
    }
    std::uint64_t value = 0;
    REQUIRE(data.size() == sizeof value);
    std::memcpy(&value, data.data(), sizeof value);
    return value;
}

int FakeDriver::Request::socket() const {
    constexpr std::uint16_t item = 1;
    constexpr std::uint16_t descriptor = 1;
    REQUIRE(has(driver::sockets));
    const auto items = attributes_in(attributes.at(driver::sockets));
    REQUIRE(items.contains(item));
    Request inner;
    inner.attributes = attributes_in(items.at(item));
    return static_cast<int>(inner.number(descriptor));
}

std::optional<FakeDriver::Request> FakeDriver::take() {
    std::array<char, 4096> bytes;
    const ssize_t count = ::recv(requests_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count <= 0) return std::nullopt;
    nlmsghdr head{};
    genlmsghdr command{};
    const std::string_view text(bytes.data(), static_cast<std::size_t>(count));
    REQUIRE(text.size() >= sizeof head + sizeof command);
    std::memcpy(&head, text.data(), sizeof head);
    std::memcpy(&command, text.data() + sizeof head, sizeof command);
    CHECK(head.nlmsg_len == text.size());
    CHECK(head.nlmsg_type == driver::family);
    CHECK(head.nlmsg_flags == (NLM_F_REQUEST | NLM_F_ACK));
    CHECK(command.version == 1);
    return Request{command.cmd, attributes_in(text.substr(sizeof head + sizeof command))};
}

void FakeDriver::send(int socket, std::uint16_t type, std::uint32_t sequence, const std::string& body) {
    nlmsghdr head{};
    head.nlmsg_len = static_cast<std::uint32_t>(sizeof head + body.size());
    head.nlmsg_type = type;
    head.nlmsg_seq = sequence;
    std::string bytes;
    append(bytes, head);
    bytes += body;
    REQUIRE(::send(socket, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
}

namespace {

std::string about_index(std::uint8_t command, std::uint32_t index) {
    std::string body;
    append(body, genlmsghdr{.cmd = command, .version = 1, .reserved = 0});
    append(body, nlattr{.nla_len = sizeof(nlattr) + sizeof index, .nla_type = driver::index});
    append(body, index);
    return body;
}

std::string error_with(int code) {
    std::string body;
    append(body, nlmsgerr{.error = -code, .msg = {}});
    return body;
}

}  // namespace

void FakeDriver::answer(int code, std::optional<std::uint32_t> index) {
    ++sequence_;
    if (index) send(requests_.get(), driver::family, sequence_, about_index(driver::connect, *index));
    send(requests_.get(), NLMSG_ERROR, sequence_, error_with(code));
}

void FakeDriver::answer_late(int code) { send(requests_.get(), NLMSG_ERROR, sequence_, error_with(code)); }

void FakeDriver::send_event(std::uint8_t command, std::uint32_t index, std::uint16_t family) {
    send(events_.get(), family, 0, about_index(command, index));
}

}  // namespace holdfast::client
