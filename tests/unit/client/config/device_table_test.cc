// The table of further devices: what nbdtab(5) says and what is ours, and every mistake at its line.
#include <doctest/doctest.h>

#include <string>

#include "client/address/uri.hh"
#include "client/config/device_table.hh"

using namespace holdfast::client;
using holdfast::Remark;
using std::chrono::seconds;

namespace {

DeviceTable read(const std::string& text) { return read_device_table("table", text); }

std::string lines_of(const std::vector<Remark>& remarks) {
    std::string lines;
    for (const Remark& remark : remarks) lines += to_string(remark) + "\n";
    return lines;
}

DeviceLine only(const std::string& text) {
    const DeviceTable table = read(text);
    INFO(lines_of(table.errors));
    REQUIRE(table.errors.empty());
    REQUIRE(table.devices.size() == 1);
    return table.devices[0];
}

std::string servers_of(const std::string& text) {
    std::string uris;
    for (const ServerAddress& server : only(text).servers) uris += (uris.empty() ? "" : " ") + to_uri(server);
    return uris;
}

void refuse(const std::string& text, const std::string& mend) {
    INFO(text);
    const DeviceTable table = read(text);
    REQUIRE(table.errors.size() == 1);
    const std::string line = to_string(table.errors[0]);
    INFO(line);
    CHECK(line.starts_with("table:1: "));
    CHECK(line.find(mend) != std::string::npos);
}

void warn(const std::string& text, const std::string& why) {
    INFO(text);
    const DeviceTable table = read(text);
    CHECK(table.errors.empty());
    REQUIRE(table.warnings.size() == 1);
    CHECK(to_string(table.warnings[0]).find(why) != std::string::npos);
}

}  // namespace

TEST_CASE("the example of nbdtab(5) means here what it means there") {
    const DeviceTable table = read(
        "# swap space, called \"swapexport\" on the server\n"
        "nbd0 nbdserver.example.com swapexport swap,persist\n"
        "\n"
        "\t nbd1\tnbdserver.example.com   data # no options\r\n");
    CHECK(lines_of(table.errors) + lines_of(table.warnings) == "");
    REQUIRE(table.devices.size() == 2);
    CHECK(table.devices[0].index == 0);
    CHECK(table.devices[0].line == 2);
    CHECK(to_uri(table.devices[0].servers.at(0)) == "nbd://nbdserver.example.com/swapexport");
    CHECK(table.devices[1].at_boot);
    CHECK(table.devices[1].line == 4);
    CHECK(to_uri(table.devices[1].servers.at(0)) == "nbd://nbdserver.example.com/data");
    CHECK(table.find(1) == &table.devices[1]);
    CHECK(table.find(2) == nullptr);
}

TEST_CASE("a host is a name, an address, a UNIX socket or a URI") {
    CHECK(servers_of("/dev/nbd7 10.0.0.1 data port=99") == "nbd://10.0.0.1:99/data");
    CHECK(servers_of("nbd1 fd00::7 data") == "nbd://[fd00::7]/data");
    CHECK(servers_of("nbd1 [fd00::7] data") == "nbd://[fd00::7]/data");
    CHECK(servers_of("nbd1 /run/nbd.sock data unix") == "nbd+unix:///data?socket=/run/nbd.sock");
    CHECK(servers_of("nbd1 nbd://h:7/a%20b") == "nbd://h:7/a%20b");
    CHECK(servers_of("nbd1 nbd://h/x - bs=512") == "nbd://h/x");
    CHECK(servers_of("nbd1 h vg/data") == "nbd://h/vg/data");
}

TEST_CASE("further servers of the same disk are options") {
    CHECK(servers_of("nbd1 a data server=nbd://b:99/copy,port=7,server=c:8/data") ==
          "nbd://a:7/data nbd://b:99/copy nbd://c:8/data");
    refuse("nbd1 a data server=nbd://a/data", "named twice");
    // A host alone has the same export.
    CHECK(servers_of("nbd1 a data server=b,server=c:8,server=[fd00::7]") ==
          "nbd://a/data nbd://b/data nbd://c:8/data nbd://[fd00::7]/data");
    CHECK(servers_of("nbd1 a data server=b,port=7") == "nbd://a:7/data nbd://b:7/data");
    CHECK(servers_of("nbd1 nbd://a:7/x - server=b") == "nbd://a:7/x nbd://b:7/x");
    CHECK(servers_of("nbd1 a data server=nbd://b/,server=c/") == "nbd://a/data nbd://b/ nbd://c/");
    refuse("nbd1 a data server=a", "named twice");
    refuse("nbd1 a data server=", "server=: ");
}

