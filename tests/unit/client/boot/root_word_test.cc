// Values of root= beside an NBD disk: understood, or refused by name.
#include <doctest/doctest.h>

#include "client/boot/boot_plan.hh"
#include "client/boot/root_word.hh"

using namespace holdfast::client;
using namespace std::string_literals;

namespace {

std::string refusal_of(const std::string& line, const BootVariables& variables = {}) {
    const auto request = read_boot_request(line, variables);
    return request ? std::string() : request.error().message;
}

BootPlan plan_of(const std::string& line, const BootVariables& variables = {}) {
    const auto request = read_boot_request(line, variables);
    if (!request) FAIL(request.error().message);
    REQUIRE(request->has_value());
    NetworkAnswer answer;
    answer.interface = "eth0";
    answer.address = "192.0.2.20";
    answer.root_path = "nbd:192.0.2.1:root";
    auto plan = make_boot_plan(**request, {answer});
    if (!plan) FAIL(plan.error().message);
    return *plan;
}

}  // namespace

TEST_CASE("root=dhcp leaves the device to the words that name the disk") {
    for (const char* line :
         {"root=dhcp netroot=nbd:192.0.2.1:root", "root=dhcp nbdroot=192.0.2.1,root",
          "root=dhcp6 nbdroot=192.0.2.1,root", "root=dhcp netroot=nbd:192.0.2.1:root:ext4"}) {
        INFO(line);
        const BootPlan plan = plan_of(line);
        CHECK(plan.root == "/dev/nbd0");
        CHECK(plan.root_changed);
        CHECK(param_conf(plan).starts_with("ROOT='/dev/nbd0'\n"));
    }
    CHECK(plan_of("root=dhcp nbddev=nbd2 nbdroot=192.0.2.1,root").root == "/dev/nbd2");
    // The boot script sets NBDROOT where the command line has no other word.
    const BootPlan plan = plan_of("root=dhcp ip=dhcp", {.nbdroot = "dhcp"});
    CHECK(describe(plan) == "nbd://192.0.2.1/root as /dev/nbd0, root /dev/nbd0, for up to 30 s");
    CHECK(plan.root_changed);
    // Without any, another protocol's root-path may have it.
    CHECK_FALSE(read_boot_request("root=dhcp ip=dhcp")->has_value());
}

TEST_CASE("a root= that no NBD disk has is refused by name, not passed on") {
    for (const char* root : {"live:/dev/nbd0", "live:nbd:192.0.2.1:root", "live:CDLABEL=live", "gpt-auto",
                             "/dev/nfs", "nfs:192.0.2.1:/root", "iscsi:@192.0.2.1::::t", "tmpfs"}) {
        const std::string text = refusal_of("nbdroot=192.0.2.1,root root="s + root);
        CHECK(text.starts_with("root="s + root + ": "));
        CHECK(text.find("; ") != std::string::npos);
        CHECK(text.find("/dev/nbd0") != std::string::npos);
        // A machine that boots from something else is left alone.
        CHECK_FALSE(read_boot_request("root="s + root)->has_value());
    }
    for (const char* root : {"/dev/nbd0", "/dev/vg0/root", "UUID=1-2", "LABEL=live:x", "PARTUUID=1",
                             "ZFS=pool/root", "/dev/disk/by-label/gpt-auto", "/dev/md/root", "253:0"}) {
        INFO(root);
        CHECK(plan_of("nbdroot=192.0.2.1,root root="s + root).root == root);
    }
}

TEST_CASE("a partition as root is refused where the kernel makes no partitions") {
    const std::string off = "nbd.max_part=0 nbdroot=192.0.2.1,root ";
    const auto refused = [](const std::string& line, const BootVariables& variables = {}) {
        const std::string text = refusal_of(line, variables);
        return text.starts_with("nbd.max_part=0: ") && text.find("/dev/nbd0p1") != std::string::npos &&
               text.find("; remove ") != std::string::npos;
    };
    CHECK(refused(off + "root=/dev/nbd0p1"));
    CHECK(refused("nbdroot=192.0.2.1,root root=/dev/nbd0p1", {.max_part = "0"}));
    CHECK(refusal_of(off + "root=/dev/nbd0").empty());
    // The last word counts, and the module that is loaded before all words.
    CHECK(refusal_of(off + "nbd.max_part=16 root=/dev/nbd0p1").empty());
    CHECK(refusal_of(off + "root=/dev/nbd0p1", {.max_part = "31"}).empty());
    // A word that names the device otherwise.
    for (const char* words : {"nbddev=nbd0p1", "nbdroot=dhcp"}) {
        const auto request = read_boot_request("nbd.max_part=0 "s + words);
        REQUIRE(request);
        NetworkAnswer answer;
        answer.interface = "eth0";
        answer.address = "192.0.2.20";
        answer.root_path = "192.0.2.1,root,nbd0p1";
        const auto plan = make_boot_plan(**request, {answer});
        REQUIRE_FALSE(plan);
        CHECK(plan.error().message.starts_with("nbd.max_part=0: "));
    }
    const BootPlan plan = plan_of(off + "root=UUID=1-2");
    REQUIRE(plan.warnings.size() == 1);
    CHECK(plan.warnings[0].starts_with("nbd.max_part=0: "));
    CHECK(plan_of("nbdroot=192.0.2.1,root root=UUID=1-2").warnings.empty());
}
