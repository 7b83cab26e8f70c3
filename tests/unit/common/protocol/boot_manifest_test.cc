// Manifest and `published`: their own texts are read again, and no other line is.
#include "common/protocol/boot_manifest.hh"

#include <doctest/doctest.h>

#include <algorithm>

#include "common/text/hex.hh"

using namespace holdfast::nbd;

namespace {

const std::string a(64, 'a');
const std::string b(64, 'b');
const std::string head = "holdfast-boot-files 1\n";
const std::string kernel = "kernel 6.1.0-37-amd64 " + a + " 8123456\n";
const std::string initrd = "initrd 6.1.0-37-amd64 " + b + " 1\n";
const std::string published_head = "holdfast-boot-published 1\n";

bool wrong(const std::string& text) { return !read_boot_manifest(text); }
bool wrong_published(const std::string& text) { return !read_boot_published(text); }

}  // namespace

TEST_CASE("a manifest of boot files is read as written") {
    const auto two = read_boot_manifest(head + kernel + initrd);
    REQUIRE(two);
    CHECK(two->kernel.version == "6.1.0-37-amd64");
    CHECK(holdfast::hex_of(two->kernel.sha256.data(), 32) == a);
    CHECK(two->kernel.size == 8123456);
    CHECK_FALSE(two->xen);
    CHECK(to_text(*two) == head + kernel + initrd);
    const std::string xen = "xen 4.17-amd64 " + a + " 536870912\n";
    const auto three = read_boot_manifest(head + xen + initrd + kernel);
    REQUIRE(three);
    CHECK(to_text(*three) == head + kernel + initrd + xen);
}

TEST_CASE("a manifest with any other line is refused") {
    CHECK(wrong(""));
    CHECK(wrong(head));
    CHECK(wrong(kernel + initrd));
    CHECK(wrong(head + kernel));
    CHECK(wrong(head + kernel + kernel + initrd));
    CHECK(wrong(head + kernel + initrd + "dtb x " + a + " 1\n"));
    CHECK(wrong(head + kernel + initrd + "\n"));
    CHECK(wrong(head + kernel + "initrd 1 " + b + " 1"));
    for (const char* size : {"0", "536870913", "01", "+1", "-1", "", "1 1", "18446744073709551617"})
        CHECK(wrong(head + kernel + "initrd 1 " + b + " " + size + "\n"));
    for (const char* version : {"", ".", "..", "-a", "a/b", "a b", "\xc3\xbc"})
        CHECK(wrong(head + kernel + "initrd " + version + " " + b + " 1\n"));
    CHECK(wrong(head + kernel + "initrd " + std::string(65, 'x') + " " + b + " 1\n"));
    CHECK_FALSE(wrong(head + kernel + "initrd " + std::string(64, 'x') + " " + b + " 1\n"));
    CHECK(wrong(head + kernel + "initrd 1 " + std::string(64, 'B') + " 1\n"));
    CHECK(wrong(head + kernel + "initrd 1 " + b + "b 1\n"));
}

TEST_CASE("a statement about published files is read, and no other line") {
    const std::string manifest = "manifest " + a + "\n";
    const auto all = read_boot_published(published_head + manifest + "next 6.1 " + a + " " + b +
                                         "\nprevious 6.0\nrefused the initramfs lacks holdfast-client\n");
    REQUIRE(all);
    CHECK(holdfast::hex_of(all->manifest.data(), 32) == a);
    REQUIRE(all->next);
    CHECK(all->next->version == "6.1");
    CHECK(holdfast::hex_of(all->next->initrd.data(), 32) == b);
    CHECK(all->previous == "6.0");
    CHECK(all->refused == "the initramfs lacks holdfast-client");
    CHECK(read_boot_published(published_head + manifest));
    CHECK(wrong_published(""));
    CHECK(wrong_published(published_head));
    CHECK(wrong_published(published_head + manifest + manifest));
    CHECK(wrong_published(published_head + manifest + "next 6.1 " + a + "\n"));
    CHECK(wrong_published(published_head + manifest + "previous ../6\n"));
    CHECK(wrong_published(published_head + manifest + "refused \n"));
    CHECK(wrong_published(published_head + manifest + "refused a\tb\n"));
    CHECK(wrong_published(published_head + manifest + "refused " + std::string(401, 'x') + "\n"));
    CHECK(wrong_published(published_head + manifest + "soon 6.2\n"));
}

TEST_CASE("an export's folder in the spool cannot lead elsewhere") {
    CHECK(boot_folder_name("web1.root_a-b") == "web1.root_a-b");
    CHECK(boot_folder_name("..") == "%2E.");
    CHECK(boot_folder_name("a/../b") == "a%2F..%2Fb");
    CHECK(boot_folder_name("\xc3\xbc %") == "%C3%BC%20%25");
}
