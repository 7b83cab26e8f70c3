// Signs of a kernel that can be the first domain of Xen.
#include <doctest/doctest.h>

#include "netboot/loader/xen_kernel.hh"

using namespace holdfast::netboot;
using namespace std::string_literals;

namespace {

// Little-endian, followed by zeros beyond 8 bytes.
std::string number(std::uint64_t value, unsigned size) {
    std::string text;
    for (unsigned i = 0; i < size; ++i, value >>= 8) text += static_cast<char>(value & 0xff);
    return text;
}

std::string note(std::uint64_t kind, std::string content, const std::string& owner = "Xen\0"s) {
    std::string text = number(owner.size(), 4) + number(content.size(), 4) + number(kind, 4) + owner;
    content.resize((content.size() + 3) / 4 * 4);
    return text + content;
}

constexpr std::size_t place_of_notes = 8192;

// An unpacked kernel; its only segment has the notes.
std::string kernel_with(const std::string& notes, const std::string& rest) {
    std::string image =
        "\x7f"
        "ELF\x02\x01\x01"s;
    image.resize(32);
    image += number(64, 8);
    image.resize(56);
    image += number(1, 2);
    image.resize(64);
    image +=
        number(4, 4) + number(4, 4) + number(place_of_notes, 8) + number(0, 16) + number(notes.size(), 8);
    image.resize(place_of_notes);
    return image + notes + std::string(5000, 'x') + rest + std::string(5000, 'x');
}

bool is_good(std::string_view image, std::size_t piece) {
    XenKernel kernel;
    for (; !image.empty(); image.remove_prefix(std::min(piece, image.size())))
        kernel.read(image.substr(0, piece));
    return kernel.check().has_value();
}

const std::string entry = note(1, "12345678");
const std::string features = note(17, number(0x8801, 4));
const std::string bus = "\0xen_cpu\0"s;

}  // namespace

TEST_CASE("a kernel with all three signs can be the first domain, in pieces of any size") {
    const std::string image = kernel_with(note(6, "linux\0"s) + entry + features, bus);
    for (const std::size_t piece : {1, 3, 8, 9, 10, 4095, 4096, 4097, 65536})
        CHECK(is_good(image, static_cast<std::size_t>(piece)));
}

TEST_CASE("a kernel without one of the signs cannot") {
    for (const std::size_t piece : {7, 65536}) {
        const auto size = static_cast<std::size_t>(piece);
        CHECK(!is_good(kernel_with(features, bus), size));
        CHECK(!is_good(kernel_with(entry, bus), size));
        CHECK(!is_good(kernel_with(entry + features, "xen_cpu"), size));
        CHECK(!is_good(kernel_with(entry + features, "\0xen_cpus\0"s), size));
        CHECK(!is_good(kernel_with(entry + note(17, number(0x8001, 4)), bus), size));
        CHECK(!is_good(kernel_with(entry + note(17, ""), bus), size));
        CHECK(!is_good(kernel_with(entry + note(17, number(0x8801, 4), "GNU\0"s), bus), size));
        CHECK(!is_good(entry + features + bus, size));
        CHECK(!is_good("", size));
    }
}

TEST_CASE("notes and program headers of any damage are no signs, and are read within their bounds") {
    const std::string image = kernel_with(entry + features, bus);
    for (std::size_t at = 0; at < 120; ++at)
        for (const char value : {'\0', '\x7f', '\xff'}) {
            std::string damaged = image;
            damaged[at] = value;
            (void)is_good(damaged, 65536);
        }
    for (std::size_t at = 0; at < entry.size() + 12; ++at) {
        std::string damaged = image;
        damaged[place_of_notes + at] = '\xff';
        if (at >= 16 && at < entry.size()) continue;  // the address of the entry is any
        CAPTURE(at);
        CHECK(!is_good(damaged, 65536));
    }
    for (std::size_t size = 0; size < place_of_notes + entry.size() + features.size(); size += 97)
        CHECK(!is_good(image.substr(0, size) + (size > 4200 ? "" : bus), 65536));
}

TEST_CASE("the payload of a bzImage lies within the file") {
    std::string start(4096, '\0');
    start[0x1f1] = 2;
    start.replace(0x206, 2, number(0x20f, 2));
    start.replace(0x236, 2, number(1, 2));
    start.replace(0x248, 8, number(100, 4) + number(1000, 4));
    const auto payload = payload_of(start, 1536 + 1100);
    REQUIRE(payload);
    CHECK(payload->offset == 1536 + 100);
    CHECK(payload->size == 1000);
    CHECK(!payload_of(start, 1536 + 1099));
    CHECK(!payload_of(start, 100));
    CHECK(!payload_of(start.substr(0, 0x220), 100000));
    CHECK(!payload_of("", 0));
    CHECK(check_64_bit(start));
    start[0x236] = 0;
    CHECK(!check_64_bit(start));
    start[0x236] = 1;
    start.replace(0x206, 2, number(0x20b, 2));
    CHECK(!check_64_bit(start));
    start.replace(0x206, 2, number(0x207, 2));
    CHECK(!payload_of(start, 1536 + 1100));
}
