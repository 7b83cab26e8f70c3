// Sends a request, then reads messages until its acknowledgement or error.

#include "client/kernel/netlink.hh"

#include <linux/nbd-netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <sys/socket.h>

#include <array>
#include <utility>

namespace holdfast::client {
namespace {

struct FreeSocket {
    void operator()(nl_sock* socket) const noexcept { ::nl_socket_free(socket); }
};
struct FreeMessage {
    void operator()(nl_msg* message) const noexcept { ::nlmsg_free(message); }
};
using Socket = std::unique_ptr<nl_sock, FreeSocket>;
using Message = std::unique_ptr<nl_msg, FreeMessage>;

// Maps libnl's error codes; ask() reads the errno of the kernel's answer.
int errno_of(int nl_code) {
    switch (nl_code < 0 ? -nl_code : nl_code) {
        case NLE_OBJ_NOTFOUND: return ENOENT;
        case NLE_NOMEM: return ENOMEM;
        case NLE_PERM:
        case NLE_NOACCESS: return EPERM;
        case NLE_BUSY: return EBUSY;
        case NLE_NODEV: return ENODEV;
        case NLE_EXIST: return EEXIST;
        case NLE_RANGE:
        case NLE_INVAL: return EINVAL;
        case NLE_AGAIN: return EAGAIN;
        case NLE_OPNOTSUPP: return EOPNOTSUPP;
        default: return EIO;
    }
}

struct Answer {
    int code = 0;  // an errno value
    std::optional<std::uint32_t> index;
};

// Buffer for receiving a message at a time.
using Room = std::array<std::uint8_t, 8192>;

std::optional<std::uint32_t> index_in(nlmsghdr* message) {
    std::array<nlattr*, NBD_ATTR_MAX + 1> attributes{};
    if (::genlmsg_parse(message, 0, attributes.data(), NBD_ATTR_MAX, nullptr) < 0) return std::nullopt;
    if (attributes[NBD_ATTR_INDEX] == nullptr) return std::nullopt;
    return ::nla_get_u32(attributes[NBD_ATTR_INDEX]);
}

bool put_sockets(nl_msg* message, std::span<const int> sockets) {
    nlattr* const list = ::nla_nest_start(message, NBD_ATTR_SOCKETS);
    if (list == nullptr) return false;
    for (const int socket : sockets) {
        nlattr* const item = ::nla_nest_start(message, NBD_SOCK_ITEM);
        if (item == nullptr || ::nla_put_u32(message, NBD_SOCK_FD, static_cast<std::uint32_t>(socket)) < 0)
            return false;
        ::nla_nest_end(message, item);
    }
    ::nla_nest_end(message, list);
    return true;
}

bool put_u64(nl_msg* message, int attribute, std::uint64_t value) {
    return ::nla_put_u64(message, attribute, value) == 0;
}

std::uint64_t seconds_of(std::chrono::seconds duration) {
    return static_cast<std::uint64_t>(duration.count());
}

}  // namespace

struct Netlink::State {
    Socket requests;
    Socket events;
    int family = 0;
    Message message;  // buffer of every request
    std::uint32_t sequence = 0;
    Room room;

