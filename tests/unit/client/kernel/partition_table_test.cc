// For which block size a partition table was made.
#include <doctest/doctest.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "client/kernel/partition_table.hh"

using namespace holdfast::client;

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t disk_size = 64ULL << 20;

Bytes empty() { return Bytes(table_bytes); }

void put(Bytes& bytes, std::size_t at, std::uint64_t number, std::size_t length) {
    for (std::size_t i = 0; i < length; ++i) bytes[at + i] = static_cast<std::uint8_t>(number >> (8 * i));
}

void add_gpt(Bytes& bytes, std::uint32_t block) {
    constexpr std::string_view signature = "EFI PART";
    std::ranges::copy(signature, bytes.begin() + block);
    put(bytes, block + 8, 0x00010000, 4);
    put(bytes, block + 12, 92, 4);
    put(bytes, block + 24, 1, 8);
}

void add_mbr(Bytes& bytes, std::size_t entry, std::uint8_t type, std::uint32_t first, std::uint32_t count) {
    bytes[510] = 0x55;
    bytes[511] = 0xaa;
    const std::size_t at = 446 + 16 * entry;
    bytes[at + 4] = type;
    put(bytes, at + 8, first, 4);
    put(bytes, at + 12, count, 4);
}

}  // namespace

TEST_CASE("a GPT is in the second block of the size for which it was made") {
    for (const std::uint32_t block : {512U, 4096U}) {
        Bytes bytes = empty();
        add_gpt(bytes, block);
        CHECK(block_size_of_table(bytes, disk_size) == block);
        add_mbr(bytes, 0, 0xee, 1, UINT32_MAX);
        CHECK(block_size_of_table(bytes, disk_size) == block);
    }
}

TEST_CASE("what is no GPT header says nothing, nor do two") {
    CHECK_FALSE(block_size_of_table(empty(), disk_size));
    Bytes both = empty();
    add_gpt(both, 512);
    add_gpt(both, 4096);
    CHECK_FALSE(block_size_of_table(both, disk_size));
    for (const auto& [at, number] : {std::pair{512U, 0U}, {512 + 12, 91}, {512 + 12, 513}, {512 + 24, 2}}) {
        Bytes damaged = empty();
        add_gpt(damaged, 512);
        put(damaged, at, number, 4);
        CHECK_FALSE(block_size_of_table(damaged, disk_size));
    }
    CHECK_FALSE(block_size_of_table({}, disk_size));
    CHECK_FALSE(block_size_of_table(Bytes(table_bytes - 1, 0xff), disk_size));
    CHECK_FALSE(block_size_of_table(Bytes(table_bytes, 0xff), disk_size));
}

TEST_CASE("an MBR was made for small blocks where its partitions fit the disk in no other way") {
    Bytes bytes = empty();
    add_mbr(bytes, 0, 0x83, 2048, 65536);
    add_mbr(bytes, 3, 0x82, 67584, 63488);  // up to the end
    CHECK(block_size_of_table(bytes, disk_size) == 512U);
    CHECK_FALSE(block_size_of_table(bytes, disk_size * 8));  // fits both ways
    CHECK_FALSE(block_size_of_table(bytes, disk_size / 2));  // fits no way
    Bytes boot_code = bytes;
    boot_code[446] = 0x41;  // a file system's
    CHECK_FALSE(block_size_of_table(boot_code, disk_size));
    bytes[511] = 0;
    CHECK_FALSE(block_size_of_table(bytes, disk_size));
    Bytes no_partition = empty();
    add_mbr(no_partition, 0, 0, 0, 0);
    CHECK_FALSE(block_size_of_table(no_partition, disk_size));
}
