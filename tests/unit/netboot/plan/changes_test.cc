// Settings, the files that follow from them, and the comparison with the disk.
#include <doctest/doctest.h>

#include "netboot/plan/changes.hh"
#include "netboot/plan/planned_files.hh"

using namespace holdfast::netboot;

namespace {

Host host_with_kernel(const std::string& name = "ws0") {
    Host host;
    host.name = name;
    host.export_name = "disk of " + name;
    host.keys = {"", {"52:54:00:00:00:01"}, {"192.0.2.80/28"}};
    host.kernel = KernelCopy{2, "6.1.0-37-amd64"};
    host.previous = KernelCopy{1, "6.1.0-36-amd64"};
    return host;
}

std::vector<std::string> paths_of(const std::vector<Change>& changes) {
    std::vector<std::string> paths;
    for (const Change& change : changes) paths.push_back(change.path);
    return paths;
}

}  // namespace

TEST_CASE("the settings of a host are the same after they were stored") {
    Host host = host_with_kernel();
    host.keys.uuid = "b8945908-d6a6-41a9-611d-74a6ab80b83d";
    host.keys.macs.push_back("52:54:00:00:00:02");
    host.server = "192.0.2.1:10810";
    host.consoles = {"tty0", "ttyS0"};
    host.append = "quiet a=b";
    host.shared = true;
    host.xen_append = "dom0_mem=1G";
    host.kernel->xen = true;
    host.sums = sums_of({{"pxelinux.cfg/01-52", "text"}, {"grub/grub.cfg-C0", "other"}});
    host.sums["grub/grub.cfg-C0"].insert(sum_of("before"));
    CHECK(read_host("ws0", to_text(host)) == host);
    const TreeSettings settings{"192.0.2.1", "ws0", host.sums};
    CHECK(read_settings(to_text(settings)) == settings);
    CHECK(read_settings("") == TreeSettings{});
}

TEST_CASE("a state of a later version is not taken for less than it says") {
    CHECK(read_host("ws0", "export = a\nloader = yes\n").error().starts_with("line 2: "));
    CHECK(!read_host("ws0", "kernel = six\n"));
    CHECK(!read_host("ws0", "shared = partly\n"));
    CHECK(!read_host("ws0", "kernel = 6 6.1.0-37-amd64 bsd\n"));
    CHECK(!read_settings("file = sum\n"));
}

TEST_CASE(
    "a state whose keys were damaged is refused with its line, and the keys of older versions are accepted") {
    for (const char* line : {"uuid = abc", "uuid = B8945908-D6A6-41A9-611D-74A6AB80B83D", "mac = 52:54",
                             "mac = 525400123456", "mac = 52:54:00:12:34:5X", "ip = abc", "ip = 192.0.2.0/33",
                             "ip = 192.0.2.1/0", "ip = 192.0.2.080", "uuid =", "ip ="}) {
        const auto host = read_host("ws0", std::string("export = a\n") + line + "\n");
        CHECK_MESSAGE((!host && host.error().starts_with("line 2: ")), line);
    }
    const auto shared = read_host("ws0", "uuid = 03000200-0400-0500-0006-000700080009\n");
    CHECK((shared && shared->keys.uuid == "03000200-0400-0500-0006-000700080009"));
}

TEST_CASE("a fallback with Xen limits the words and consoles of its host, too") {
    Host host = host_with_kernel();
    host.append = "a --- b";
    host.consoles = {"tty0", "ttyS2"};
    CHECK(fault_with_xen(host) == "");
    host.previous->xen = true;
    CHECK(fault_with_xen(host).contains("mboot.c32 takes ---"));
    CHECK(fault_with_xen(host).contains("which the previous kernel still has"));
    host.append = "";
    CHECK(fault_with_xen(host).contains("--console ttyS2: Xen has only"));
    host.consoles = {"ttyS1"};
    CHECK(fault_with_xen(host) == "");
    host.xen_append = "---";
    CHECK(fault_with_xen(host) != "");
}

TEST_CASE("a host has a file for each key and loader, and none for networks of iPXE") {
    const Texts texts = files_of({"192.0.2.1", "", {}}, host_with_kernel());
    std::vector<std::string> paths;
    for (const auto& [path, text] : texts) paths.push_back(path);
    CHECK(paths == std::vector<std::string>{"grub/grub.cfg-01-52-54-00-00-00-01", "grub/grub.cfg-C000025",
                                            "ipxe/01-52-54-00-00-00-01.ipxe",
                                            "pxelinux.cfg/01-52-54-00-00-00-01", "pxelinux.cfg/C000025"});
    CHECK(texts.at("pxelinux.cfg/C000025").contains("nbdroot=nbd://192.0.2.1/disk%20of%20ws0 ip=dhcp"));
    Host none = host_with_kernel();
    none.kernel.reset();
    CHECK(files_of({"192.0.2.1", "", {}}, none).empty());
    Host with_address = host_with_kernel();
    with_address.keys = {"", {}, {"192.0.2.91"}};
    CHECK(files_of({"192.0.2.1", "", {}}, with_address).contains("ipxe/c000025b.ipxe"));
}

