// Answers are read with receive functions of our own choosing: each request is sent, and messages are taken
// until its acknowledgement or its error.

#include "client/netlink.hh"

#include <linux/nbd-netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

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

// A dead connection keeps its I/O waiting for so long: practically for ever, but seconds times HZ (at most
// 1000) must fit the kernel's long. Ten years where that has 64 bits, else twenty days.
constexpr std::uint64_t practically_for_ever = sizeof(long) == 8 ? 315'360'000 : 1'728'000;

// libnl's codes for what failed; the errno of the kernel's answer comes by handle_error() below.
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
    bool ended = false;
    int code = 0;  // an errno value
    std::optional<std::uint32_t> index;
};

int take_answer(nl_msg* message, void* argument) {
    auto& answer = *static_cast<Answer*>(argument);
    std::array<nlattr*, NBD_ATTR_MAX + 1> attributes{};
    if (::genlmsg_parse(::nlmsg_hdr(message), 0, attributes.data(), NBD_ATTR_MAX, nullptr) < 0)
        return NL_SKIP;
    if (attributes[NBD_ATTR_INDEX] != nullptr) answer.index = ::nla_get_u32(attributes[NBD_ATTR_INDEX]);
    return NL_OK;
}

int take_acknowledgement(nl_msg*, void* argument) {
    static_cast<Answer*>(argument)->ended = true;
    return NL_STOP;
}

int take_error(sockaddr_nl*, nlmsgerr* error, void* argument) {
    auto& answer = *static_cast<Answer*>(argument);
    answer.ended = true;
    answer.code = -error->error;
    return NL_STOP;
}

int take_event(nl_msg* message, void* argument) {
    auto& [index, dead] = *static_cast<std::pair<std::uint32_t, bool>*>(argument);
    std::array<nlattr*, NBD_ATTR_MAX + 1> attributes{};
    const auto* head = static_cast<genlmsghdr*>(::nlmsg_data(::nlmsg_hdr(message)));
    if (head->cmd != NBD_CMD_LINK_DEAD) return NL_SKIP;
    if (::genlmsg_parse(::nlmsg_hdr(message), 0, attributes.data(), NBD_ATTR_MAX, nullptr) < 0)
        return NL_SKIP;
    if (attributes[NBD_ATTR_INDEX] != nullptr && ::nla_get_u32(attributes[NBD_ATTR_INDEX]) == index)
        dead = true;
    return NL_OK;
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

    [[nodiscard]] Message message(std::uint8_t command) const {
        Message message(::nlmsg_alloc());
        if (!message || ::genlmsg_put(message.get(), NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, command,
                                      NBD_GENL_VERSION) == nullptr)
            return nullptr;
        return message;
    }
    Result<Answer> ask(Message message, const char* call) const;
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
    ::nl_socket_disable_seq_check(state->events.get());
    if (const int code = ::nl_socket_add_membership(state->events.get(), group); code < 0)
        return std::unexpected(SysError{errno_of(code), "netlink group nbd_mc_group"});
    ::nl_socket_set_nonblocking(state->events.get());
    return Netlink(std::move(state));
}

Result<Answer> Netlink::State::ask(Message message, const char* call) const {
    if (!message) return std::unexpected(SysError{ENOMEM, call});
    std::unique_ptr<nl_cb, decltype(&::nl_cb_put)> callbacks(::nl_cb_alloc(NL_CB_DEFAULT), &::nl_cb_put);
    if (!callbacks) return std::unexpected(SysError{ENOMEM, call});
    Answer answer;
    ::nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, take_answer, &answer);
    ::nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, take_acknowledgement, &answer);
    ::nl_cb_err(callbacks.get(), NL_CB_CUSTOM, take_error, &answer);
    if (const int code = ::nl_send_auto(requests.get(), message.get()); code < 0)
        return std::unexpected(SysError{errno_of(code), call});
    while (!answer.ended) {
        const int code = ::nl_recvmsgs(requests.get(), callbacks.get());
        // NLE_INTR does not exist: libnl repeats an interrupted receive itself.
        if (code < 0 && !answer.ended) return std::unexpected(SysError{errno_of(code), call});
    }
    if (answer.code != 0) return std::unexpected(SysError{answer.code, call});
    return answer;
}

