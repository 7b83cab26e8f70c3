// The kernel's own messages are the memory, so that every attribute of an address or a route comes back.

#include "client/network/network_memory.hh"

#include <errno.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace holdfast::client {
namespace {

// Interfaces that take the hardware address of a port, and its addresses.
bool is_gathering(std::string_view kind) noexcept {
    return kind == "bridge" || kind == "bond" || kind == "team";
}

// A bridge, bond or team in place of its port, or a card in place of one of these.
bool stand_for_each_other(std::string_view lost, std::string_view candidate) noexcept {
    if (is_gathering(lost)) return candidate.empty();
    return is_gathering(candidate);
}

bool is_restorable(const AddressFacts& facts) noexcept {
    return facts.scope <= RT_SCOPE_LINK && (facts.flags & (IFA_F_TEMPORARY | IFA_F_DADFAILED)) == 0;
}

// Routes of router advertisements come back by themselves, and must expire.
bool is_restorable(const RouteFacts& facts) noexcept {
    return facts.table == RT_TABLE_MAIN && facts.type == RTN_UNICAST && facts.protocol != RTPROT_RA &&
           !facts.cached;
}

int fitness_of_same_kind(const InterfaceFacts& lost, const InterfaceFacts& candidate, bool same_hardware,
                         bool same_place) noexcept {
    const bool same_name = candidate.name == lost.name;
    if (same_name && candidate.index == lost.index) return 6;
    if (same_hardware) return same_name ? 5 : 4;
    return lost.kind.empty() && same_place ? 3 : 0;
}

}  // namespace

int fitness(const InterfaceFacts& lost, const InterfaceFacts& candidate, bool same_place) noexcept {
    if (candidate.index == 0 || candidate.master != 0) return 0;
    const bool same_hardware = !lost.hardware.empty() && candidate.hardware == lost.hardware;
    if (candidate.kind == lost.kind) return fitness_of_same_kind(lost, candidate, same_hardware, same_place);
    return same_hardware && stand_for_each_other(lost.kind, candidate.kind) ? 2 : 0;
}

