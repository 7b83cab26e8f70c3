// Who may connect, against a second reading of the same entries that compares bit by bit: nobody is let in,
// or kept out, by a part of an address. The first part of an input is the authfile, the second the addresses
// that come.
#include "common/access/access.hh"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "tests/fuzz/input.hh"

using namespace holdfast;
using fuzz::check;

namespace {

bool bit(const Address& address, unsigned at) { return (address.bytes[at / 8] >> (7 - at % 8) & 1) != 0; }

// An entry of a list that was taken.
bool covers(const std::string& entry, const Address& candidate) {
    const std::size_t slash = entry.find('/');
    std::string host = entry.substr(0, slash);
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    in6_addr v6{};
    in_addr v4{};
    Address network;
    unsigned bits = 128;
    const unsigned given =
        slash == std::string::npos ? 999 : static_cast<unsigned>(std::stoul(entry.substr(slash + 1)));
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

// Whether an entry covers the candidate, and how many entries there are.
bool covered(std::string_view text, const Address& candidate, std::size_t& entries) {
    constexpr std::string_view between = " \t\r\f\v,";
    bool found = false;
    entries = 0;
    while (!text.empty()) {
        std::string_view line = fuzz::take_line(text);
        line = line.substr(0, line.find('#'));
        for (;;) {
            line.remove_prefix(std::min(line.find_first_not_of(between), line.size()));
            if (line.empty()) break;
            const std::string entry(line.substr(0, line.find_first_of(between)));
            line.remove_prefix(entry.size());
            ++entries;
            found = covers(entry, candidate) || found;
        }
    }
    return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::string_view text = input.part();
    const auto list = AccessList::parse(text);
    if (!list) {
        check(!list.error().empty(), "there is a mistake where there is no list");
        for (const AccessList::Mistake& one : list.error())
            check(one.line > 0 && !one.text.empty(), "a mistake has a line and a text");
        return 0;
    }
    for (std::string_view candidates = input.rest(); !candidates.empty();) {
        const auto candidate = parse_address(fuzz::take_line(candidates));
        if (!candidate) continue;
        check(parse_address(to_string(*candidate)) == candidate, "an address is read as it is written");
        std::size_t entries = 0;
        check(list->allows(*candidate) == covered(text, *candidate, entries),
              "the list says who may come in");
        check(list->size() == entries, "every entry counts");
    }
    return 0;
}
