// Every length is checked against the remaining data before it is used. All data is validated before any of
// it takes effect, so that a request with an error at its end matches nothing.
#include "common/protocol/meta_context.hh"

#include <optional>

#include "common/protocol/wire.hh"

namespace holdfast::nbd {

namespace {

// The remaining data, consumed from the front.
class Rest {
public:
    explicit Rest(std::span<const std::uint8_t> bytes) noexcept : bytes_(bytes) {}

    [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
    [[nodiscard]] std::optional<std::uint32_t> number() noexcept {
        if (bytes_.size() < sizeof(be32)) return std::nullopt;
        const std::uint32_t value = load<be32>(bytes_);
        bytes_ = bytes_.subspan(sizeof(be32));
        return value;
    }
    // Reads a length, then that number of bytes.
    [[nodiscard]] std::optional<std::string_view> text() noexcept {
        const std::optional<std::uint32_t> length = number();
        if (!length || *length > bytes_.size()) return std::nullopt;
        const std::string_view taken(reinterpret_cast<const char*>(bytes_.data()), *length);
        bytes_ = bytes_.subspan(*length);
        return taken;
    }

private:
    std::span<const std::uint8_t> bytes_;
};

bool finds(std::string_view query, MetaOption option) noexcept {
    return query == base_allocation || (option == MetaOption::list && query == "base:");
}

// Returns the error for a query; `ack` if the query is valid.
OptionReply check_query(const std::optional<std::string_view>& query) noexcept {
    if (!query) return OptionReply::err_invalid;
    if (query->size() > longest_string) return OptionReply::err_too_big;
    return query->find(':') == std::string_view::npos ? OptionReply::err_invalid : OptionReply::ack;
}

}  // namespace

std::expected<MetaContextRequest, OptionReply> decode_meta_context_request(std::span<const std::uint8_t> data,
                                                                           MetaOption option) noexcept {
    constexpr auto invalid = std::unexpected(OptionReply::err_invalid);
    constexpr auto too_big = std::unexpected(OptionReply::err_too_big);
    Rest rest(data);
    const std::optional<std::string_view> name = rest.text();
    const std::optional<std::uint32_t> count = name ? rest.number() : std::nullopt;
    if (!count || name->find('\0') != std::string_view::npos) return invalid;
    if (name->size() > longest_string || *count > most_meta_queries) return too_big;
    MetaContextRequest request{*name, option == MetaOption::list && *count == 0};
    for (std::uint32_t i = 0; i < *count; ++i) {
        const std::optional<std::string_view> query = rest.text();
        if (const OptionReply error = check_query(query); error != OptionReply::ack)
            return std::unexpected(error);
        if (finds(*query, option)) request.base_allocation = true;
    }
    if (!rest.empty()) return invalid;
    return request;
}

}  // namespace holdfast::nbd