// The link of a card in /sys/class/net leads to ".../pci0000:00/0000:00:03.0/virtio0/net/eth0".
NetworkMemory::Place NetworkMemory::place_of(const InterfaceName& name) const noexcept {
    std::array<char, 256> target{};
    const auto path = FixedText<17>::of("{}{}", name, '\0');
    // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): with its NUL
    const ssize_t length = ::readlinkat(interfaces_, path.view().data(), target.data(), target.size());
    const std::string_view text(target.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    const std::size_t end = text.find("/net/");
    return end == std::string_view::npos ? Place() : Place(text.substr(0, end));
}

InterfaceFacts NetworkMemory::facts_of(std::uint32_t index) const {
    InterfaceFacts found;
    if (index == 0) return found;
    (void)netlink_.list(RTM_GETLINK, [&](const nlmsghdr& message) {
        const auto facts = read_interface(message);
        if (facts && facts->index == index) found = *facts;
    });
    return found;
}

// Returns the port that was created first: a bridge gets those of virtual machines later.
InterfaceFacts NetworkMemory::first_port_of(std::uint32_t master) const {
    InterfaceFacts first;
    (void)netlink_.list(RTM_GETLINK, [&](const nlmsghdr& message) {
        const auto facts = read_interface(message);
        if (facts && facts->master == master && (first.index == 0 || facts->index < first.index))
            first = *facts;
    });
    return first;
}

// Returns the bridge, bond or team that gets the packets of a port; index 0: no port.
InterfaceFacts NetworkMemory::top_above(std::uint32_t port) const {
    constexpr int deepest = 4;
    InterfaceFacts top = facts_of(port);
    for (int depth = 0; depth < deepest && top.master != 0; ++depth) {
        const InterfaceFacts master = facts_of(top.master);
        if (!is_gathering(master.kind)) break;
        top = master;
    }
    return top.index == port ? InterfaceFacts() : top;
}

InterfaceFacts NetworkMemory::fittest(const InterfaceFacts& lost, const Place& place) const {
    InterfaceFacts best;
    int most = 0;
    (void)netlink_.list(RTM_GETLINK, [&](const nlmsghdr& message) {
        const auto facts = read_interface(message);
        if (!facts) return;
        const bool same_place = !place.empty() && place_of(facts->name) == place;
        const int value = fitness(lost, *facts, same_place);
        if (value <= most) return;
        most = value;
        best = *facts;
    });
    return best;
}

// Returns the interface that gets the packets of the remembered one: the bridge to which a card was added, or
// the first port of a bridge that has none any more. Index 0: the remembered one gets them itself.
InterfaceFacts NetworkMemory::successor() const {
    const InterfaceFacts above = top_above(lost_.index);
    if (above.index != 0) return above;
    if (port_.index == 0 || first_port_of(lost_.index).index != 0) return {};
    const InterfaceFacts port = fittest(port_, place_of_port_);
    return port.index != 0 ? port : top_above(port_.index);
}

InterfaceFacts NetworkMemory::find_card() const {
    if (lost_.index == 0) return {};
    const InterfaceFacts next = successor();
    return next.index != 0 ? next : fittest(lost_, place_);
}

InterfaceFacts NetworkMemory::interface_with(const IpAddress& address) const {
    std::uint32_t index = 0;
    (void)netlink_.list(RTM_GETADDR, [&](const nlmsghdr& message) {
        const auto facts = read_address(message);
        if (facts && facts->address == address) index = facts->interface;
    });
    return facts_of(index);
}

NetworkLook NetworkMemory::look(const IpAddress& address, const IpAddress& server, std::uint32_t scope) {
    NetworkLook look;
    holder_ = interface_with(address);
    const auto interface = netlink_.interface_towards(server, scope);
    stranded_ = interface && *interface == lost_.index && successor().index != 0;
    card_ = holder_.index != 0 && !stranded_ ? holder_ : find_card();
    look.address = holder_.index != 0;
    look.card = card_.index != 0 && lost_.index != 0;
    look.up = (card_.flags & IFF_UP) != 0;
    look.bare = true;
    (void)netlink_.list(RTM_GETADDR, [&](const nlmsghdr& message) {
        const auto facts = read_address(message);
        if (facts && facts->interface == card_.index && facts->address.family == address.family &&
            facts->scope < RT_SCOPE_LINK)
            look.bare = false;
    });
    look.route = interface.has_value();
    look.by_card = interface && *interface == holder_.index && !stranded_;
    return look;
}

void NetworkMemory::remember() {
    lost_ = holder_;
    place_ = place_of(lost_.name);
    port_ = is_gathering(lost_.kind) ? first_port_of(lost_.index) : InterfaceFacts();
    place_of_port_ = place_of(port_.name);
    addresses_.clear();
    routes_.clear();
    (void)netlink_.list(RTM_GETADDR, [&](const nlmsghdr& message) {
        const auto facts = read_address(message);
        if (facts && facts->interface == lost_.index && is_restorable(*facts)) addresses_.add(message);
    });
    (void)netlink_.list(RTM_GETROUTE, [&](const nlmsghdr& message) {
        const auto facts = read_route(message);
        if (facts && facts->interface == lost_.index && is_restorable(*facts)) routes_.add(message);
    });
}

void NetworkMemory::restore_each(const MessageStore& messages, const char* call, std::uint32_t& count,
                                 Restored& result, bool with_gateway) const {
    messages.each([&](const nlmsghdr& message) {
        const auto route = read_route(message);
        if (route && route->has_gateway != with_gateway) return;
        const auto done = netlink_.change(restore_request(message, card_.index), call);
        if (done) ++count;
        if (!done && done.error().code != EEXIST && result.error.code == 0) result.error = done.error();
    });
}

// The interface's routes vanish with its addresses.
void NetworkMemory::remove_addresses(Restored& result) const {
    addresses_.each([&](const nlmsghdr& message) {
        if (netlink_.change(remove_request(message, lost_.index), "RTM_DELADDR")) ++result.removed;
    });
}

// Routes through a gateway need the route to the gateway.
NetworkMemory::Restored NetworkMemory::restore() {
    Restored result;
    result.interface = card_.name;
    const bool created_anew =
        card_.index != lost_.index && card_.kind == lost_.kind && card_.mtu != lost_.mtu;
    result.raised = (card_.flags & IFF_UP) == 0;
    if (result.raised || created_anew) {
        const auto mtu = created_anew ? std::optional(lost_.mtu) : std::nullopt;
        if (const auto done = netlink_.change(raise_request(card_.index, mtu), "RTM_NEWLINK"); !done)
            result.error = done.error();
    }
    restore_each(addresses_, "RTM_NEWADDR", result.addresses, result, false);
    if (stranded_) remove_addresses(result);
    restore_each(routes_, "RTM_NEWROUTE", result.routes, result, false);
    restore_each(routes_, "RTM_NEWROUTE", result.routes, result, true);
    return result;
}

}  // namespace holdfast::client
