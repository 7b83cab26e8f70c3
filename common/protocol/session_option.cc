// Holdfast's private options and their answers: a fixed head, followed by a text that fills the rest of the
// data, or by bytes of a later version. Only copies between bytes and structs; the server interprets
// sessions.
#include "common/protocol/session_option.hh"

#include <algorithm>
#include <cstring>

#include "common/protocol/wire.hh"

namespace holdfast::nbd {

namespace {

struct WireSessionRequest {  // followed by the export's name
    Uuid session;
    be32 slot;
    be32 generation;
};
static_assert(sizeof(WireSessionRequest) == longest_session_request - longest_string);

struct WireSessionAnswer {  // followed by the export's identity
    Uuid boot_identity;
};
static_assert(sizeof(WireSessionAnswer) == longest_session_answer - longest_string);

struct WireHostRequest {
    Uuid host;
    Uuid boot;
    be64 attachment;
    be32 flags;
};
static_assert(sizeof(WireHostRequest) == host_request_size);

struct WireHostAnswer {
    be32 flags;
};
static_assert(sizeof(WireHostAnswer) == host_answer_size);

bool sound(std::string_view text) noexcept {
    return text.size() <= longest_string && text.find('\0') == std::string_view::npos;
}

template <WireStruct Head>
std::optional<std::size_t> put(const Head& head, std::string_view text,
                               std::span<std::uint8_t> out) noexcept {
    if (!sound(text) || out.size() < sizeof head + text.size()) return std::nullopt;
    std::ranges::copy(bytes_of(head), out.begin());
    std::copy(text.begin(), text.end(), out.begin() + sizeof head);
    return sizeof head + text.size();
}

// Returns the text after a head of `head` bytes; nullopt if the data is malformed.
std::optional<std::string_view> text_behind(std::size_t head, std::span<const std::uint8_t> data) noexcept {
    if (data.size() < head) return std::nullopt;
    const auto rest = data.subspan(head);
    const std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());
    if (!sound(text)) return std::nullopt;
    return text;
}

}  // namespace

std::optional<std::size_t> encode(const SessionRequest& request, std::span<std::uint8_t> out) noexcept {
    return put(WireSessionRequest{request.session, request.slot, request.generation}, request.export_name,
               out);
}

std::optional<std::size_t> encode(const SessionAnswer& answer, std::span<std::uint8_t> out) noexcept {
    return put(WireSessionAnswer{answer.boot_identity}, answer.export_identity, out);
}

std::optional<std::size_t> encode(const HostRequest& request, std::span<std::uint8_t> out) noexcept {
    return put(WireHostRequest{request.host, request.boot, request.attachment, request.flags}, {}, out);
}

std::optional<std::size_t> encode(const HostAnswer& answer, std::span<std::uint8_t> out) noexcept {
    return put(WireHostAnswer{answer.flags}, {}, out);
}

std::optional<SessionRequest> decode_session_request(std::span<const std::uint8_t> data) noexcept {
    const auto name = text_behind(sizeof(WireSessionRequest), data);
    if (!name) return std::nullopt;
    const auto head = load<WireSessionRequest>(data);
    return SessionRequest{head.session, head.slot, head.generation, *name};
}

std::optional<SessionAnswer> decode_session_answer(std::span<const std::uint8_t> data) noexcept {
    const auto identity = text_behind(sizeof(WireSessionAnswer), data);
    if (!identity) return std::nullopt;
    return SessionAnswer{load<WireSessionAnswer>(data).boot_identity, *identity};
}

std::optional<HostRequest> decode_host_request(std::span<const std::uint8_t> data) noexcept {
    if (data.size() < sizeof(WireHostRequest)) return std::nullopt;
    const auto request = load<WireHostRequest>(data);
    return HostRequest{request.host, request.boot, request.attachment, request.flags};
}

std::optional<HostAnswer> decode_host_answer(std::span<const std::uint8_t> data) noexcept {
    if (data.size() < sizeof(WireHostAnswer)) return std::nullopt;
    return HostAnswer{load<WireHostAnswer>(data).flags};
}

}  // namespace holdfast::nbd
