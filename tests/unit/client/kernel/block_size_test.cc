// Which block size a device gets, at the edges of what server and kernel take.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "client/kernel/block_size.hh"

using holdfast::client::choose_block_size;
using holdfast::client::choose_block_size_of_table;
using holdfast::client::choose_request_limit;
using holdfast::client::whole_blocks;
using holdfast::client::whole_requests;
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

TEST_CASE(
    "the block size of the partition table is taken, or refused with the mend where the server cannot") {
    CHECK(choose_block_size_of_table(with_minimum(1), 512) == 512U);
    CHECK(choose_block_size_of_table(with_minimum(512), 512) == 512U);
    CHECK(choose_block_size_of_table(with_minimum(512), 4096) == 4096U);
    CHECK(choose_block_size_of_table(with_minimum(4096), 4096) == 4096U);
    const auto refused = choose_block_size_of_table(with_minimum(4096), 512);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().find("made for blocks of 512 bytes") != std::string::npos);
    CHECK(refused.error().find("under 4096; set cache = writeback") != std::string::npos);
}

TEST_CASE("requests are whole blocks and whole KiB, no larger than the server's maximum and the kernel's") {
    CHECK(whole_requests(64U << 10, 512) == 64U << 10);
    CHECK(whole_requests((64U << 10) + 512, 512) == 64U << 10);
    CHECK(whole_requests((64U << 10) + 1, 512) == 64U << 10);
    CHECK(whole_requests(66U << 10, 4096) == 64U << 10);
    CHECK(whole_requests(1000, 512) == 0);
    CHECK(whole_requests(32U << 20, 512) == 32U << 20);
    CHECK(whole_requests(UINT32_MAX, 512) == 32U << 20);  // no maximum
}

TEST_CASE(
    "a server is used whose maximum the kernel can be held to, and one below a page is refused with both") {
    CHECK(choose_request_limit({1, 4096, 64U << 10}, 512, page) == 64U << 10);
    CHECK(choose_request_limit({512, 4096, 4096}, 512, page) == page);
    CHECK(choose_request_limit({1, 4096, UINT32_MAX}, 4096, page) == 32U << 20);
    for (const std::uint32_t too_small : {512U, 2048U, 4095U}) {
        const auto chosen = choose_request_limit({1, 512, too_small}, 512, page);
        REQUIRE(!chosen);
        CHECK(chosen.error().find(fmt::format("over {} bytes", too_small)) != std::string::npos);
        CHECK(chosen.error().find("below 4096") != std::string::npos);
    }
    CHECK(!choose_request_limit({1, 4096, 32U << 10}, 512, 64U << 10));  // large pages
}

TEST_CASE("what does not fill a block is left out of the size") {
    CHECK(whole_blocks(0, 512) == 0);
    CHECK(whole_blocks(511, 512) == 0);
    CHECK(whole_blocks(512, 512) == 512);
    CHECK(whole_blocks(1'000'000, 4096) == 999'424);
    CHECK(whole_blocks(UINT64_MAX, 4096) == UINT64_MAX - 4095);
}
