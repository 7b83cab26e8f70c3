// The data of the session option and of its answer: what is taken is bounded, and encodes to the same bytes.
#include "common/protocol/session_option.hh"

#include <vector>

#include "tests/fuzz/input.hh"

using namespace holdfast::nbd;
using fuzz::check;

namespace {

template <class Decoded>
void check_encoding(const Decoded& decoded, std::string_view text, std::span<const std::uint8_t> data) {
    check(text.size() <= longest_string, "a text is bounded");
    check(text.find('\0') == std::string_view::npos, "a text has no NUL");
    std::vector<std::uint8_t> out(data.size());
    const auto length = encode(decoded, out);
    check(length == data.size(), "what was taken can be said");
    check(std::ranges::equal(out, data), "it is encoded as it was decoded");
    if (out.empty()) return;
    check(!encode(decoded, std::span(out).first(out.size() - 1)), "what does not fit is not written");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span bytes(data, size);
    if (const auto request = decode_session_request(bytes))
        check_encoding(*request, request->export_name, bytes);
    if (const auto answer = decode_session_answer(bytes))
        check_encoding(*answer, answer->export_identity, bytes);
    return 0;
}
