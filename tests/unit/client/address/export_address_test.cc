// Words that name an export: what the table of boot_forms.txt does not show, and hostile input.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "client/address/export_address.hh"
#include "common/text/printable.hh"

using namespace holdfast::client;
using namespace std::string_literals;
using holdfast::printable;

namespace {

// The message names the word and says `mend`; it is one printable line.
void check_refused(const std::expected<ServerAddress, std::string>& address, const std::string& mend) {
    REQUIRE_FALSE(address);
    INFO(address.error());
    CHECK(address.error().find(mend) != std::string::npos);
    CHECK(address.error().find('\n') == std::string::npos);
    CHECK(address.error().size() < 1000);
}

}  // namespace

TEST_CASE("an NBD URI names host, port and export") {
    const auto address = parse_uri("nbd://files.example.org:10810/vg0/root");
    REQUIRE(address);
    CHECK(address->kind == ServerAddress::Kind::tcp);
    CHECK(address->host == "files.example.org");
    CHECK(address->port == 10810);
    CHECK(address->port_given);
    CHECK(address->export_name == "vg0/root");
}

TEST_CASE("a URI may leave out port and export") {
    const auto address = parse_uri("nbd://192.0.2.1");
    REQUIRE(address);
    CHECK(address->port == 10809);
    CHECK_FALSE(address->port_given);
    CHECK(address->export_name.empty());
    CHECK(parse_uri("nbd://192.0.2.1/") == address);
    CHECK(parse_uri("nbd://192.0.2.1/?") == address);
}

TEST_CASE("a URI's percent escapes are decoded once") {
    const auto address = parse_uri("nbd://h/a%20b%2fc%25%32%30%3F%23%c3%a9");
    REQUIRE(address);
    CHECK(address->export_name == "a b/c%20?#\xc3\xa9");
}

TEST_CASE("a URI's IPv6 address is in brackets, its zone percent-encoded") {
    const auto address = parse_uri("nbd://[fe80::1%25eth0]:10810/x");
    REQUIRE(address);
    CHECK(address->host == "fe80::1%eth0");
    CHECK(to_uri(*address) == "nbd://[fe80::1%25eth0]:10810/x");
}

TEST_CASE("a UNIX socket's URI has three slashes and a socket") {
    const auto address = parse_uri("nbd+unix:///root%20disk?socket=/run/nbd%20a.sock");
    REQUIRE(address);
    CHECK(address->kind == ServerAddress::Kind::unix_socket);
    CHECK(address->socket_path == "/run/nbd a.sock");
    CHECK(address->export_name == "root disk");
    CHECK(to_uri(*address) == "nbd+unix:///root%20disk?socket=/run/nbd%20a.sock");
    CHECK(parse_uri("nbd+unix://?socket=/s")->export_name.empty());
}

TEST_CASE("a URI printed and read again is the same address") {
    for (const char* uri :
         {"nbd://h/", "nbd://h:10809/", "nbd://h:1/a,b;c=d", "nbd://[::1]/x",
          "nbd://10.0.0.1:65535/%C3%A9%3F%23%25", "nbd+unix:///?socket=/a", "nbd://h//slash"}) {
        INFO(uri);
        const auto address = parse_uri(uri);
        REQUIRE(address);
        CHECK(parse_uri(to_uri(*address)) == address);
    }
}

