// Further disks of the root file system: the words holdfast.disk=, and the lines of the table of devices.

#include <doctest/doctest.h>

#include <string>

#include "client/boot/boot_plan.hh"
#include "client/boot/plan_text.hh"

using namespace holdfast::client;
using namespace std::string_literals;
using std::chrono::seconds;

namespace {

constexpr const char* root = "nbdroot=192.0.2.1,root root=/dev/md0 ";

std::expected<BootPlan, BootError> planned(const std::string& words, const std::string& table = "",
                                           const std::string& config = "",
                                           const std::vector<NetworkAnswer>& answers = {}) {
    const auto request = read_boot_request(root + words);
    if (!request) return std::unexpected(request.error());
    REQUIRE(request->has_value());
    auto read = read_config("conf", config);
    if (!read) FAIL(read.error().front());
    return make_boot_plan(**request, answers, *read, read_device_table("/etc/holdfast/devices", table));
}

BootPlan plan_of(const std::string& words, const std::string& table = "", const std::string& config = "") {
    auto plan = planned(words, table, config);
    if (!plan) FAIL(plan.error().message);
    return *plan;
}

// Each disk, described.
std::string disks_of(const std::string& words, const std::string& table = "",
                     const std::string& config = "") {
    std::string text;
    for (const FurtherDisk& disk : plan_of(words, table, config).further) text += describe(disk) + "\n";
    return text;
}

void check_wrong(const std::string& words, const std::string& start, const std::string& mend) {
    INFO(words);
    const auto plan = planned(words);
    REQUIRE_FALSE(plan);
    INFO(plan.error().message);
    CHECK(plan.error().message.starts_with(start + ": "));
    CHECK(plan.error().message.find(mend) != std::string::npos);
    CHECK(plan.error().message.find('\n') == std::string::npos);
}

}  // namespace

TEST_CASE("each device of holdfast.disk= is a further disk, and a repeated one a further server") {
    CHECK(disks_of("").empty());
    CHECK(disks_of("holdfast.disk=nbd1=192.0.2.2,10810,mirror") ==
          "nbd://192.0.2.2:10810/mirror as /dev/nbd1, a further disk of the root file system "
          "(holdfast.disk=nbd1), for up to 30 s\n");
    CHECK(disks_of("holdfast.disk=/dev/nbd2=nbd://192.0.2.2/b holdfast.disk=nbd1=192.0.2.2,a,nbd1,nofail "
                   "holdfast.disk=nbd2=192.0.2.3,b") ==
          "nbd://192.0.2.2/b, then nbd://192.0.2.3/b as /dev/nbd2, a further disk of the root file system "
          "(holdfast.disk=nbd2), for up to 30 s\n"
          "nbd://192.0.2.2/a as /dev/nbd1, a further disk of the root file system (holdfast.disk=nbd1), for "
          "up to 30 s, which may fail\n");
}

TEST_CASE("lines of the table with the option initramfs are further disks") {
    CHECK(disks_of("",
                   "nbd1 192.0.2.2 a\nnbd2 192.0.2.2 b initramfs,wait=50\nnbd3 192.0.2.3 c "
                   "initramfs,nofail\n") ==
          "nbd://192.0.2.2/b as /dev/nbd2, a further disk of the root file system (/etc/holdfast/devices:2), "
          "for up to 50 s\n"
          "nbd://192.0.2.3/c as /dev/nbd3, a further disk of the root file system (/etc/holdfast/devices:3), "
          "for up to 30 s, which may fail\n");
    // The command line replaces a line.
    CHECK(disks_of("holdfast.disk=nbd2=192.0.2.9,new", "nbd2 192.0.2.2 b initramfs\n") ==
          "nbd://192.0.2.9/new as /dev/nbd2, a further disk of the root file system (holdfast.disk=nbd2), "
          "for up to 30 s\n");
}

TEST_CASE("a faulty line costs its own disk only, and the other lines' errors none") {
    const std::string table =
        "nbd1 192.0.2.2 a bs=3,initramfs,nofail\nnbd2 192.0.2.2 b initramfs\nnbd3 192.0.2.2 c bs=3\n"
        "nbd4 192.0.2.1 root initramfs\n";
    CHECK(disks_of("", table) ==
          "/etc/holdfast/devices:1: nbd1: not attached: option 'bs=3': takes 512, 1024, 2048 or 4096, not 3\n"
          "nbd://192.0.2.2/b as /dev/nbd2, a further disk of the root file system (/etc/holdfast/devices:2), "
          "for up to 30 s\n"
          "/etc/holdfast/devices:4: nbd4: not attached: nbd://192.0.2.1/root is attached as nbd0 already; "
          "name another export, or remove this one\n");
    CHECK(plan_of("", table).further[0].may_fail);
    CHECK(plan_of("", table).further[0].servers.empty());
}

