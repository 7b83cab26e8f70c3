// Keys of hosts, and the names of their files.
#include <doctest/doctest.h>

#include "netboot/name/host_keys.hh"

using namespace holdfast::netboot;
using Names = std::vector<std::string>;

namespace {

std::string error_of(const Read<std::string>& read) { return read ? "" : read.error(); }

}  // namespace

TEST_CASE("the name of a host is a valid name of a folder, and nothing else") {
    CHECK(read_host_name("workstation0") == "workstation0");
    CHECK(read_host_name("a.example.org") == "a.example.org");
    for (const char* word :
         {"", ".", "..", "a/b", "../x", "-a", "a-", "a b", "a\nb", ".hidden", "a..b", "a_b", "\xc3\xa4"})
        CHECK_MESSAGE(!read_host_name(word), word);
    CHECK(read_host_name(std::string(63, 'a')));
    CHECK(!read_host_name(std::string(64, 'a')));
    CHECK(read_host_name("a\nb").error().starts_with("a\\x0ab: invalid host name; use "));
}

TEST_CASE("a MAC address is read in the spellings of labels and of `ip link`") {
    for (const char* word : {"52:54:00:AB:cd:0e", "52-54-00-ab-cd-0e", "525400ABCD0E"})
        CHECK_MESSAGE(read_mac(word) == "52:54:00:ab:cd:0e", word);
    for (const char* word :
         {"", "52:54:00:ab:cd", "52:54:00:ab:cd:0e:00", "52:54-00:ab:cd:0e", "52:54:00:ab:cd:0g"})
        CHECK_MESSAGE(!read_mac(word), word);
    CHECK(read_mac("01:00:5e:00:00:01").error().contains("for groups"));
    CHECK(!read_mac("ff:ff:ff:ff:ff:ff"));
    CHECK(!read_mac("00:00:00:00:00:00"));
}

TEST_CASE("a UUID that many mainboards share is no key") {
    CHECK(read_uuid("B8945908-D6A6-41A9-611D-74A6AB80B83D") == "b8945908-d6a6-41a9-611d-74a6ab80b83d");
    CHECK(!read_uuid("b8945908d6a641a9611d74a6ab80b83d"));
    CHECK(!read_uuid("b8945908-d6a6-41a9-611d-74a6ab80b83g"));
    CHECK(read_uuid("ffffffff-ffff-ffff-ffff-ffffffffffff").error().contains("use --mac"));
    for (const char* word : {"00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
                             "03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009",
                             "01010101-0101-0101-0101-010101010101", "fefefefe-fefe-fefe-fefe-fefefefefefe",
                             "00000000-0000-0000-0000-000000000001", "00010203-0405-0607-0809-0A0B0C0D0E0F",
                             "33221100-5544-7766-8899-aabbccddeeff", "6AB5B300-538D-1014-9FB5-B0684D007B53"})
        CHECK_MESSAGE(error_of(read_uuid(word)).contains("many mainboards report this value"), word);
    // Unique: the last field is the MAC address of a card.
    CHECK(read_uuid("00000000-0000-0000-0000-525400123456"));
}

TEST_CASE("an address may be a network of whole hexadecimal digits") {
    CHECK(read_ip("192.0.2.5") == "192.0.2.5");
    CHECK(read_ip("192.0.2.5/32") == "192.0.2.5");
    CHECK(read_ip("192.0.2.16/28") == "192.0.2.16/28");
    for (const char* word : {"", "192.0.2", "192.0.2.5.6", "192.0.2.256", "192.0.2.5/", "192.0.2.0/33",
                             "192.0.2.-1", "192.0.2.0/0", "2001:db8::1"})
        CHECK_MESSAGE(!read_ip(word), word);
    CHECK(read_ip("192.0.2.0/25").error().contains("4, 8, 12"));
    CHECK(read_ip("192.0.2.5/24").error().contains("set these bits to 0"));
}

TEST_CASE("files have the names that pxelinux and GRUB look for") {
    CHECK(file_name_of_mac("52:54:00:ab:cd:0e") == "01-52-54-00-ab-cd-0e");
    CHECK(file_name_of_ip("192.0.2.91") == "C000025B");
    CHECK(file_name_of_ip("192.0.2.80/28") == "C000025");
    CHECK(file_name_of_ip("10.0.0.0/8") == "0A");
    const Keys keys{"b8945908-d6a6-41a9-611d-74a6ab80b83d", {"52:54:00:ab:cd:0e"}, {"192.0.2.91"}};
    CHECK(file_names_of(keys) == Names{"085994b8-a6d6-a941-611d-74a6ab80b83d",
                                       "b8945908-d6a6-41a9-611d-74a6ab80b83d", "01-52-54-00-ab-cd-0e",
                                       "C000025B"});
    CHECK(names_tried_for({"", {}, {"192.0.2.91"}}) ==
          Names{"C000025B", "C000025", "C00002", "C0000", "C000", "C00", "C0", "C"});
}