    // Resets the message to its head only.
    [[nodiscard]] nl_msg* begin(std::uint8_t command) noexcept {
        ::nlmsg_hdr(message.get())->nlmsg_len = NLMSG_HDRLEN;
        const bool begun = ::genlmsg_put(message.get(), NL_AUTO_PORT, ++sequence, family, 0,
                                         NLM_F_REQUEST | NLM_F_ACK, command, NBD_GENL_VERSION) != nullptr;
        return begun ? message.get() : nullptr;
    }
    Result<Answer> ask(const char* call) noexcept;
};

Netlink::Netlink(std::unique_ptr<State> state) : state_(std::move(state)) {}
Netlink::Netlink(Netlink&&) noexcept = default;
Netlink& Netlink::operator=(Netlink&&) noexcept = default;
Netlink::~Netlink() = default;

Result<Netlink> Netlink::open() {
    auto state = std::make_unique<State>();
    state->requests.reset(::nl_socket_alloc());
    state->events.reset(::nl_socket_alloc());
    if (!state->requests || !state->events) return std::unexpected(SysError{ENOMEM, "nl_socket_alloc"});
    for (nl_sock* const socket : {state->requests.get(), state->events.get()})
        if (const int code = ::genl_connect(socket); code < 0)
            return std::unexpected(SysError{errno_of(code), "genl_connect"});
    state->family = ::genl_ctrl_resolve(state->requests.get(), NBD_GENL_FAMILY_NAME);
    if (state->family < 0) return std::unexpected(SysError{errno_of(state->family), "netlink family nbd"});
    const int group =
        ::genl_ctrl_resolve_grp(state->requests.get(), NBD_GENL_FAMILY_NAME, NBD_GENL_MCAST_GROUP_NAME);
    if (group < 0) return std::unexpected(SysError{errno_of(group), "netlink group nbd_mc_group"});
    if (const int code = ::nl_socket_add_membership(state->events.get(), group); code < 0)
        return std::unexpected(SysError{errno_of(code), "netlink group nbd_mc_group"});
    ::nl_socket_set_nonblocking(state->events.get());
    constexpr std::size_t longest_request = 1024;  // an identifier, some numbers, a few sockets
    state->message.reset(::nlmsg_alloc_size(longest_request));
    if (!state->message) return std::unexpected(SysError{ENOMEM, "nlmsg_alloc"});
    return Netlink(std::move(state));
}

// The kernel executes a request within send(), so its answer is available when send() returns.
Result<Answer> Netlink::State::ask(const char* call) noexcept {
    const nlmsghdr* const request = ::nlmsg_hdr(message.get());
    const int socket = ::nl_socket_get_fd(requests.get());
    while (::send(socket, request, request->nlmsg_len, 0) < 0)
        if (errno != EINTR) return sys_error(call);
    Answer answer;
    for (;;) {
        const ssize_t count = ::recv(socket, room.data(), room.size(), 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return sys_error(call);
        int left = static_cast<int>(count);
        for (auto* head = reinterpret_cast<nlmsghdr*>(room.data()); ::nlmsg_ok(head, left) != 0;
             head = ::nlmsg_next(head, &left)) {
            if (head->nlmsg_seq != sequence) continue;  // answer to a request interrupted by a signal
            if (head->nlmsg_type != NLMSG_ERROR) {
                answer.index = index_in(head);
                continue;
            }
            answer.code = -static_cast<const nlmsgerr*>(::nlmsg_data(head))->error;
            if (answer.code != 0) return std::unexpected(SysError{answer.code, call});
            return answer;
        }
    }
}

namespace {

bool put_device(nl_msg* message, const DeviceConfiguration& configuration) noexcept {
    if (configuration.index && ::nla_put_u32(message, NBD_ATTR_INDEX, *configuration.index) != 0)
        return false;
    return put_u64(message, NBD_ATTR_SIZE_BYTES, configuration.size) &&
           put_u64(message, NBD_ATTR_BLOCK_SIZE_BYTES, configuration.block_size) &&
           put_u64(message, NBD_ATTR_SERVER_FLAGS, configuration.server_flags) &&
           put_u64(message, NBD_ATTR_TIMEOUT, seconds_of(configuration.request_timeout)) &&
           put_u64(message, NBD_ATTR_DEAD_CONN_TIMEOUT, seconds_of(practically_for_ever)) &&
           ::nla_put_string(message, NBD_ATTR_BACKEND_IDENTIFIER, configuration.identifier.c_str()) == 0;
}

}  // namespace

Result<std::uint32_t> Netlink::connect(const DeviceConfiguration& configuration,
                                       std::span<const int> sockets) noexcept {
    nl_msg* const message = state_->begin(NBD_CMD_CONNECT);
    if (message == nullptr || !put_device(message, configuration) || !put_sockets(message, sockets))
        return std::unexpected(SysError{EMSGSIZE, "NBD_CMD_CONNECT"});
    auto answer = state_->ask("NBD_CMD_CONNECT");
    if (!answer) return std::unexpected(answer.error());
    if (answer->index) return *answer->index;
    if (configuration.index) return *configuration.index;
    return std::unexpected(SysError{EPROTO, "NBD_CMD_CONNECT"});
}

Result<void> Netlink::reconfigure(std::uint32_t index, const std::string& identifier,
                                  const DeviceChange& change) noexcept {
    nl_msg* const message = state_->begin(NBD_CMD_RECONFIGURE);
    const bool complete =
        message != nullptr && ::nla_put_u32(message, NBD_ATTR_INDEX, index) == 0 &&
        (identifier.empty() ||
         ::nla_put_string(message, NBD_ATTR_BACKEND_IDENTIFIER, identifier.c_str()) == 0) &&
        (!change.size || put_u64(message, NBD_ATTR_SIZE_BYTES, *change.size)) &&
        (!change.dead_connection_timeout ||
         put_u64(message, NBD_ATTR_DEAD_CONN_TIMEOUT, seconds_of(*change.dead_connection_timeout))) &&
        (!change.socket || put_sockets(message, {&*change.socket, 1}));
    if (!complete) return std::unexpected(SysError{EMSGSIZE, "NBD_CMD_RECONFIGURE"});
    auto answer = state_->ask("NBD_CMD_RECONFIGURE");
    if (!answer) return std::unexpected(answer.error());
    return {};
}

Result<void> Netlink::disconnect(std::uint32_t index) noexcept {
    nl_msg* const message = state_->begin(NBD_CMD_DISCONNECT);
    if (message == nullptr || ::nla_put_u32(message, NBD_ATTR_INDEX, index) != 0)
        return std::unexpected(SysError{EMSGSIZE, "NBD_CMD_DISCONNECT"});
    auto answer = state_->ask("NBD_CMD_DISCONNECT");
    if (!answer) return std::unexpected(answer.error());
    return {};
}

int Netlink::events_descriptor() const noexcept { return ::nl_socket_get_fd(state_->events.get()); }

Netlink::LinkDead Netlink::take_link_dead(std::uint32_t index) noexcept {
    LinkDead found = LinkDead::no;
    for (;;) {
        const ssize_t count =
            ::recv(events_descriptor(), state_->room.data(), state_->room.size(), MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        // Treats every error except EAGAIN as lost events, since the queue may have overflowed (ENOBUFS).
        if (count < 0) {
            const bool lost = errno != EAGAIN && errno != EWOULDBLOCK;
            return lost && found == LinkDead::no ? LinkDead::unknown : found;
        }
        int left = static_cast<int>(count);
        for (auto* head = reinterpret_cast<nlmsghdr*>(state_->room.data()); ::nlmsg_ok(head, left) != 0;
             head = ::nlmsg_next(head, &left)) {
            if (head->nlmsg_type != state_->family) continue;
            const auto* const body = static_cast<const genlmsghdr*>(::nlmsg_data(head));
            if (body->cmd == NBD_CMD_LINK_DEAD && index_in(head) == index) found = LinkDead::yes;
        }
    }
}

}  // namespace holdfast::client