TEST_CASE("another spelling of a server is the same server") {
    CHECK(disks_of("", "nbd1 192.0.2.1 root port=10809,initramfs\n").find("attached as nbd0 already") !=
          std::string::npos);
    check_wrong("holdfast.disk=nbd1=[FD77:0::1],10809,a holdfast.disk=nbd2=[fd77::1],a", "holdfast.disk=nbd2",
                "attached as nbd1 already");
    CHECK(plan_of("holdfast.disk=nbd1=Files,a holdfast.disk=nbd1=files,10809,a").further[0].servers.size() ==
          1);
}

TEST_CASE("nofail at a further server of a disk is reported, not dropped") {
    const BootPlan plan = plan_of("holdfast.disk=nbd1=192.0.2.2,a holdfast.disk=nbd1=192.0.2.3,a,nofail");
    CHECK_FALSE(plan.further[0].may_fail);
    REQUIRE(plan.warnings.size() == 1);
    CHECK(plan.warnings[0].find("move the options there") != std::string::npos);
}

TEST_CASE("the table's line for the root disk is ignored, with a warning") {
    const BootPlan plan = plan_of("", "nbd0 192.0.2.7 other initramfs\n");
    CHECK(plan.further.empty());
    REQUIRE(plan.warnings.size() == 1);
    CHECK(plan.warnings[0] ==
          "/etc/holdfast/devices:1: ignored: nbd0 is the root disk, which the kernel command line "
          "describes; remove the line, or its option initramfs");
    CHECK(plan_of("", "nbd0 192.0.2.7 other\n").warnings.empty());
}

TEST_CASE(
    "a further disk has the options of its word or line, then those of the file, and the root's patience") {
    const std::string config =
        "[defaults]\nprobe = 3\n[nbd1]\ndead-after = 7\nprobe = 4\n[nbd0]\nwait = 90\n";
    const FurtherDisk disk = plan_of("holdfast.disk=nbd1=192.0.2.2,a,ro,dead-after=9", "", config).further[0];
    CHECK(disk.options.dead_after == seconds{9});
    CHECK(disk.options.probe == seconds{4});
    CHECK(disk.options.read_only == true);
    CHECK(disk.patience == seconds{90});
    CHECK(plan_of("holdfast.disk=nbd1=192.0.2.2,a,wait=120 rootdelay=60").further[0].patience ==
          seconds{120});
    CHECK(plan_of("holdfast.disk=nbd1=192.0.2.2,a,wait=5 rootdelay=60").further[0].patience == seconds{60});
    const BootPlan two = plan_of("holdfast.disk=nbd1=192.0.2.2,a,ro holdfast.disk=nbd1=192.0.2.3,a,rw");
    CHECK(two.further[0].options.read_only == true);
    CHECK(two.warnings ==
          std::vector{
              "nbd1: the options of its first holdfast.disk= apply to all servers; move the options there"s});
}

TEST_CASE("the limit of an attempt through one of several cards is not that of the further disks") {
    auto request = read_boot_request(root + "holdfast.disk=nbd1=192.0.2.2,a"s);
    REQUIRE(request);
    (*request)->limit = seconds{10};
    const auto plan = make_boot_plan(**request, {});
    REQUIRE(plan);
    CHECK(plan->patience == seconds{10});
    CHECK(plan->further[0].patience == seconds{30});
}

