// Compares every length with the bytes present before use.

#include "server/opener/opener_protocol.hh"

#include <bit>
#include <cstring>

#include "common/access/address.hh"
#include "common/golden/host_word.hh"
#include "common/protocol/boot_file_option.hh"
#include "common/protocol/constants.hh"
#include "common/protocol/export_identity.hh"

namespace holdfast::server {
namespace {

// Layout: call, a zero, length of data, number, lengths of name and host; then name, host and data.
constexpr std::size_t head_size = 12;
constexpr std::size_t longest_name = nbd::longest_string;
constexpr std::size_t longest_host = 64;
constexpr std::size_t longest_data = nbd::longest_boot_manifest;
static_assert(longest_opener_request == head_size + longest_name + longest_host + longest_data);

bool is_host(std::string_view host) {
    if (host.empty() || host == "unix") return true;
    const std::optional<Address> address = parse_address(host);
    return address && to_string(*address) == host;
}

bool may_name_session(OpenerCall call) {
    return call == OpenerCall::find || call == OpenerCall::open || call == OpenerCall::look ||
           call == OpenerCall::end_session;
}

bool has_sound_data(const OpenerRequest& request) {
    return request.data.empty() || is_of_boot_files(request.call) ||
           (may_name_session(request.call) && host_word(HostKind::session, request.data));
}

template <std::unsigned_integral T>
T load_number(std::span<const std::uint8_t> bytes, std::size_t at) {
    T value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

}  // namespace

std::vector<std::uint8_t> pack(const OpenerRequest& request) {
    const std::string_view name = std::string_view(request.name).substr(0, longest_name);
    const std::string_view host = std::string_view(request.host).substr(0, longest_host);
    const std::string_view data = std::string_view(request.data).substr(0, longest_data);
    std::vector<std::uint8_t> bytes(head_size);
    bytes[0] = static_cast<std::uint8_t>(request.call);
    const auto name_size = static_cast<std::uint16_t>(name.size());
    const auto host_size = static_cast<std::uint16_t>(host.size());
    const auto data_size = static_cast<std::uint16_t>(data.size());
    std::memcpy(bytes.data() + 2, &data_size, 2);
    std::memcpy(bytes.data() + 4, &request.number, 4);
    std::memcpy(bytes.data() + 8, &name_size, 2);
    std::memcpy(bytes.data() + 10, &host_size, 2);
    bytes.insert(bytes.end(), name.begin(), name.end());
    bytes.insert(bytes.end(), host.begin(), host.end());
    bytes.insert(bytes.end(), data.begin(), data.end());
    return bytes;
}

std::optional<OpenerRequest> unpack_request(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < head_size || bytes[1] != 0) return std::nullopt;
    const std::size_t data_size = load_number<std::uint16_t>(bytes, 2);
    const std::size_t name_size = load_number<std::uint16_t>(bytes, 8);
    const std::size_t host_size = load_number<std::uint16_t>(bytes, 10);
    if (name_size > longest_name || host_size > longest_host || data_size > longest_data) return std::nullopt;
    if (bytes.size() != head_size + name_size + host_size + data_size) return std::nullopt;
    if (bytes[0] < static_cast<std::uint8_t>(OpenerCall::find) ||
        bytes[0] > static_cast<std::uint8_t>(OpenerCall::end_session)) {
        return std::nullopt;
    }
    const auto* const text = reinterpret_cast<const char*>(bytes.data() + head_size);
    OpenerRequest request{static_cast<OpenerCall>(bytes[0]), load_number<std::uint32_t>(bytes, 4),
                          std::string(text, name_size), std::string(text + name_size, host_size),
                          std::string(text + name_size + host_size, data_size)};
    if (!is_host(request.host) || !has_sound_data(request)) return std::nullopt;
    return request;
}

void pack(Packer& to, const DiskKey& key) {
    to.number(std::uint64_t{key.device});
    to.number(std::uint64_t{key.inode});
    to.number(std::uint8_t{key.writable});
    to.number(std::uint8_t{key.direct});
}

std::optional<DiskKey> unpack_key(Unpacker& from) {
    DiskKey key;
    key.device = from.number<std::uint64_t>();
    key.inode = from.number<std::uint64_t>();
    key.writable = from.flag();
    key.direct = from.flag();
    if (!from.complete()) return std::nullopt;
    return key;
}

void pack(Packer& to, const DiskFacts& facts) {
    to.number(std::uint8_t{facts.block});
    to.number(std::uint8_t{facts.writable});
    to.number(std::uint8_t{facts.direct});
    to.number(std::uint8_t{facts.can_discard});
    to.number(std::uint8_t{facts.can_zero_fast});
    to.number(facts.preferred_block);
    to.number(std::uint8_t{facts.volatile_cache});
    to.text(facts.identity);
    to.text(facts.path);
    to.text(facts.thin_pool);
}

std::optional<DiskFacts> unpack_facts(Unpacker& from) {
    DiskFacts facts;
    facts.block = from.flag();
    facts.writable = from.flag();
    facts.direct = from.flag();
    facts.can_discard = from.flag();
    facts.can_zero_fast = from.flag();
    facts.preferred_block = from.number<std::uint32_t>();
    facts.volatile_cache = from.flag();
    facts.identity = from.text();
    facts.path = from.text();
    facts.thin_pool = from.text();
    if (!from.complete() || !std::has_single_bit(facts.preferred_block) || !is_identity(facts.identity))
        return std::nullopt;
    return facts;
}

void pack(Packer& to, const VolumeTraits& traits) {
    to.number(traits.size);
    to.number(std::uint8_t{traits.can_trim});
    to.number(std::uint8_t{traits.read_only});
    to.number(traits.minimum_block);
    to.number(traits.preferred_block);
}

std::optional<VolumeTraits> unpack_traits(Unpacker& from) {
    VolumeTraits traits;
    traits.size = from.number<std::uint64_t>();
    traits.can_trim = from.flag();
    traits.read_only = from.flag();
    traits.minimum_block = from.number<std::uint32_t>();
    traits.preferred_block = from.number<std::uint32_t>();
    if (!from.complete() || !std::has_single_bit(traits.preferred_block) ||
        !std::has_single_bit(traits.minimum_block)) {
        return std::nullopt;
    }
    return traits;
}

}  // namespace holdfast::server
