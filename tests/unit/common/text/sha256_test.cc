// SHA-256 against the examples of FIPS 180-4, in parts of every size.
#include "common/text/sha256.hh"

#include <doctest/doctest.h>

#include <string>

#include "common/text/hex.hh"

using namespace holdfast;

namespace {

std::string digits(const std::array<std::uint8_t, 32>& digest) {
    return hex_of(digest.data(), digest.size());
}

}  // namespace

TEST_CASE("SHA-256 gives the sums of the standard") {
    CHECK(digits(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(digits(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(digits(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(digits(sha256(std::string(1'000'000, 'a'))) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 is the same whatever the parts in which data comes") {
    std::string data;
    for (int i = 0; i < 300; ++i) data += static_cast<char>(i * 7);
    for (std::size_t length : {0, 1, 55, 56, 63, 64, 65, 119, 128, 300}) {
        const std::string_view whole = std::string_view(data).substr(0, length);
        for (const std::size_t part : {1, 3, 63, 64, 65, 200}) {
            Sha256 sum;
            for (std::string_view rest = whole; !rest.empty();
                 rest = rest.substr(std::min(part, rest.size())))
                sum.add(rest.substr(0, part));
            CHECK(sum.finish() == sha256(whole));
        }
    }
}