TEST_CASE("pxelinux tells the kernel under Xen the card that the file, or the host, names") {
    Host host = host_with_kernel();
    host.kernel->xen = true;
    const auto card_in = [&](const char* file) {
        const std::string text = files_of({"s", "", {}}, host).at(std::string("pxelinux.cfg/") + file);
        const std::size_t at = text.find("BOOTIF=");
        return at == std::string::npos ? "" : text.substr(at, 27);
    };
    // A machine of the network may have any card.
    CHECK(card_in("01-52-54-00-00-00-01") == "BOOTIF=01-52-54-00-00-00-01");
    CHECK(card_in("C000025") == "");
    host.keys.ips = {"192.0.2.91"};
    CHECK(card_in("C000025B") == "BOOTIF=01-52-54-00-00-00-01");
    host.keys.macs.push_back("52:54:00:00:00:02");
    CHECK(card_in("C000025B") == "");
    CHECK(card_in("01-52-54-00-00-00-02") == "BOOTIF=01-52-54-00-00-00-02");
}

TEST_CASE("the menu of a host with Xen ends with its kernel without Xen, which the fallback precedes") {
    Host host = host_with_kernel();
    host.consoles = {"ttyS0"};
    const auto labels = [&] {
        std::string text;
        for (const BootEntry& entry : menu_of({"s", "", {}}, host, "x").entries) text += entry.label + " ";
        return text;
    };
    CHECK(labels() == "current previous ");
    host.kernel->xen = true;
    CHECK(labels() == "current previous plain ");
    const BootEntry plain = menu_of({"s", "", {}}, host, "x").entries[2];
    CHECK(!plain.xen);
    CHECK(plain.folder == "hosts/ws0/2");
    CHECK(plain.words.contains("console=ttyS0"));
    CHECK(plain.title.ends_with(" without Xen"));
    host.previous.reset();
    CHECK(labels() == "current plain ");
    // iPXE asks only for a kernel that is there, and boots that one if no other loader can be had.
    const std::string text = files_of({"s", "", {}}, host).at("ipxe/01-52-54-00-00-00-01.ipxe");
    CHECK_FALSE(text.contains("goto previous"));
    CHECK(text.contains("goto plain\n:plain\nimgfree ||\nkernel /hosts/ws0/2/vmlinuz root="));
}

TEST_CASE("unknown machines get the entry of the default host") {
    const std::vector<Host> hosts{host_with_kernel()};
    CHECK(files_of({"s", "", {}}, hosts).at("pxelinux.cfg/default").contains("LOCALBOOT"));
    CHECK(
        files_of({"s", "ws0", {}}, hosts).at("pxelinux.cfg/default").contains("KERNEL hosts/ws0/2/vmlinuz"));
    CHECK(files_of({"s", "ws0", {}}, hosts).at("grub/default.cfg").contains("/hosts/ws0/2/vmlinuz"));
}

TEST_CASE("a machine becomes the host of its UUID, then of its MAC address, then of the nearest network") {
    Host network = host_with_kernel("network");
    network.keys = {"", {}, {"192.0.2.0/24"}};
    Host nearer = host_with_kernel("nearer");
    nearer.keys = {"", {}, {"192.0.2.80/28"}};
    Host card = host_with_kernel("card");
    card.keys = {"", {"52:54:00:00:00:01"}, {}};
    const std::vector<Host> hosts{network, nearer, card};
    CHECK(find_host({"", {"52:54:00:00:00:01"}, {"192.0.2.91"}}, hosts)->host->name == "card");
    CHECK(find_host({"", {"52:54:00:00:00:02"}, {"192.0.2.91"}}, hosts)->host->name == "nearer");
    CHECK(find_host({"", {}, {"192.0.2.7"}}, hosts)->file == "pxelinux.cfg/C00002");
    CHECK(!find_host({"", {}, {"198.51.100.7"}}, hosts));
    CHECK(clash_of(card, hosts) == std::nullopt);
    Host twin = card;
    twin.name = "twin";
    CHECK(clash_of(twin, hosts)->host == "card");
    CHECK(clash_of(twin, hosts)->key == "01-52-54-00-00-00-01");
}

