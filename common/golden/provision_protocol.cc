// Layout of a request: version, call, two flags, lengths of name, host and snapshot or session, a zero, two
// numbers, name, host, snapshot or session. Of an answer: version, outcome, text.

#include "common/golden/provision_protocol.hh"

#include <array>
#include <cstring>

namespace holdfast {
namespace {

constexpr std::uint8_t version = 2;
constexpr std::uint8_t busy = 2;  // outcome: refused because a volume is in use
constexpr std::size_t head_size = 20;
constexpr std::size_t answer_head = 2;
constexpr std::size_t longest_name = 4096;
constexpr std::size_t longest_host = 64;
constexpr std::size_t longest_snapshot = 64;
static_assert(longest_provision_request == head_size + longest_name + longest_host + longest_snapshot);

template <class T>
T number_at(std::span<const std::uint8_t> bytes, std::size_t at) {
    T value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

template <class T>
void put(std::vector<std::uint8_t>& bytes, T value) {
    std::array<std::uint8_t, sizeof value> raw{};
    std::memcpy(raw.data(), &value, sizeof value);
    bytes.insert(bytes.end(), raw.begin(), raw.end());
}

bool has_sound_head(std::span<const std::uint8_t> bytes) {
    return bytes.size() >= head_size && bytes[0] == version &&
           bytes[1] >= static_cast<std::uint8_t>(ProvisionCall::make) &&
           bytes[1] <= static_cast<std::uint8_t>(ProvisionCall::sweep_sessions) && bytes[2] <= 1 &&
           bytes[3] <= 1 && number_at<std::uint16_t>(bytes, 10) == 0;
}

struct Sizes {
    std::size_t name;
    std::size_t host;
    std::size_t last;  // snapshot or session
};

bool are_sound(const Sizes& sizes, ProvisionCall call) {
    if (sizes.name > longest_name || sizes.host > longest_host || sizes.last > longest_snapshot) return false;
    if (call == ProvisionCall::sweep_sessions) return sizes.name + sizes.host + sizes.last == 0;
    if (sizes.name == 0) return false;
    if (is_of_snapshots(call)) return sizes.last != 0;
    if (sizes.host == 0) return false;
    if (call == ProvisionCall::end_session) return sizes.last != 0;
    return call == ProvisionCall::make || sizes.last == 0;
}

std::string text_of(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::vector<std::uint8_t> pack(const ProvisionRequest& request) {
    const std::string_view name = std::string_view(request.name).substr(0, longest_name);
    const std::string_view host = std::string_view(request.host).substr(0, longest_host);
    const std::string_view last =
        std::string_view(is_of_snapshots(request.call) ? request.snapshot : request.session)
            .substr(0, longest_snapshot);
    std::vector<std::uint8_t> bytes{version, static_cast<std::uint8_t>(request.call),
                                    std::uint8_t{request.only_say}, std::uint8_t{request.automatic}};
    for (const std::size_t size : {name.size(), host.size(), last.size(), std::size_t{0}})
        put(bytes, static_cast<std::uint16_t>(size));
    put(bytes, request.keep_count);
    put(bytes, request.keep_days);
    for (const std::string_view text : {name, host, last})
        bytes.insert(bytes.end(), text.begin(), text.end());
    return bytes;
}

std::optional<ProvisionRequest> unpack_provision_request(std::span<const std::uint8_t> bytes) {
    if (!has_sound_head(bytes)) return std::nullopt;
    const auto call = static_cast<ProvisionCall>(bytes[1]);
    const Sizes sizes{number_at<std::uint16_t>(bytes, 4), number_at<std::uint16_t>(bytes, 6),
                      number_at<std::uint16_t>(bytes, 8)};
    if (!are_sound(sizes, call) || bytes.size() != head_size + sizes.name + sizes.host + sizes.last)
        return std::nullopt;
    const std::span<const std::uint8_t> texts = bytes.subspan(head_size);
    ProvisionRequest request{call, bytes[2] != 0, text_of(texts.first(sizes.name)),
                             text_of(texts.subspan(sizes.name, sizes.host))};
    (is_of_snapshots(call) ? request.snapshot : request.session) =
        text_of(texts.subspan(sizes.name + sizes.host));
    request.automatic = bytes[3] != 0;
    request.keep_count = number_at<std::uint32_t>(bytes, 12);
    request.keep_days = number_at<std::uint32_t>(bytes, 16);
    const bool for_snapshots = request.automatic || request.keep_count != 0 || request.keep_days != 0;
    if (for_snapshots && call != ProvisionCall::snapshot) return std::nullopt;
    return request;
}

std::vector<std::uint8_t> pack(const ProvisionAnswer& answer) {
    const std::string_view text =
        std::string_view(answer.text).substr(0, longest_provision_answer - answer_head);
    std::vector<std::uint8_t> bytes{version, answer.in_use ? busy : std::uint8_t{answer.done}};
    bytes.insert(bytes.end(), text.begin(), text.end());
    return bytes;
}

std::optional<ProvisionAnswer> unpack_provision_answer(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < answer_head || bytes.size() > longest_provision_answer || bytes[0] != version ||
        bytes[1] > busy)
        return std::nullopt;
    return ProvisionAnswer{bytes[1] == 1, text_of(bytes.subspan(answer_head)), bytes[1] == busy};
}

}  // namespace holdfast