TEST_CASE("options are nbdtab's, or the choices of every device") {
    const DeviceLine line = only(
        "nbd1 h data bs=4096,timeout=30,conns=4,dead-after=20,probe=5,wait=60,lost-cache=fail,ro,noauto,"
        "_netdev,auto,persist,swap,shutdown-timeout=0");
    CHECK(line.choices == Choices{.timeout = seconds{30},
                                  .dead_after = seconds{20},
                                  .probe = seconds{5},
                                  .wait = seconds{60},
                                  .connections = 4,
                                  .lost_cache = LostCache::fail,
                                  .shutdown_timeout = seconds{0},
                                  .block_size = 4096,
                                  .read_only = true});
    CHECK_FALSE(line.at_boot);
    CHECK(only("nbd1 h data read-only=false").choices.read_only == false);
    CHECK(only("nbd1 h data read-only").choices.read_only == true);
    CHECK(only("nbd1 h data rw").choices.read_only == false);
}

TEST_CASE("what has no meaning here is passed over with a warning") {
    warn("nbd1 h data no_optgo", "table:1: option 'no_optgo' has no effect");
    warn("nbd1 h data colour=blue", "table:1: unknown option 'colour=blue'");
    CHECK(read("nbd1 h data ,persist,,").warnings.empty());
}

TEST_CASE("a mistake is told at its line, with the mend") {
    refuse("nbd1", "write DEVICE HOST EXPORT");
    refuse("nbd1 h", "write DEVICE HOST EXPORT");
    refuse("nbd1 h data bs=512 persist", "separate options by commas");
    refuse("sda h data", "'sda' is not a device");
    refuse("nbd1p2 h data", "partitions come with their disk");
    refuse("nbd1 h data bs=513", "512, 1024, 2048 or 4096");
    refuse("nbd1 h data dead-after=1", "3 to 3600");
    refuse("nbd1 h data timeout", "missing value");
    refuse("nbd1 h data port=0", "a port (1-65535)");
    refuse("nbd1 h data bs=512,block-size=512", "duplicate option");
    refuse("nbd1 h,i data", "character");
    refuse("nbd1 10.1 data", "neither an IPv4 address");
    refuse("nbd1 10.0.0.1:99 data", "'10.0.0.1:99' is not a host; write the port as an option, port=");
    refuse("nbd1 files:99 data", "port=");
    refuse("nbd1 [fd00::7]:99 data", "port=");
    refuse("nbd1 /run/nbd.sock data", "add the option unix");
    refuse("nbd1 h data ro,rw", "duplicate option 'rw'");
    refuse("nbd1 h data rw,read-only=true", "duplicate option 'read-only'");
    refuse("nbd1 h data unix", "begin with /");
    refuse("nbd1 /s data unix,port=7", "remove one of them");
    refuse("nbd1 nbd://h/data data", "put the name into the URI");
    refuse("nbd1 nbd://h/data - port=7", "put the port into the URI");
    refuse("nbd1 http://h/data -", "nbd://");
    for (const char* const option : {"initramfs=yes", "nofail=1", "noauto=", "rw=no", "unix=no", "swap=no"})
        refuse(std::string("nbd1 h data ") + option, "takes no value; write ");
    refuse("nbd1 h data certfile=/etc/c", "TLS is not supported yet");
    refuse("nbd1 h \x01", "control character");
}

TEST_CASE("a mistake is its line's alone, and the device's wait ends") {
    const DeviceTable table = read(
        "nbd1 h data\n"
        "nbd2 h data port=x,noauto\n"
        "nbd1 h other\n"
        "nbd3 h more\n");
    REQUIRE(table.devices.size() == 3);
    CHECK_FALSE(table.devices[0].refused);
    CHECK(table.devices[1].refused);
    CHECK(table.devices[1].index == 2);
    CHECK(table.devices[1].servers.empty());
    CHECK_FALSE(table.devices[2].refused);
    CHECK(lines_of(table.errors) ==
          "table:2: nbd2: port= takes a port (1-65535), not 'x'\n"
          "table:3: nbd1: duplicate device, first at line 1; add a further server of the same disk there, "
          "with server=\n");
}

TEST_CASE("initramfs and nofail are known also of a refused line") {
    CHECK_FALSE(only("nbd1 host a").in_initramfs);
    CHECK_FALSE(only("nbd1 host a _initramfs").in_initramfs);
    CHECK(only("nbd1 host a initramfs").in_initramfs);
    CHECK_FALSE(only("nbd1 host a initramfs").may_fail);
    CHECK(only("nbd1 host a initramfs,nofail,wait=5").may_fail);
    for (const char* const options : {"bs=3,initramfs,nofail", "initramfs=yes,nofail=1"}) {
        const DeviceTable faulty = read(std::string("nbd1 host a ") + options);
        REQUIRE(faulty.devices.size() == 1);
        CHECK(faulty.devices[0].refused);
        CHECK(faulty.devices[0].in_initramfs);
        CHECK(faulty.devices[0].may_fail);
    }
    CHECK(read("nbd1 h a\nsda h a initramfs\nnbd2 h a initramfs,noauto").lines_of_initramfs ==
          std::vector<unsigned>{2, 3});
    const DeviceTable table = read("nbd1 host a bs=3,initramfs,nofail\n");
    REQUIRE(table.devices.size() == 1);
    CHECK(table.devices[0].refused);
    CHECK(table.devices[0].in_initramfs);
    CHECK(table.devices[0].may_fail);
    CHECK(table.file == "table");
}
