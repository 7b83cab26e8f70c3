// The data of the meta context options, against a second reading of it that keeps every query.
#include "common/protocol/meta_context.hh"

#include <optional>
#include <string>
#include <vector>

#include "tests/fuzz/input.hh"

using namespace holdfast::nbd;
using fuzz::check;

namespace {

struct Queries {
    std::string name;
    std::vector<std::string> queries;
};

// Nothing where the lengths do not add up to the data.
std::optional<Queries> read(std::span<const std::uint8_t> data) {
    std::size_t at = 0;
    const auto number = [&]() -> std::optional<std::uint64_t> {
        if (data.size() - at < 4) return std::nullopt;
        at += 4;
        return fuzz::Input(data.data() + at - 4, 4).number(4);
    };
    const auto text = [&]() -> std::optional<std::string> {
        const auto length = number();
        if (!length || *length > data.size() - at) return std::nullopt;
        at += *length;
        return std::string(reinterpret_cast<const char*>(data.data()) + at - *length, *length);
    };
    Queries found;
    const auto name = text();
    const auto count = name ? number() : std::nullopt;
    if (!count) return std::nullopt;
    found.name = *name;
    for (std::uint64_t i = 0; i < *count; ++i) {
        auto query = text();
        if (!query) return std::nullopt;
        found.queries.push_back(*std::move(query));
    }
    if (at != data.size()) return std::nullopt;
    return found;
}

void compare(std::span<const std::uint8_t> data, MetaOption option) {
    const auto request = decode_meta_context_request(data, option);
    if (!request) {
        check(request.error() == OptionReply::err_invalid || request.error() == OptionReply::err_too_big,
              "an error is one of two");
        return;
    }
    const auto again = read(data);
    check(again.has_value(), "what is taken adds up");
    check(again->name == request->export_name && again->name.size() <= longest_string &&
              again->name.find('\0') == std::string::npos,
          "the name is the one that was sent, and bounded");
    check(again->queries.size() <= most_meta_queries, "the queries are bounded");
    bool found = option == MetaOption::list && again->queries.empty();
    for (const std::string& query : again->queries) {
        check(query.size() <= longest_string && query.find(':') != std::string::npos, "a query is one");
        found = found || query == base_allocation || (option == MetaOption::list && query == "base:");
    }
    check(found == request->base_allocation, "the whole name is found, and nothing else");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    compare({data, size}, MetaOption::list);
    compare({data, size}, MetaOption::set);
    return 0;
}
