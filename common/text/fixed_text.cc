// The only place where text is formatted into a fixed array.

#include "common/text/fixed_text.hh"

namespace holdfast {

std::size_t format_into(std::span<char> room, fmt::string_view format, fmt::format_args arguments) {
    const auto done = fmt::vformat_to_n(room.data(), room.size(), format, arguments);
    return std::min(done.size, room.size());
}

}  // namespace holdfast
