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

// A later version may write more than is known here, which is left out.
template <class Decoded>
void check_head(const Decoded& decoded, std::size_t size, std::span<const std::uint8_t> data) {
    std::vector<std::uint8_t> out(size);
    check(encode(decoded, out) == size, "what was taken can be said");
    check(data.size() >= size && std::ranges::equal(out, data.first(size)),
          "it is encoded as it was decoded");
    check(!encode(decoded, std::span(out).first(size - 1)), "what does not fit is not written");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span bytes(data, size);
    if (const auto request = decode_session_request(bytes))
        check_encoding(*request, request->export_name, bytes);
    if (const auto answer = decode_session_answer(bytes))
        check_encoding(*answer, answer->export_identity, bytes);
    if (const auto request = decode_host_request(bytes)) check_head(*request, host_request_size, bytes);
    if (const auto answer = decode_host_answer(bytes)) check_head(*answer, host_answer_size, bytes);
    return 0;
}
