// Words that name an export: what the table of boot_forms.txt does not show, and hostile input.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "client/address/export_address.hh"
#include "client/address/uri.hh"
#include "tests/unit/client/address/check_refused.hh"

using namespace holdfast::client;
using namespace std::string_literals;

TEST_CASE("a port is a number of 1-65535 and nothing else") {
    for (const char* port :
         {"0", "65536", "99999999999999999999", "-1", "+1", "1x", "0x10", " 1", "1 ", ""}) {
        INFO(port);
        CHECK_FALSE(parse_uri("nbd://h:"s + port + "/x"));
        if (*port != '\0') CHECK_FALSE(parse_server_address("h:"s + port + "/x"));
    }
    CHECK(parse_uri("nbd://h:1/x")->port == 1);
    CHECK(parse_uri("nbd://h:65535/x")->port == 65535);
    CHECK(parse_server_address("h,65535")->port == 65535);
    check_refused(parse_server_address("h,0"), "invalid port");
    check_refused(parse_server_address("h,65536"), "invalid port");
}

TEST_CASE("the classic forms of attach name a server") {
    CHECK(parse_server_address("files,12345")->port == 12345);
    CHECK(parse_server_address("files,root")->export_name == "root");
    CHECK(parse_server_address("files,10810,root")->export_name == "root");
    CHECK(parse_server_address("files:10810/root")->port == 10810);
    CHECK(parse_server_address("[::1],root")->host == "::1");
    check_refused(parse_server_address(""), "missing export");
    check_refused(parse_server_address("dhcp"), "missing server");
    check_refused(parse_server_address(",root"), "missing server");
    check_refused(parse_server_address("files,root,nbd0"), "on the kernel command line only");
    check_refused(parse_server_address("files,root,ro"), "on the kernel command line only");
    check_refused(parse_server_address("nbd:unix:/s"), "nbd+unix:///");
}

TEST_CASE("a host that cannot be one is refused") {
    for (const char* host :
         {"10.1", "1.2.3.256", "1.2.3.4.5", "-x", ".x", "a_b!", "a\\b", "$(reboot)", "a b", "h\xc3\xa9"}) {
        INFO(host);
        CHECK_FALSE(parse_server_address(host + ",root"s));
        CHECK_FALSE(parse_server_address(host + "/root"s));
    }
    check_refused(parse_server_address(std::string(254, 'a') + ",root"), "longer than 253");
    CHECK(parse_server_address(std::string(253, 'a') + ",root"));
    CHECK_FALSE(parse_server_address("[fe80::1%]/root"));
    CHECK_FALSE(parse_server_address("[fe80::1%a/b]/root"));
    CHECK_FALSE(parse_server_address("[fe80::1%" + std::string(16, 'e') + "]/root"));
}

TEST_CASE("an IPv6 address is eight groups, or fewer around one gap, the last two perhaps written as IPv4") {
    for (const char* host :
         {"::", "::1", "1::", "2001:db8::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
          "::ffff:192.0.2.1", "1:2:3:4:5:6:1.2.3.4", "FE80::ABCD", "fe80::1%eth0.5"}) {
        INFO(host);
        CHECK(parse_server_address("["s + host + "]/x")->host == host);
    }
    for (const char* host :
         {"", ":", ":::", "1:", ":1", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4::5:6:7:8",
          "12345::", "g::", "1.2.3.4", "1.2.3.4::", "::1.2.3", "::1.2.3.256", "::1.2.3.4:5", "%eth0"}) {
        INFO(host);
        CHECK_FALSE(parse_server_address("["s + host + "]/x"));
    }
}

TEST_CASE("an export name has at most 4096 bytes and no control characters") {
    const std::string longest(4096, 'n');
    CHECK(parse_server_address("h," + longest)->export_name == longest);
    CHECK(parse_uri("nbd://h/" + longest)->export_name == longest);
    check_refused(parse_server_address("h," + longest + "n"), "4097 bytes");
    check_refused(parse_server_address("h/" + longest + "n"), "4097 bytes");
    check_refused(parse_server_address("h,1," + longest + "n"), "4097 bytes");
    check_refused(parse_server_address("nbd:h:" + longest + "n"), "4097 bytes");
    check_refused(parse_uri("nbd://h/" + longest + "n"), "4097 bytes");
    check_refused(parse_uri("nbd://h/a%00b"), "control character");
    check_refused(parse_uri("nbd://h/a%0Ab"), "control character");
    check_refused(parse_server_address("h,a\nb"s), "control character");
    check_refused(parse_server_address("h,a\0b"s), "\\x00");
    check_refused(parse_server_address("h,a\x7f"s), "\\x7f");
}

TEST_CASE("every piece of a word is read or refused, without harm") {
    const std::string alphabet = "nbd:/,[]%?&=@#. -x0:1\0\xff\x1b"s;
    std::uint32_t seed = 12345;
    for (int round = 0; round < 20000; ++round) {
        std::string word = round % 3 == 0 ? "nbd://" : round % 3 == 1 ? "nbd:" : "";
        for (int length = round % 24; length > 0; --length) {
            seed = seed * 1664525U + 1013904223U;
            word += alphabet[(seed >> 16) % alphabet.size()];
        }
        const auto named = parse_named_export(word);
        if (!named) {
            CHECK(std::ranges::all_of(named.error(),
                                      [](char c) { return static_cast<unsigned char>(c) >= 0x20; }));
        } else if (!named->all_from_dhcp && !named->server_from_dhcp) {
            CHECK(parse_uri(to_uri(named->address)) == named->address);
        }
    }
}