TEST_CASE("an invalid holdfast.disk= is named with its mend") {
    const std::string form = "write holdfast.disk=nbd1=SERVER,PORT,NAME";
    for (const char* word : {"holdfast.disk", "holdfast.disk=", "holdfast.disk=nbd1",
                             "holdfast.disk=192.0.2.1,a", "holdfast.disk=sda=192.0.2.1,a"})
        check_wrong(word, word == "holdfast.disk"s ? "holdfast.disk=" : word, form);
    check_wrong("holdfast.disk=nbd1=", "holdfast.disk=nbd1=", "DHCP names the export of the root disk only");
    check_wrong("holdfast.disk=nbd1=dhcp", "holdfast.disk=nbd1=dhcp", form);
    check_wrong("holdfast.disk=nbd1p1=192.0.2.2,a", "holdfast.disk=nbd1p1=192.0.2.2,a",
                "write holdfast.disk=nbd1=");
    check_wrong("holdfast.disk=nbd1=192.0.2.2,70000", "holdfast.disk=nbd1=192.0.2.2,70000", "port");
    check_wrong("holdfast.disk=nbd1=192.0.2.2,a,nbd2", "holdfast.disk=nbd1=192.0.2.2,a,nbd2",
                "/dev/nbd1 and /dev/nbd2 are two devices");
    check_wrong("holdfast.disk=nbd1=192.0.2.2,a,bs=3", "holdfast.disk=nbd1=192.0.2.2,a,bs=3", "512, 1024");
    check_wrong("holdfast.disk=nbd1=nbd:192.0.2.2:a:ext4", "holdfast.disk=nbd1=nbd:192.0.2.2:a:ext4",
                "rootfstype=");
    check_wrong("holdfast.disk=nbd0=192.0.2.2,a", "holdfast.disk=nbd0", "write another device");
    check_wrong("holdfast.disk=nbd1=192.0.2.1,root", "holdfast.disk=nbd1", "is attached as nbd0 already");
    check_wrong("holdfast.disk=nbd1=192.0.2.2,a holdfast.disk=nbd2=192.0.2.2,a", "holdfast.disk=nbd2",
                "is attached as nbd1 already");
}

TEST_CASE("a further disk without a root disk is an error, except where DHCP may name the root disk") {
    const auto request = read_boot_request("root=/dev/md0 holdfast.disk=nbd1=192.0.2.2,a");
    REQUIRE_FALSE(request);
    CHECK(request.error().message ==
          "holdfast.disk=nbd1=192.0.2.2,a: a further disk, but no word names the first one; name that one "
          "with nbdroot=");
    for (const char* line :
         {"root=dhcp holdfast.disk=nbd1=192.0.2.2,a", "netroot=dhcp holdfast.disk=nbd1=a,b"}) {
        const auto nothing = read_boot_request(line);
        REQUIRE(nothing);
        CHECK_FALSE(nothing->has_value());
    }
}

TEST_CASE("a server from DHCP serves a further disk, too") {
    NetworkAnswer answer;
    answer.interface = "eth0";
    answer.address = "192.0.2.20";
    answer.root_server = "192.0.2.9";
    const auto plan = planned("holdfast.disk=nbd1=dhcp,mirror", "", "", {answer});
    REQUIRE(plan);
    CHECK(describe(plan->further[0]).starts_with("nbd://192.0.2.9/mirror as /dev/nbd1"));
}

TEST_CASE("further disks of an overlay are read-only, and holdfast.toram has none") {
    CHECK(plan_of("holdfast.overlay=RAM holdfast.disk=nbd1=192.0.2.2,a").further[0].options.read_only ==
          true);
    check_wrong("holdfast.overlay=RAM holdfast.disk=nbd1=192.0.2.2,a,rw", "holdfast.disk=nbd1",
                "contradicts");
    check_wrong("holdfast.toram holdfast.disk=nbd1=192.0.2.2,a", "holdfast.disk=nbd1", "one disk only");
    const BootPlan copied = plan_of("holdfast.toram", "nbd1 192.0.2.2 a initramfs\n");
    CHECK(copied.further.empty());
    REQUIRE(copied.warnings.size() == 1);
    CHECK(copied.warnings[0].starts_with(
        "/etc/holdfast/devices:1: nbd1: ignored: holdfast.toram copies one disk only"));
}

TEST_CASE("a plan is shown with each further disk and its choices") {
    const std::string text =
        plan_text(plan_of("holdfast.disk=nbd1=192.0.2.2,a,ro", "nbd2 192.0.2.2 b initramfs,bs=3\n"));
    CHECK(text.find("root /dev/md0, for up to 30 s\nblock-size") != std::string::npos);
    CHECK(text.find("nbd://192.0.2.2/a as /dev/nbd1, a further disk of the root file system "
                    "(holdfast.disk=nbd1), for up to 30 s\nblock-size that of the partition table or of the "
                    "server, read-only yes\ntimeout 0 s") != std::string::npos);
    CHECK(
        text.ends_with("/etc/holdfast/devices:1: nbd2: not attached: option 'bs=3': takes 512, 1024, 2048 or "
                       "4096, not 3\n"));
}

