// Holds the boot grammar to client/address/boot_forms.txt, the table that the man page shows: every example
// there must be read as its row says. The table is read as data, so that a row added there is a test added
// here.

#include <doctest/doctest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/address/export_address.hh"
#include "client/address/nbd_device.hh"
#include "client/address/uri.hh"
#include "client/boot/boot_plan.hh"

using namespace holdfast::client;

namespace {

struct Row {
    std::string form, example, server, port, export_name, device, note;
    int line = 0;
};

std::string trimmed(std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return std::string{text};
}

std::vector<std::string> columns_of(std::string_view line) {
    std::vector<std::string> columns;
    for (std::size_t bar = 0; bar != std::string_view::npos;) {
        bar = line.find('|');
        columns.push_back(trimmed(line.substr(0, bar)));
        if (bar != std::string_view::npos) line.remove_prefix(bar + 1);
    }
    return columns;
}

std::vector<Row> read_table() {
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::vector<Row> rows;
    const std::unique_ptr<std::FILE, Close> file{
        std::fopen(HOLDFAST_SOURCE_DIR "/client/address/boot_forms.txt", "re")};
    REQUIRE(file);
    char buffer[1024];
    for (int number = 1; std::fgets(buffer, sizeof buffer, file.get()); ++number) {
        std::string line{buffer};
        REQUIRE(line.ends_with('\n'));
        line.pop_back();
        if (line.empty() || line.starts_with('#')) continue;
        const auto c = columns_of(line);
        INFO("line " << number);
        REQUIRE(c.size() == 7);
        rows.push_back({c[0], c[1], c[2], c[3], c[4], c[5], c[6], number});
    }
    return rows;
}

// What "DHCP" means in the table. next-server differs, to show that the root-path is preferred.
const std::vector<NetworkAnswer> table_answers{{.interface = "eth0",
                                                .address = "198.51.100.20",
                                                .root_server = "203.0.113.9",
                                                .root_path = "198.51.100.7,4711,nbd3",
                                                .domain = {},
                                                .search = {},
                                                .name_servers = {}}};

std::string value_or(const std::string& column, std::string_view dhcp) {
    if (column == "-") return {};
    return column == "DHCP" ? std::string{dhcp} : column;
}

}  // namespace

TEST_CASE("every form in boot_forms.txt means what its row says") {
    const std::vector<Row> rows = read_table();
    CHECK(rows.size() > 40);
    for (const Row& row : rows) {
        INFO("line " << row.line << ": nbdroot=" << row.example);
        const auto request = read_boot_request("nbdroot=" + row.example + " ro");
        if (row.server == "refused") {
            REQUIRE_FALSE(request);
            CHECK(request.error().word == "nbdroot=" + row.example);
            CHECK(request.error().message.find(row.example) != std::string::npos);
            CHECK_FALSE(row.note.empty());
            continue;
        }
        if (!request) FAIL(request.error().message);
        REQUIRE(request->has_value());
        const auto plan = make_boot_plan(**request, table_answers);
        if (!plan) FAIL(plan.error().message);
        REQUIRE(plan->servers.size() == 1);
        const ServerAddress& server = plan->servers[0];
        CHECK(server.host == value_or(row.server, "198.51.100.7"));
        CHECK(std::to_string(server.port) == value_or(row.port, "4711"));
        CHECK(server.export_name == value_or(row.export_name, ""));
        const std::string device = value_or(row.device, "nbd3");
        CHECK(plan->root == "/dev/" + (device.empty() ? "nbd0" : device));
        CHECK(device_path({.index = plan->device_index}) == plan->root.substr(0, plan->root.find('p')));
    }
}

TEST_CASE("a form that names its server and no device means the same to attach as to boot") {
    for (const Row& row : read_table()) {
        const auto attached = parse_server_address(row.example);
        INFO("line " << row.line << ": " << row.example);
        if (row.server == "refused") {
            CHECK_FALSE(attached);
        } else if (row.server == "DHCP") {
            CHECK_FALSE(attached);
        } else if (attached) {
            CHECK(attached->host == row.server);
            CHECK(attached->export_name == value_or(row.export_name, ""));
            CHECK(parse_uri(to_uri(*attached)) == attached);
        } else {
            const bool more = row.device != "-" || row.form.find("OPTION") != std::string::npos;
            CHECK(more);
        }
    }
}
