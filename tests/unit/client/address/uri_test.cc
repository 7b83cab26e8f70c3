// NBD URIs, right and wrong.

#include <doctest/doctest.h>

#include <string>

#include "client/address/uri.hh"
#include "tests/unit/client/address/check_refused.hh"

using namespace holdfast::client;

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
    check_refused(parse_uri("http://h/x"), "unknown URI scheme");
    check_refused(parse_uri("NBD://h/x"), "unknown URI scheme");
    check_refused(parse_uri("h/x"), "not a URI");
    check_refused(parse_uri("://h/x"), "not a URI");
    check_refused(parse_uri(""), "not a URI");
    check_refused(parse_uri("nbd:///x"), "missing server");
    check_refused(parse_uri("nbd://"), "missing server");
    check_refused(parse_uri("nbd://:10809/x"), "missing server");
    check_refused(parse_uri("nbd://me@h/x"), "no user names");
    check_refused(parse_uri("nbd://2001:db8::1/x"), "brackets");
    check_refused(parse_uri("nbd://[2001:db8::1/x"), "missing ']'");
    check_refused(parse_uri("nbd://[2001:db8::g]/x"), "invalid IPv6 address");
    check_refused(parse_uri("nbd://[]/x"), "invalid IPv6 address");
    check_refused(parse_uri("nbd://[::1]x/x"), "invalid port");
    check_refused(parse_uri("nbd://h/x#y"), "%23");
    check_refused(parse_uri("nbd://h/50%"), "%25");
    check_refused(parse_uri("nbd://h/a%2"), "%25");
    check_refused(parse_uri("nbd://h/a%zz"), "%25");
    check_refused(parse_uri("nbd://h/x?socket=/s"), "nbd+unix");
    check_refused(parse_uri("nbd://h/x?sockt=/s"), "unknown parameter");
    check_refused(parse_uri("nbd+unix:///x"), "missing socket");
    check_refused(parse_uri("nbd+unix:///x?socket="), "missing socket");
    check_refused(parse_uri("nbd+unix:///x?socket"), "missing socket");
    check_refused(parse_uri("nbd+unix:///x?socket=a"), "must begin with '/'");
    check_refused(parse_uri("nbd+unix:///x?socket=/a&socket=/b"), "twice");
    check_refused(parse_uri("nbd+unix:///x?socket=/" + std::string(107, 's')), "longer than 107");
    check_refused(parse_uri("nbd+unix://h/x?socket=/a"), "has no host");
}
