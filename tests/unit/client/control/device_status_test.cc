// The three spellings of a device's status.
#include <doctest/doctest.h>

#include "client/control/device_status.hh"
#include "common/text/json.hh"

using namespace holdfast::client;
using namespace std::chrono_literals;
using holdfast::json_string;

namespace {

DeviceStatus some_status() {
    DeviceStatus status;
    status.index = 3;
    status.state = DeviceState::attached;
    status.server = "nbd://10.0.0.1/root";
    status.peer = "10.0.0.1:10809";
    status.identifier = "holdfast:0123";
    status.last_error = "nbd://10.0.0.1/root: connect: Connection refused";
    status.size = 8ULL << 30;
    status.block_size = 512;
    status.flags = 0x0d;
    status.daemon_pid = 217;
    status.attached_seconds = 3725;
    status.link_seconds = 61;
    status.reconnects = 2;
    status.servers = 1;
    status.interface = "eth0";
    status.address = "10.77.0.100";
    status.lease_seconds = 3600;
    status.lease_left_seconds = 2405;
    status.lease_renewals = 4;
    return status;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the lines between daemon and command are read back as the same status") {
    DeviceStatus status = some_status();
    CHECK(from_lines(to_lines(status)) == status);
    status.read_only = true;
    for (const DeviceState state : {DeviceState::detached, DeviceState::attached, DeviceState::reconnecting,
                                    DeviceState::unattended, DeviceState::unknown}) {
        status.state = state;
        CHECK(from_lines(to_lines(status)) == status);
    }
    CHECK(from_lines(to_lines(DeviceStatus{})) == DeviceStatus{});
}

TEST_CASE("an error text of several lines stays one line of the protocol") {
    DeviceStatus status = some_status();
    status.last_error = "one\nstate detached\r\ntwo";
    const DeviceStatus read = from_lines(to_lines(status));
    CHECK(read.state == DeviceState::attached);
    CHECK(read.last_error == "one state detached  two");
}

TEST_CASE("lines that are unknown, empty or malformed change nothing") {
    CHECK(from_lines("") == DeviceStatus{});
    CHECK(from_lines("\n\nnew_field 7\nsize\nsize x\n") == DeviceStatus{});
    CHECK(from_lines("state flying\n").state == DeviceState::unknown);
}

TEST_CASE("a person reads state, server, size and the last error") {
    const std::string text = to_text(some_status());
    CHECK(contains(text, "/dev/nbd3: attached for 1 h 2 min\n"));
    CHECK(contains(text, "nbd://10.0.0.1/root (10.0.0.1:10809)"));
    CHECK(contains(text, "8.0 GiB (8589934592 bytes), blocks of 512"));
    CHECK(contains(text, "2, the last 1 min 1 s ago"));
    CHECK(contains(text, "Connection refused\n"));
    CHECK(
        contains(text, "DHCP lease  10.77.0.100 on eth0, for 1 h 0 min, 40 min 5 s left, renewed 4 times\n"));
    CHECK(text.back() == '\n');
    DeviceStatus status = some_status();
    status.lease_seconds = 0xffffffff;
    status.lease_problem = "nobody answers";
    CHECK(contains(
        to_text(status),
        "DHCP lease  10.77.0.100 on eth0, without expiry, renewed 4 times\n              nobody answers\n"));
    status = some_status();
    status.servers = 2;
    status.last_error_seconds = 61;
    CHECK(contains(to_text(status), "(10.0.0.1:10809) and 1 more\n"));
    CHECK(contains(to_text(status), "Connection refused (1 min 1 s ago)\n"));
    status = some_status();
    status.interface = "";
    CHECK_FALSE(contains(to_text(status), "DHCP"));
}

TEST_CASE("an overlay on the root file system is shown with its use of memory") {
    DeviceStatus status;
    status.state = DeviceState::attached;
    CHECK(to_text(status).find("overlay") == std::string::npos);
    status.overlay_size = 200U << 20;
    status.overlay_used = 20U << 20;
    CHECK(to_text(status).find("overlay     20.0 MiB of changes of / in memory, 180.0 MiB free\n") !=
          std::string::npos);
    CHECK(to_json(status).find("\"overlay_size\":209715200,\"overlay_used\":20971520") != std::string::npos);
}

TEST_CASE("the kernel of the next boot is shown if the server has published it") {
    DeviceStatus status;
    status.state = DeviceState::attached;
    CHECK(to_text(status).find("next boot") == std::string::npos);
    CHECK(to_json(status).find("\"next_kernel\":\"\",\"previous_kernel\":\"\"") != std::string::npos);
    status.next_kernel = "6.12.117+deb12-cloud-amd64";
    CHECK(to_text(status).find("next boot   kernel 6.12.117+deb12-cloud-amd64\n") != std::string::npos);
    status.previous_kernel = "6.1.0-57-cloud-amd64";
    CHECK(to_text(status).find(" kernel 6.12.117+deb12-cloud-amd64, fallback 6.1.0-57-cloud-amd64\n") !=
          std::string::npos);
    CHECK(to_json(status).find("\"next_kernel\":\"6.12.117+deb12-cloud-amd64\","
                               "\"previous_kernel\":\"6.1.0-57-cloud-amd64\"") != std::string::npos);
}

TEST_CASE("a device without link, without daemon, or not attached says so in its first line") {
    DeviceStatus status = some_status();
    status.state = DeviceState::reconnecting;
    CHECK(contains(to_text(status), "/dev/nbd3: reconnecting, link down for 1 min 1 s\n"));
    status.state = DeviceState::unattended;
    CHECK(contains(to_text(status), "no holdfast-client daemon is running"));
    status.state = DeviceState::unknown;
    CHECK(contains(to_text(status), "/dev/nbd3: unknown (connected, but the daemon does not report"));
    CHECK_FALSE(contains(to_text(status), "session"));
    status.state = DeviceState::detached;
    CHECK(to_text(status) == "/dev/nbd3: detached\n");
}

TEST_CASE("the public file says how the link is, and since when, to whoever may not ask the daemon") {
    DeviceStatus status = some_status();
    status.state = DeviceState::reconnecting;
    status.daemon_pid = 77;
    const auto lines = public_lines(status, 1000s, 940s);
    CHECK(lines.view().starts_with("heartbeat 00000001000000\nstate reconnecting\n"));
    // Nothing by which somebody could take the disk.
    for (const std::string_view secret :
         {status.session.view(), status.identifier.view(), status.boot_identity.view()})
        CHECK_FALSE((!secret.empty() && contains(std::string(lines.view()), secret)));
    DeviceStatus read;
    take_public_lines(read, lines, true, 1010s);
    CHECK(read.state == DeviceState::reconnecting);
    CHECK(read.link_seconds == 70);
    CHECK(read.server == status.server);
    CHECK(read.reconnects == status.reconnects);
    CHECK(read.daemon_pid == 77);
    // What the file does not know is not there, rather than 0.
    CHECK(contains(to_json(read), R"("state":"reconnecting")"));
    CHECK(contains(to_json(read), R"("link_seconds":70)"));
    CHECK_FALSE(contains(to_json(read), "in_flight"));
    CHECK_FALSE(contains(to_text(read), "session"));
}

TEST_CASE("a public file whose daemon is dead, or has not moved for long, says nothing of the link") {
    const auto lines = public_lines(some_status(), 1000s, 940s);
    DeviceStatus read;
    SUBCASE("dead") {
        take_public_lines(read, lines, false, 1001s);
        CHECK(read.state == DeviceState::unattended);
    }
    SUBCASE("hung") {
        take_public_lines(read, lines, true, 1029s);
        CHECK(read.state == DeviceState::attached);
        take_public_lines(read, lines, true, 1030s);
        CHECK(read.state == DeviceState::unknown);
        CHECK(read.last_error == "no heartbeat from the daemon for 30 s");
        // Awake again.
        const std::string later = std::string(heartbeat_line(1029s)) +
                                  std::string(lines.view().substr(heartbeat_line(0s).view().size()));
        take_public_lines(read, later, true, 1030s);
        CHECK(read.state == DeviceState::attached);
    }
    SUBCASE("nonsense") {
        take_public_lines(read, "heartbeat x\nstate flying\nstate", true, 1s);
        CHECK(read.state == DeviceState::unknown);
        take_public_lines(read, "", true, 1s);
        CHECK(read.state == DeviceState::unknown);
    }
}

TEST_CASE("JSON has every field, and strings that need it are escaped") {
    const std::string json = to_json(some_status());
    CHECK(json.starts_with(R"({"device":"/dev/nbd3","state":"attached","read_only":false,)"));
    CHECK(contains(json, R"("size":8589934592)"));
    CHECK(contains(json, R"("reconnects":2)"));
    CHECK(contains(json, R"("interface":"eth0","address":"10.77.0.100","lease_problem":"")"));
    CHECK(contains(json, R"("lease_seconds":3600,"lease_left_seconds":2405,"lease_renewals":4)"));
    CHECK(json.ends_with("}"));
    CHECK(json_string("a\"b\\c\n\x01") == "\"a\\\"b\\\\c\\u000a\\u0001\"");
    CHECK(json_string("gr\xc3\xbc\xc3\x9f") == "\"gr\xc3\xbc\xc3\x9f\"");
    CHECK(json_string("\xff|\xc3|\xe2\x82") == "\"\\ufffd|\\ufffd|\\ufffd\\ufffd\"");
}

TEST_CASE("sizes and durations are written as people say them") {
    CHECK(size_words(0) == "0 B");
    CHECK(size_words(1023) == "1023 B");
    CHECK(size_words(1536) == "1.5 KiB");
    CHECK(size_words(64ULL << 20) == "64.0 MiB");
    CHECK(size_words(UINT64_MAX) == "15.9 EiB");
    CHECK(duration_words(59) == "59 s");
    CHECK(duration_words(60) == "1 min 0 s");
    CHECK(duration_words(7265) == "2 h 1 min");
    CHECK(duration_words(270'000) == "3 d 3 h");
    CHECK(flag_words(0) == "none");
    CHECK(flag_words(0x0f) == "read-only flush fua");
}

TEST_CASE("JSON stays valid UTF-8, and no string in it gives an order to a terminal") {
    CHECK(json_string("\xc2\x9b|\x7f") == "\"\\u009b|\\u007f\"");
    // Longer than need be, a surrogate, beyond the last code point.
    CHECK(json_string("\xc0\xaf") == "\"\\ufffd\\ufffd\"");
    CHECK(json_string("\xe0\x80\xaf") == "\"\\ufffd\\ufffd\\ufffd\"");
    CHECK(json_string("\xed\xa0\x80") == "\"\\ufffd\\ufffd\\ufffd\"");
    CHECK(json_string("\xf4\x90\x80\x80") == "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    CHECK(json_string("\xf0\x9f\x8c\x8a\xed\x9f\xbf") == "\"\xf0\x9f\x8c\x8a\xed\x9f\xbf\"");
}

TEST_CASE("what the server fences is said as it is, and whose business another server machine is") {
    CHECK(fencing_word(false, true) == std::string_view("unknown"));
    CHECK(fencing_word(true, false) == std::string_view("reconnects"));
    CHECK(fencing_word(true, true) == std::string_view("fenced"));
    DeviceStatus status = some_status();
    status.generation = 7;
    status.session = "fenced";
    CHECK(contains(to_text(status),
                   "fenced, generation 7: the server rejects the writes of older connections\n"));
    CHECK_FALSE(contains(to_text(status), "servers on other machines"));
    status.session = "reconnects";
    CHECK(contains(to_text(status),
                   "reconnects, generation 7: only reconnects are fenced; after a forced detach"));
    status.servers = 2;
    CHECK(contains(to_text(status), "servers on other machines cannot fence late writes"));
    status.read_only = true;
    CHECK_FALSE(contains(to_text(status), "servers on other machines"));
    status.read_only = false;
    status.session = "unknown";
    CHECK(contains(to_text(status), "unknown: the server does not support fencing"));
    CHECK_FALSE(contains(to_text(status), "servers on other machines"));
}
