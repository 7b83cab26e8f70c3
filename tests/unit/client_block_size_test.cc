// Which block size a device gets, at the edges of what server and kernel take.
#include <doctest/doctest.h>

#include "client/block_size.hh"

using holdfast::client::choose_block_size;
using holdfast::client::whole_blocks;
using holdfast::nbd::BlockSizes;

namespace {

constexpr std::uint32_t page = 4096;

BlockSizes with_minimum(std::uint32_t minimum) { return {minimum, 4096, 32U << 20}; }

}  // namespace

TEST_CASE("the smallest block size is taken that the server and the kernel both take") {
    CHECK(choose_block_size(with_minimum(1), {}, page) == 512U);
    CHECK(choose_block_size(with_minimum(512), {}, page) == 512U);
    CHECK(choose_block_size(with_minimum(1024), {}, page) == 1024U);
    CHECK(choose_block_size(with_minimum(4096), {}, page) == 4096U);
}

TEST_CASE("a server whose minimum is over the page size is refused with both numbers") {
    const auto chosen = choose_block_size(with_minimum(8192), {}, page);
    REQUIRE(!chosen);
    CHECK(chosen.error().find("8192") != std::string::npos);
    CHECK(chosen.error().find("4096") != std::string::npos);
}

TEST_CASE("a minimum that is no power of two is refused") {
    CHECK(!choose_block_size(with_minimum(1000), {}, page));
    CHECK(!choose_block_size(with_minimum(3072), {}, page));
}

TEST_CASE("a person's block size is taken when the server takes it, and refused by name when not") {
    CHECK(choose_block_size(with_minimum(1), 4096, page) == 4096U);
    CHECK(choose_block_size(with_minimum(512), 2048, page) == 2048U);
    for (const std::uint32_t wrong : {0U, 256U, 513U, 3000U, 8192U}) {
        const auto chosen = choose_block_size(with_minimum(1), wrong, page);
        REQUIRE(!chosen);
        CHECK(chosen.error().find(std::to_string(wrong)) != std::string::npos);
    }
    CHECK(!choose_block_size(with_minimum(4096), 512, page));
}

TEST_CASE("what does not fill a block is left out of the size") {
    CHECK(whole_blocks(0, 512) == 0);
    CHECK(whole_blocks(511, 512) == 0);
    CHECK(whole_blocks(512, 512) == 512);
    CHECK(whole_blocks(1'000'000, 4096) == 999'424);
    CHECK(whole_blocks(UINT64_MAX, 4096) == UINT64_MAX - 4095);
}
