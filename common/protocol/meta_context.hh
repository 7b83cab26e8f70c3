// The data of NBD_OPT_LIST_META_CONTEXT and SET_META_CONTEXT, as a server reads it: for which export, and
// whether its queries find base:allocation, the one context there is. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string_view>

#include "common/protocol/constants.hh"

namespace holdfast::nbd {

// An honest client asks for a handful.
inline constexpr std::size_t most_meta_queries = 256;

enum class MetaOption : std::uint8_t { list, set };

struct MetaContextRequest {
    std::string_view export_name;  // may be empty; points into the decoded bytes
    bool base_allocation = false;  // is to be listed, or selected

    bool operator==(const MetaContextRequest&) const = default;
};

// The error is NBD_REP_ERR_INVALID for data that is malformed: lengths that do not add up to it, a NUL in the
// name, a query without the colon that ends its namespace. It is ERR_TOO_BIG for a name or query of more than
// longest_string bytes, or more queries than most_meta_queries. What is known of neither namespace nor leaf
// is passed over. LIST without queries finds everything, as it does with "base:"; SET takes whole names only.
[[nodiscard]] std::expected<MetaContextRequest, OptionReply> decode_meta_context_request(
    std::span<const std::uint8_t> data, MetaOption option) noexcept;

}  // namespace holdfast::nbd