TEST_CASE("two hosts with one export of one server are found, unless both are shared") {
    const TreeSettings settings{"192.0.2.1", "ws0", {}};
    Host first = host_with_kernel("ws0");
    Host second = host_with_kernel("ws1");
    const auto clash = [&] { return other_on_disk(settings, second, {first, second}) != nullptr; };
    CHECK(!clash());
    second.export_name = first.export_name;
    CHECK(clash());
    for (const char* server : {"192.0.2.1:10809", "192.0.2.1"}) {
        second.server = server;
        CHECK_MESSAGE(clash(), server);
    }
    for (const char* server : {"192.0.2.1:10810", "192.0.2.2"}) {
        second.server = server;
        CHECK_MESSAGE(!clash(), server);
    }
    second.server.clear();
    second.shared = true;
    CHECK(clash());
    first.shared = true;
    CHECK(!clash());
    first.server = second.server = "Files.example.org";
    first.shared = false;
    second.server = "files.example.org:10809";
    CHECK(clash());
    CHECK(is_for_many(settings, first));   // the default
    CHECK(is_for_many(settings, second));  // a network
    second.keys.ips = {"192.0.2.91"};
    CHECK(!is_for_many(settings, second));
}

TEST_CASE("a file is created, replaced or removed if its text is ours") {
    const Sums recorded =
        sums_of({{"replaced", "old"}, {"removed", "old"}, {"same", "text"}, {"lost", "text"}});
    const Changes changes =
        compare(recorded, {{"new", "a"}, {"replaced", "b"}, {"same", "text"}, {"lost", "text"}},
                {{"replaced", "old"}, {"removed", "old"}, {"same", "text"}}, Edited::refuse);
    CHECK(paths_of(changes.list) == std::vector<std::string>{"lost", "new", "removed", "replaced"});
    CHECK(changes.edited.empty());
    CHECK(changes.sums == sums_of({{"new", "a"}, {"replaced", "b"}, {"same", "text"}, {"lost", "text"}}));
}

TEST_CASE("a file that was edited by hand is kept, and is a conflict only if its entry changes") {
    const Sums recorded = sums_of({{"file", "old"}});
    const Texts edited{{"file", "edited"}};
    const Changes unchanged = compare(recorded, {{"file", "old"}}, edited, Edited::refuse);
    CHECK(unchanged.list.empty());
    CHECK(unchanged.kept == std::vector<std::string>{"file"});
    CHECK(unchanged.edited.empty());
    const Changes changed = compare(recorded, {{"file", "new"}}, edited, Edited::refuse);
    CHECK(changed.list.empty());
    CHECK(paths_of(changed.edited) == std::vector<std::string>{"file"});
    CHECK(paths_of(compare(recorded, {}, edited, Edited::refuse).edited) == std::vector<std::string>{"file"});
    CHECK(paths_of(compare({}, {{"file", "new"}}, edited, Edited::refuse).edited) ==
          std::vector<std::string>{"file"});
    CHECK(compare(recorded, {{"file", "old"}}, edited, Edited::overwrite_changed).kept ==
          std::vector<std::string>{"file"});
    CHECK(paths_of(compare(recorded, {{"file", "old"}}, edited, Edited::overwrite_all).list) ==
          std::vector<std::string>{"file"});
    CHECK(paths_of(compare(recorded, {{"file", "new"}}, edited, Edited::overwrite_changed).list) ==
          std::vector<std::string>{"file"});
    // Once kept, the file is no conflict until its entry changes again.
    const Changes kept = compare(recorded, {{"file", "new"}}, edited, Edited::keep);
    CHECK(kept.list.empty());
    CHECK(compare(kept.sums, {{"file", "new"}}, edited, Edited::refuse).edited.empty());
}

TEST_CASE("after an interrupted change, both texts are ours") {
    const Sums both = united(sums_of({{"file", "old"}}), sums_of({{"file", "new"}}));
    for (const char* text : {"old", "new"}) {
        CHECK(compare(both, {{"file", "newer"}}, {{"file", text}}, Edited::refuse).edited.empty());
        CHECK(compare(both, {}, {{"file", text}}, Edited::refuse).edited.empty());
    }
    CHECK_FALSE(compare(both, {}, {{"file", "other"}}, Edited::refuse).edited.empty());
}

TEST_CASE("a difference is shown line by line") {
    CHECK(diff_of({"file", "a\nb\nc\n", "a\nx\nc\n"}) ==
          "--- file\n+++ file\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
    CHECK(diff_of({"file", std::nullopt, "a\n"}) == "--- /dev/null\n+++ file\n@@ -0,0 +1,1 @@\n+a\n");
    CHECK(diff_of({"file", "a\n", std::nullopt}) == "--- file\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n");
    CHECK(diff_of({"file", std::nullopt, std::string("\0x", 2)}).ends_with("(binary)\n"));
}
