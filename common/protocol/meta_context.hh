// Decodes NBD_OPT_LIST_META_CONTEXT and SET_META_CONTEXT for a server: the export, and whether the queries
// match base:allocation, the only supported context. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string_view>

#include "common/protocol/constants.hh"

namespace holdfast::nbd {

// Limit on queries; a real client sends only a few.
inline constexpr std::size_t most_meta_queries = 256;

enum class MetaOption : std::uint8_t { list, set };

struct MetaContextRequest {
    std::string_view export_name;  // may be empty; points into the decoded bytes
    bool base_allocation = false;  // list or select base:allocation

    bool operator==(const MetaContextRequest&) const = default;
};

// Returns NBD_REP_ERR_INVALID for malformed data: inconsistent lengths, a NUL in the name, a query without
// the colon that ends its namespace. Returns ERR_TOO_BIG for a name or query of more than longest_string
// bytes, or more than most_meta_queries queries. Queries with an unknown namespace or leaf are ignored. LIST
// without queries matches every context, as does "base:"; SET accepts full names only.
[[nodiscard]] std::expected<MetaContextRequest, OptionReply> decode_meta_context_request(
    std::span<const std::uint8_t> data, MetaOption option) noexcept;

}  // namespace holdfast::nbd
