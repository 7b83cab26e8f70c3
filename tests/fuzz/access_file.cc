// Who may connect, against a second reading of the same lines that compares bit by bit: nobody is let in, or
// kept out, by a part of an address. The first part of an input is the authfile, the second the addresses
// that come.
#include "server/access.hh"

#include <arpa/inet.h>

#include <cstring>
#include <string>

#include "tests/fuzz/input.hh"

using namespace holdfast::server;
using fuzz::check;

namespace {

bool bit(const Address& address, unsigned at) { return (address.bytes[at / 8] >> (7 - at % 8) & 1) != 0; }

// A line of a list that was taken, without blanks and comment.
bool covers(const std::string& line, const Address& candidate) {
    const std::size_t slash = line.find('/');
    std::string host = line.substr(0, slash);
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    in6_addr v6{};
    in_addr v4{};
    Address network;
    unsigned bits = 128;
    const unsigned given =
        slash == std::string::npos ? 999 : static_cast<unsigned>(std::stoul(line.substr(slash + 1)));
    if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
        network.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        std::memcpy(network.bytes.data() + 12, &v4, sizeof v4);
        bits = given == 999 ? 128 : 96 + given;
    } else {
        check(::inet_pton(AF_INET6, host.c_str(), &v6) == 1, "what is taken for an address is one");
        std::memcpy(network.bytes.data(), &v6, sizeof v6);
        bits = given == 999 ? 128 : given;
        if (candidate.is_v4() && bits < 96) return false;  // nobody who writes ::/0 means IPv4
    }
    check(bits <= 128, "a mask fits its address");
    for (unsigned at = 0; at < bits; ++at)
        if (bit(network, at) != bit(candidate, at)) return false;
    return true;
}

std::string without_blanks(std::string_view line) {
    constexpr std::string_view blanks = " \t\r\f\v";
    line = line.substr(0, line.find('#'));
    const std::size_t first = line.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return std::string(line.substr(first, line.find_last_not_of(blanks) - first + 1));
}

bool covered(std::string_view text, const Address& candidate, std::size_t& lines) {
    bool found = false;
    lines = 0;
    while (!text.empty()) {
        const std::string line = without_blanks(fuzz::take_line(text));
        if (line.empty()) continue;
        ++lines;
        found = covers(line, candidate) || found;
    }
    return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::string_view text = input.part();
    const auto list = AccessList::parse(text);
    if (!list) {
        check(list.error().line > 0 && !list.error().text.empty(), "a mistake has a line and a text");
        return 0;
    }
    for (std::string_view candidates = input.rest(); !candidates.empty();) {
        const auto candidate = parse_address(fuzz::take_line(candidates));
        if (!candidate) continue;
        check(parse_address(to_string(*candidate)) == candidate, "an address is read as it is written");
        std::size_t lines = 0;
        check(list->allows(*candidate) == covered(text, *candidate, lines), "the list says who may come in");
        check(list->size() == lines, "every line counts");
    }
    return 0;
}
