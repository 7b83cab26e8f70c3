// Files of other hands by which a machine would write to the disk of a host. The forms of a disk are those of
// client/address/boot_forms.txt, so that a form that is added there is tested here.
#include <doctest/doctest.h>

#include <fstream>

#include "common/text/text.hh"
#include "netboot/plan/planned_files.hh"

using namespace holdfast;
using namespace holdfast::netboot;

namespace {

struct Row {
    std::string example, server, port, name;
};

std::vector<Row> read_forms() {
    std::ifstream file(HOLDFAST_SOURCE_DIR "/client/address/boot_forms.txt");
    std::vector<Row> rows;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line.starts_with('#')) continue;
        std::string_view rest = line;
        std::vector<std::string> columns;
        for (int column = 0; column < 5; ++column) columns.emplace_back(trimmed(take_until(rest, '|')));
        if (columns[2] != "refused") rows.push_back({columns[1], columns[2], columns[3], columns[4]});
    }
    return rows;
}

Host host_on(const std::string& server, const std::string& name) {
    Host host;
    host.name = "ws0";
    host.server = server;
    host.export_name = name;
    return host;
}

// True if a file with this line gives the disk of the host to another machine.
bool writes(const Host& host, const std::string& path, const std::string& line) {
    return !writers_by_hand({}, {host}, {{path, line + "\n"}}).empty();
}

// The word with zeros before its port.
std::string with_zeros(std::string word, const std::string& port) {
    const std::size_t at = word.find(port);
    return at == std::string::npos ? word : word.insert(at, "00");
}

}  // namespace

TEST_CASE("no form of a disk that holdfast-client accepts hides a second writer") {
    const std::vector<Row> rows = read_forms();
    unsigned named = 0;
    for (const Row& row : rows) {
        // The disk of the port, or of the root-path.
        const bool is_default = row.name == "-";
        if (row.port == "DHCP" || (is_default && row.port == "10809")) continue;
        ++named;
        const bool from_dhcp = row.server == "DHCP";
        const std::string server = from_dhcp                  ? "192.0.2.1"
                                   : row.server.contains(':') ? "[" + row.server + "]"
                                                              : row.server;
        const Host host = host_on(server + ":" + row.port, is_default ? "any" : row.name);
        std::vector<std::string> words{"nbdroot=" + row.example, "nbdroot=\"" + row.example + "\"",
                                       "\"nbdroot=" + row.example + "\"", "holdfast.disk=nbd1=" + row.example,
                                       "nbdroot=" + with_zeros(row.example, row.port)};
        if (row.example.starts_with("nbd://")) words.push_back("nbdroot=" + row.example + "?");
        if (row.example.starts_with("nbd:")) words.push_back("root=" + row.example);
        for (const std::string& word : words)
            for (const char* path : {"pxelinux.cfg/x", "grub/x.cfg", "ipxe/x.ipxe"}) {
                CHECK_MESSAGE(writes(host, path, "linux x ro " + word + " quiet"),
                              (std::string(path) + ": " + word));
                CHECK_MESSAGE(!writes(host_on(server + ":1", "other"), path, "linux x " + word), word);
            }
    }
    CHECK(named > 35);
}

TEST_CASE("a server is the same in each spelling, and another one is not") {
    const auto names = [](const std::string& server, const std::string& word) {
        return writes(host_on(server, "a"), "pxelinux.cfg/x", "APPEND " + word);
    };
    CHECK(names("192.0.2.1", "nbdroot=nbd://192.0.2.1:010809/a"));
    CHECK(names("192.0.2.1:010810", "nbdroot=192.0.2.1:10810/a"));
    CHECK(names("192.0.2.1:10810", "nbdroot=192.0.2.1,0010810,a"));
    CHECK(names("192.0.2.1", "nbdroot=nbd://192.0.2.1/a?"));
    CHECK(names("[2001:db8::1]", "nbdroot=2001:DB8:0:0::1,a"));
    CHECK(names("[2001:db8::1]:10810", "nbdroot=nbd://[2001:0db8:0:0:0:0:0:1]:10810/a"));
    CHECK(names("[::ffff:c000:0201]", "nbdroot=::ffff:192.0.2.1,a"));
    CHECK(names("[fe80::1%eth0]", "nbdroot=fe80::1%eth0,a"));
    CHECK(names("files.example.org", "nbdroot=Files.example.org.,a"));
    // The loader, or DHCP, names the server.
    CHECK(names("192.0.2.1", "nbdroot=${next-server},a"));
    CHECK(names("192.0.2.1:10810", "nbdroot=nbd://$server/a"));
    CHECK(names("192.0.2.1:10810", "nbdroot=dhcp,a"));
    CHECK(names("192.0.2.1:10810", "nbdroot=,a"));
    CHECK_FALSE(names("192.0.2.1", "nbdroot=dhcp,b"));
    CHECK_FALSE(names("192.0.2.1", "nbdroot=nbd://dhcp/a"));
    CHECK_FALSE(names("192.0.2.1", "nbdroot=192.0.2.1:10810/a"));
    CHECK_FALSE(names("192.0.2.1", "nbdroot=192.0.2.2,a"));
    CHECK_FALSE(names("[2001:db8::1]", "nbdroot=2001:db8::2,a"));
    CHECK_FALSE(names("[2001:db8::1]", "nbdroot=2001:db8::1::,a"));
    CHECK_FALSE(names("192.0.2.1", "nbdroot=nbd://192.0.2.1/b?a"));
    // A port of its own has one export, whatever its name is; which one the usual port has is not known.
    CHECK(names("192.0.2.1:12345", "nbdroot=192.0.2.1,12345,nbd0"));
    CHECK(names("192.0.2.1:12345", "nbdroot=nbd://192.0.2.1:12345"));
    CHECK(names("192.0.2.1:12345", "nbdroot=dhcp,12345"));
    CHECK_FALSE(names("192.0.2.1:12345", "nbdroot=192.0.2.1,12345,b"));
    CHECK_FALSE(names("192.0.2.1:12346", "nbdroot=dhcp,12345"));
    CHECK_FALSE(names("192.0.2.1", "nbdroot=192.0.2.1"));
    CHECK_FALSE(names("192.0.2.1", "nbdroot=dhcp"));
}