namespace {

// The error that `boot --check` reports, before there is a network; "good" without one.
std::string checked(const std::string& command_line) {
    const auto request = read_boot_request(command_line);
    return request ? "good" : request.error().message;
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("contradictions between words are known before there is a network") {
    CHECK(checked(root + "holdfast.disk=nbd1=192.0.2.2,a"s) == "good");
    CHECK(has(checked(root + "holdfast.disk=nbd0=192.0.2.2,a"s), "nbd0 is the root disk"));
    CHECK(has(checked(root + "nbddev=nbd3 holdfast.disk=nbd3=192.0.2.2,a"s), "nbd3 is the root disk"));
    CHECK(
        has(checked("nbdroot=192.0.2.1,root,nbd2 holdfast.disk=nbd2=192.0.2.2,a"), "nbd2 is the root disk"));
    CHECK(has(checked(root + "holdfast.disk=nbd1=192.0.2.1,root"s), "is attached as nbd0 already"));
    CHECK(has(checked(root + "holdfast.disk=nbd1=192.0.2.2,a holdfast.disk=nbd2=192.0.2.2,a"s),
              "is attached as nbd1 already"));
    CHECK(has(checked(root + "holdfast.toram holdfast.disk=nbd1=192.0.2.2,a"s), "copies one disk only"));
    CHECK(has(checked(root + "holdfast.overlay=RAM holdfast.disk=nbd1=192.0.2.2,a,rw"s),
              "the option rw contradicts"));
    CHECK(has(checked("nbdroot=192.0.2.1,root,rw holdfast.overlay=RAM"), "the option rw contradicts"));
}

TEST_CASE("words that DHCP completes contradict nothing before there is a network") {
    // The root-path may name another device, or another server.
    CHECK(checked("nbdroot=dhcp holdfast.disk=nbd0=192.0.2.2,a") == "good");
    CHECK(checked("nbdroot=dhcp,root holdfast.disk=nbd1=dhcp,root") == "good");
    CHECK(
        has(checked("nbdroot=dhcp root=/dev/nbd0 holdfast.disk=nbd0=192.0.2.2,a"), "nbd0 is the root disk"));
}

TEST_CASE("remarks on lines of the table with the option initramfs are the boot's warnings") {
    const auto warnings = plan_of("",
                                  "nbd1 192.0.2.2 a initramfs,colour=blue\n"
                                  "nbd2 192.0.2.2 b colour=red\n"
                                  "sda 192.0.2.2 c initramfs\n"
                                  "sdb 192.0.2.2 d\n"
                                  "nbd3 192.0.2.2 e initramfs,bs=7\n")
                              .warnings;
    REQUIRE(warnings.size() == 2);
    CHECK(warnings[0].starts_with("/etc/holdfast/devices:3: 'sda' is not a device"));
    CHECK(warnings[1].starts_with("/etc/holdfast/devices:1: unknown option 'colour=blue'"));
}

TEST_CASE("an option behind a URI is part of the export's name, and reported") {
    const auto warnings_of = [](const std::string& words) {
        const auto request = read_boot_request(words);
        REQUIRE(request);
        std::string all;
        for (const std::string& warning : (*request)->warnings) all += warning + "\n";
        return all;
    };
    for (const char* const option : {"nofail", "ro", "wait=60", "nbd2"}) {
        const std::string text = warnings_of(root + "holdfast.disk=nbd1=nbd://192.0.2.2/m,"s + option);
        CHECK(has(text, (std::string("'") + option + "' is part of the export's name").c_str()));
    }
    CHECK(has(warnings_of("nbdroot=nbd://192.0.2.1/root,dead-after=5"), "write nbdroot=SERVER,PORT,NAME"));
    CHECK(warnings_of("nbdroot=nbd://192.0.2.1/root,x holdfast.disk=nbd1=192.0.2.2,m,nofail").empty());
}

TEST_CASE("a boot that gave up names only the places where a longer time has an effect") {
    const auto text = [](const std::string& words) { return gave_up_text(plan_of(words), "FILE"); };
    CHECK(text("") == "gave up after 30 s; set a longer time with wait=, in nbdroot= or in FILE");
    CHECK(text("rootdelay=40") ==
          "gave up after 40 s; set a longer time with wait= in nbdroot=, or with rootdelay=");
    const auto request = read_boot_request("nbdroot=192.0.2.1,root,wait=50");
    CHECK_FALSE(has(gave_up_text(*make_boot_plan(**request, {}), "FILE"), "FILE"));
}