Result<std::uint32_t> Netlink::connect(const DeviceConfiguration& configuration,
                                       std::span<const int> sockets) {
    Message message = state_->message(NBD_CMD_CONNECT);
    const bool complete =
        message &&
        (!configuration.index || ::nla_put_u32(message.get(), NBD_ATTR_INDEX, *configuration.index) == 0) &&
        put_u64(message.get(), NBD_ATTR_SIZE_BYTES, configuration.size) &&
        put_u64(message.get(), NBD_ATTR_BLOCK_SIZE_BYTES, configuration.block_size) &&
        put_u64(message.get(), NBD_ATTR_SERVER_FLAGS, configuration.server_flags) &&
        put_u64(message.get(), NBD_ATTR_TIMEOUT, seconds_of(configuration.request_timeout)) &&
        put_u64(message.get(), NBD_ATTR_DEAD_CONN_TIMEOUT, practically_for_ever) &&
        ::nla_put_string(message.get(), NBD_ATTR_BACKEND_IDENTIFIER, configuration.identifier.c_str()) == 0 &&
        put_sockets(message.get(), sockets);
    if (!complete) return std::unexpected(SysError{ENOMEM, "NBD_CMD_CONNECT"});
    auto answer = state_->ask(std::move(message), "NBD_CMD_CONNECT");
    if (!answer) return std::unexpected(answer.error());
    if (answer->index) return *answer->index;
    if (configuration.index) return *configuration.index;
    return std::unexpected(SysError{EPROTO, "NBD_CMD_CONNECT"});
}

Result<void> Netlink::reconfigure(std::uint32_t index, std::string_view identifier,
                                  const DeviceChange& change) {
    Message message = state_->message(NBD_CMD_RECONFIGURE);
    const std::string name(identifier);
    const bool complete =
        message && ::nla_put_u32(message.get(), NBD_ATTR_INDEX, index) == 0 &&
        (name.empty() || ::nla_put_string(message.get(), NBD_ATTR_BACKEND_IDENTIFIER, name.c_str()) == 0) &&
        (!change.size || put_u64(message.get(), NBD_ATTR_SIZE_BYTES, *change.size)) &&
        (!change.dead_connection_timeout ||
         put_u64(message.get(), NBD_ATTR_DEAD_CONN_TIMEOUT, seconds_of(*change.dead_connection_timeout))) &&
        (!change.socket || put_sockets(message.get(), {&*change.socket, 1}));
    if (!complete) return std::unexpected(SysError{ENOMEM, "NBD_CMD_RECONFIGURE"});
    auto answer = state_->ask(std::move(message), "NBD_CMD_RECONFIGURE");
    if (!answer) return std::unexpected(answer.error());
    return {};
}

Result<void> Netlink::disconnect(std::uint32_t index) {
    Message message = state_->message(NBD_CMD_DISCONNECT);
    if (!message || ::nla_put_u32(message.get(), NBD_ATTR_INDEX, index) != 0)
        return std::unexpected(SysError{ENOMEM, "NBD_CMD_DISCONNECT"});
    auto answer = state_->ask(std::move(message), "NBD_CMD_DISCONNECT");
    if (!answer) return std::unexpected(answer.error());
    return {};
}

int Netlink::events_descriptor() const noexcept { return ::nl_socket_get_fd(state_->events.get()); }

bool Netlink::take_link_dead(std::uint32_t index) {
    std::pair<std::uint32_t, bool> found{index, false};
    std::unique_ptr<nl_cb, decltype(&::nl_cb_put)> callbacks(::nl_cb_alloc(NL_CB_DEFAULT), &::nl_cb_put);
    if (!callbacks) return true;
    ::nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, take_event, &found);
    ::nl_cb_set(
        callbacks.get(), NL_CB_SEQ_CHECK, NL_CB_CUSTOM, [](nl_msg*, void*) -> int { return NL_OK; }, nullptr);
    for (;;) {
        const int code = ::nl_recvmsgs_report(state_->events.get(), callbacks.get());
        if (code > 0) continue;
        // Anything but "nothing waits" may be the queue that ran over (NLE_NOMEM for ENOBUFS).
        if (code < 0 && code != -NLE_AGAIN) found.second = true;
        break;
    }
    return found.second;
}

}  // namespace holdfast::client
