// SOCK_DESTROY of sock_diag(7). The cookie keeps a later connection of the same addresses safe.

#include "client/socket_name.hh"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <span>

#include "common/linux/fd.hh"

namespace holdfast::client {
namespace {

struct Address {
    sockaddr_storage bytes{};
    socklen_t length = sizeof bytes;
};

void add_hex(SocketName& name, const Address& address) noexcept {
    const auto* bytes = reinterpret_cast<const unsigned char*>(&address.bytes);
    name.append(" ");
    for (socklen_t i = 0; i < address.length; ++i) name.add("{:02x}", static_cast<unsigned>(bytes[i]));
}

bool is_inet(const Address& address) noexcept {
    return address.bytes.ss_family == AF_INET || address.bytes.ss_family == AF_INET6;
}

std::string_view take_word(std::string_view& rest) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return word;
}

std::optional<Address> read_address(std::string_view digits) {
    Address address;
    if (digits.empty() || digits.size() % 2 != 0 || digits.size() / 2 > sizeof address.bytes)
        return std::nullopt;
    address.length = static_cast<socklen_t>(digits.size() / 2);
    auto* bytes = reinterpret_cast<unsigned char*>(&address.bytes);
    for (std::size_t i = 0; i < address.length; ++i) {
        const char* pair = digits.data() + 2 * i;
        if (std::from_chars(pair, pair + 2, bytes[i], 16).ptr != pair + 2) return std::nullopt;
    }
    const bool whole = address.bytes.ss_family == AF_INET6 ? address.length >= sizeof(sockaddr_in6)
                                                           : address.length >= sizeof(sockaddr_in);
    return is_inet(address) && whole ? std::optional(address) : std::nullopt;
}

// An address as socket diagnostics have it: four words, of which IPv4 uses one.
void put_address(const Address& address, __be32 (&words)[4], __be16& port) {
    if (address.bytes.ss_family == AF_INET6) {
        sockaddr_in6 inet6{};
        std::memcpy(&inet6, &address.bytes, sizeof inet6);
        std::memcpy(words, &inet6.sin6_addr, sizeof words);
        port = inet6.sin6_port;
        return;
    }
    sockaddr_in inet{};
    std::memcpy(&inet, &address.bytes, sizeof inet);
    words[0] = inet.sin_addr.s_addr;
    port = inet.sin_port;
}

std::optional<inet_diag_req_v2> read_name(std::string_view name) {
    std::uint64_t cookie = 0;
    const std::string_view number = take_word(name);
    const auto read = std::from_chars(number.data(), number.data() + number.size(), cookie);
    const auto local = read_address(take_word(name));
    const auto remote = read_address(take_word(name));
    if (read.ec != std::errc{} || !local || !remote || local->bytes.ss_family != remote->bytes.ss_family)
        return std::nullopt;
    inet_diag_req_v2 request{};
    request.sdiag_family = static_cast<__u8>(local->bytes.ss_family);
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_states = ~0U;
    put_address(*local, request.id.idiag_src, request.id.idiag_sport);
    put_address(*remote, request.id.idiag_dst, request.id.idiag_dport);
    // A link-local address is one of an interface's.
    if (local->bytes.ss_family == AF_INET6) {
        sockaddr_in6 inet6{};
        std::memcpy(&inet6, &local->bytes, sizeof inet6);
        request.id.idiag_if = inet6.sin6_scope_id;
    }
    request.id.idiag_cookie[0] = static_cast<__u32>(cookie);
    request.id.idiag_cookie[1] = static_cast<__u32>(cookie >> 32);
    return request;
}

}  // namespace

SocketName name_of_socket(int socket) noexcept {
    std::uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    Address local;
    Address remote;
    if (::getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &length) != 0 ||
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&local.bytes), &local.length) != 0 ||
        ::getpeername(socket, reinterpret_cast<sockaddr*>(&remote.bytes), &remote.length) != 0 ||
        !is_inet(local))
        return {};
    SocketName name = SocketName::of("{}", cookie);
    add_hex(name, local);
    add_hex(name, remote);
    return name;
}

Result<void> destroy_socket(std::string_view name) {
    const auto wanted = read_name(name);
    if (!wanted) return std::unexpected(SysError{EINVAL, "the socket's name"});
    const Fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!netlink) return sys_error("socket diagnostics");
    struct {
        nlmsghdr head;
        inet_diag_req_v2 body;
    } request{};
    request.head.nlmsg_len = sizeof request;
    request.head.nlmsg_type = SOCK_DESTROY;
    request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    request.body = *wanted;
    if (::send(netlink.get(), &request, sizeof request, 0) < 0) return sys_error("SOCK_DESTROY");
    struct {
        nlmsghdr head;
        nlmsgerr error;
    } answer{};
    if (::recv(netlink.get(), &answer, sizeof answer, 0) <
        static_cast<ssize_t>(sizeof answer.head + sizeof(int)))
        return sys_error("SOCK_DESTROY");
    const int code = answer.head.nlmsg_type == NLMSG_ERROR ? -answer.error.error : EPROTO;
    if (code == 0 || code == ENOENT) return {};
    return std::unexpected(SysError{code, "SOCK_DESTROY"});
}

}  // namespace holdfast::client