TEST_CASE("a wrong URI is refused with the mend") {
    check_refused(parse_uri("nbds://h/x"), "TLS is not supported yet");
    check_refused(parse_uri("nbds+unix:///x?socket=/s"), "TLS is not supported yet");
    check_refused(parse_uri("nbd://h/x?tls-certificates=/etc"), "TLS is not supported yet");
    check_refused(parse_uri("http://h/x"), "not a scheme of NBD");
    check_refused(parse_uri("NBD://h/x"), "not a scheme of NBD");
    check_refused(parse_uri("h/x"), "not a URI");
    check_refused(parse_uri("://h/x"), "not a URI");
    check_refused(parse_uri(""), "not a URI");
    check_refused(parse_uri("nbd:///x"), "the server is missing");
    check_refused(parse_uri("nbd://"), "the server is missing");
    check_refused(parse_uri("nbd://:10809/x"), "the server is missing");
    check_refused(parse_uri("nbd://me@h/x"), "no user names");
    check_refused(parse_uri("nbd://2001:db8::1/x"), "brackets");
    check_refused(parse_uri("nbd://[2001:db8::1/x"), "not closed");
    check_refused(parse_uri("nbd://[2001:db8::g]/x"), "not an IPv6 address");
    check_refused(parse_uri("nbd://[]/x"), "not an IPv6 address");
    check_refused(parse_uri("nbd://[::1]x/x"), "not a port");
    check_refused(parse_uri("nbd://h/x#y"), "%23");
    check_refused(parse_uri("nbd://h/50%"), "%25");
    check_refused(parse_uri("nbd://h/a%2"), "%25");
    check_refused(parse_uri("nbd://h/a%zz"), "%25");
    check_refused(parse_uri("nbd://h/x?socket=/s"), "nbd+unix");
    check_refused(parse_uri("nbd://h/x?sockt=/s"), "not known");
    check_refused(parse_uri("nbd+unix:///x"), "the socket is missing");
    check_refused(parse_uri("nbd+unix:///x?socket="), "the socket is missing");
    check_refused(parse_uri("nbd+unix:///x?socket"), "the socket is missing");
    check_refused(parse_uri("nbd+unix:///x?socket=a"), "must begin with '/'");
    check_refused(parse_uri("nbd+unix:///x?socket=/a&socket=/b"), "twice");
    check_refused(parse_uri("nbd+unix:///x?socket=/" + std::string(107, 's')), "longer than 107");
    check_refused(parse_uri("nbd+unix://h/x?socket=/a"), "has no host");
}

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
    check_refused(parse_server_address("h,0"), "not a port");
    check_refused(parse_server_address("h,65536"), "not a port");
}

TEST_CASE("the classic forms of attach name a server") {
    CHECK(parse_server_address("files,12345")->port == 12345);
    CHECK(parse_server_address("files,root")->export_name == "root");
    CHECK(parse_server_address("files,10810,root")->export_name == "root");
    CHECK(parse_server_address("files:10810/root")->port == 10810);
    CHECK(parse_server_address("[::1],root")->host == "::1");
    check_refused(parse_server_address(""), "no export is named");
    check_refused(parse_server_address("dhcp"), "the server is missing");
    check_refused(parse_server_address(",root"), "the server is missing");
    check_refused(parse_server_address("files,root,nbd0"), "only the kernel command line");
    check_refused(parse_server_address("files,root,ro"), "only the kernel command line");
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

TEST_CASE("a device is nbdN or nbdNpM, with or without /dev/") {
    CHECK(parse_nbd_device("nbd0") == NbdDevice{.index = 0, .partition = 0});
    CHECK(parse_nbd_device("/dev/nbd15") == NbdDevice{.index = 15, .partition = 0});
    CHECK(parse_nbd_device("/dev/nbd1p2") == NbdDevice{.index = 1, .partition = 2});
    CHECK(device_path({.index = 1, .partition = 2}) == "/dev/nbd1p2");
    for (const char* word :
         {"", "nbd", "/dev/", "/dev/nbd", "nbd00", "nbd01", "nbd0p", "nbd0p0", "nbdp1", "nbd-1", "nbd0p1p2",
          "nbd32768", "nbd99999999999", "sda", "dev/nbd0", "/nbd0", "nbd0 "}) {
        INFO(word);
        CHECK_FALSE(parse_nbd_device(word));
    }
}

TEST_CASE("a word in a message is cut short and printable") {
    CHECK(printable("a\x1b[31mb\n") == "a\\x1b[31mb\\x0a");
    CHECK(printable(std::string(5000, 'a')).size() < 200);
    // C1 in UTF-8 and as bare bytes; what is no UTF-8; a character across the cut.
    CHECK(printable("\xc2\x9b"
                    "31m|\x9b|gr\xc3\xbc|\xe2\x82") == "\\xc2\\x9b31m|\\x9b|gr\xc3\xbc|\\xe2\\x82");
    CHECK(printable(std::string(119, 'a') + "\xc3\xbc") == std::string(119, 'a') + "\xc3\xbc");
}
