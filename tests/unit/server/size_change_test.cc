// Growth and shrinking of a disk under a client.
#include <doctest/doctest.h>

#include "server/size_change.hh"

using namespace holdfast::server;
using Kind = SizeChange::Kind;

TEST_CASE(
    "a disk that has grown is offered with its new size, in whole blocks, unless the client could not have "
    "it") {
    ExportConfig config;
    CHECK(size_change(4096, &config, {.size = 8192}) == SizeChange{Kind::grown, 8192});
    CHECK(size_change(4096, &config, {.size = 4096}) == SizeChange{});
    CHECK(size_change(4096, &config, {.size = 9000, .minimum_block = 512}) == SizeChange{Kind::grown, 8704});
    CHECK(size_change(4096, &config, {.size = 4100, .minimum_block = 512}) == SizeChange{});
    CHECK(size_change(4096, nullptr, {.size = 8192}) == SizeChange{});
    config.filesize = 4096;
    CHECK(size_change(4096, &config, {.size = 8192}) == SizeChange{});
    CHECK(size_change(2048, &config, {.size = 8192}) == SizeChange{Kind::grown, 4096});
}

TEST_CASE("a disk that has shrunk, or is gone, is seen with any configuration") {
    ExportConfig config;
    CHECK(size_change(8192, &config, {.size = 4096}) == SizeChange{Kind::shrunk, 4096});
    CHECK(size_change(8192, nullptr, {.size = 4096}) == SizeChange{Kind::shrunk, 4096});
    CHECK(size_change(8192, &config, {.size = 0}) == SizeChange{Kind::gone, 0});
    CHECK(size_change(0, &config, {.size = 0}) == SizeChange{});
}

TEST_CASE("the log says who has to do what about a new size") {
    SizeNews news{"root", "/dev/vg0/root", "192.0.2.7:40000", 4096, true};
    CHECK(grown_text(news, {Kind::grown, 8192}) ==
          "export root: /dev/vg0/root has grown from 4096 to 8192 bytes; 192.0.2.7:40000 uses them after its "
          "next probe");
    news.in_session = false;
    CHECK(grown_text(news, {Kind::grown, 8192}) ==
          "export root: /dev/vg0/root has grown from 4096 to 8192 bytes; reconnect 192.0.2.7:40000 to use "
          "them");
    CHECK(shrunk_text(news, {Kind::shrunk, 512}) ==
          "export root: /dev/vg0/root has shrunk to 512 bytes, although 192.0.2.7:40000 uses 4096; extend it "
          "at "
          "once: lvextend -L 4096b /dev/vg0/root");
    CHECK(shrunk_text(news, {Kind::gone, 0}).find("is gone") != std::string::npos);
}
