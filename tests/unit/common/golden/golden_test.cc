// Volumes that are created for hosts: their names, the keys of the configuration, the protocol of
// holdfast-provision.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "common/golden/created_export.hh"
#include "common/golden/provision_protocol.hh"
#include "common/golden/snapshots.hh"

using namespace holdfast;

namespace {

CreatedExportReading read(std::string_view text) {
    std::vector<Remark> errors;
    const std::vector<IniSection> sections = scan_ini("f", text, "[EXPORT]", errors);
    REQUIRE(sections.size() == 1);
    return read_created_export(sections.front());
}

std::string mistake_of(std::string_view text) {
    const CreatedExportReading made = read(text);
    CHECK(!made.made);
    return made.errors.empty() ? std::string() : to_string(made.errors.front());
}

CreatedExport sound(std::string_view text) {
    CreatedExportReading made = read(text);
    REQUIRE_MESSAGE(made.made, (made.errors.empty() ? std::string() : to_string(made.errors.front())));
    return *made.made;
}

constexpr std::string_view head = "[root]\nexportname = /dev/vg0/root-%s\ncreatelimit = 3\ncreate = ";

}  // namespace

TEST_CASE("two hosts never have the same volume, whatever characters their words are made of") {
    const VolumePattern pattern = *parse_volume_pattern("/dev/vg0/root-%s");
    std::set<std::string> names;
    const std::vector<std::string> words{"10.0.0.1", "fe80::1", "fe80+3a+3a1", "fe80--1", "fe80/1",
                                         "fe80_1",   "FE80::1", "fe80 1",      "fe80\n1", "+3a"};
    for (const std::string& word : words) {
        const auto name = volume_name(pattern, word);
        REQUIRE(name);
        CHECK(is_volume_name(*name));
        names.insert(*name);
    }
    CHECK(names.size() == words.size());
    CHECK(*volume_name(pattern, "10.0.0.1") == "root-10.0.0.1");
    CHECK(*volume_name(pattern, "fe80::1") == "root-fe80+3a+3a1");
    CHECK(encoded_word("../x") == "..+2fx");
    CHECK(!volume_name(pattern, ""));
    CHECK(!volume_name(pattern, std::string(54, 'a')));
    // The longest address fits.
    CHECK(volume_name(pattern, "2001:db81:db82:db83:db84:db85:db86:db87"));
}

TEST_CASE("an unfinished volume has a name that no host can have") {
    const VolumePattern pattern = *parse_volume_pattern("/dev/vg0/root-%s");
    const std::string unfinished = unfinished_name(*volume_name(pattern, "10.0.0.1"));
    CHECK(unfinished == "root-10.0.0.1+new");
    CHECK(encoded_word("10.0.0.1+new") == "10.0.0.1+2bnew");
}

TEST_CASE("patterns that LVM could not follow are refused") {
    CHECK(parse_volume_pattern("/dev/vg-0/a_%s.b") == VolumePattern{"vg-0", "a_", ".b"});
    for (const char* path :
         {"/srv/%s", "/dev/%s", "/dev/vg0/root", "/dev/%s/root", "/dev/vg0/%s", "/dev/vg0/a%s%s",
          "/dev/vg0/a/%s", "/dev/vg0/-a%s", "/dev/vg0/snapshot%s", "/dev/vg0/pvmove%s", "/dev/vg0/a%s_tdata",
          "/dev/vg0/a b%s", "/dev/vg0/a+%s", "/dev/mapper/a%s", "/dev/../a%s", "/dev/vg0/a%s%i",
          "/dev/vg0/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%s"})
        CHECK_MESSAGE(!parse_volume_pattern(path), path);
}

TEST_CASE("patterns that could give two exports the same volume are found") {
    const auto collide = [](const char* one, const char* other) {
        return may_collide(*parse_volume_pattern(one), *parse_volume_pattern(other));
    };
    CHECK(collide("/dev/vg0/a-%s", "/dev/vg0/a-%s"));
    CHECK(collide("/dev/vg0/a-%s", "/dev/vg0/a-1%s"));
    CHECK(collide("/dev/vg0/a-%s", "/dev/vg0/a-%s.1"));
    CHECK(!collide("/dev/vg0/a-%s", "/dev/vg1/a-%s"));
    CHECK(!collide("/dev/vg0/a-%s", "/dev/vg0/b-%s"));
    CHECK(!collide("/dev/vg0/a-%s", "/dev/vg0/a-swap-%s"));
}

TEST_CASE("a name of an export names a host with few characters, and a MAC address in any spelling") {
    const NamePattern pattern = *parse_name_pattern("root-*.img");
    CHECK(pattern == NamePattern{"root-", ".img"});
    CHECK(word_in(pattern, HostKind::name, "root-web1.img") == "web1");
    CHECK(word_in(pattern, HostKind::name, "root-a.example-2.img") == "a.example-2");
    for (const char* name : {"root-.img", "root-", ".img", "root-a", "root-A.img", "root-a/b.img",
                             "root-...img", "root-a..b.img", "root--a.img", "root-a-.img", "root-a b.img",
                             "root-\xc3\xa4.img", "root-*.img", "root-%s.img"})
        CHECK_MESSAGE(!word_in(pattern, HostKind::name, name), name);
    CHECK(host_word(HostKind::name, std::string(53, 'a')));
    CHECK(!host_word(HostKind::name, std::string(54, 'a')));
    CHECK(!host_word(HostKind::name, std::string("a\0b", 3)));
    for (const char* mac : {"52-54-00-12-34-5e", "52:54:00:12:34:5E", "52540012345e", "52-54-00-12-34-5E"})
        CHECK_MESSAGE(host_word(HostKind::mac, mac) == "52540012345e", mac);
    for (const char* mac : {"", "52-54-00-12-34", "52-54:00-12-34-5e", "52.54.00.12.34.5e",
                            "5254-0012-345e-xx", "52540012345g", "53540012345e", "000000000000",
                            "ffffffffffff", "52540012345e0", "-2-54-00-12-34-5e", "52-54-00-12-34-5-"})
        CHECK_MESSAGE(!host_word(HostKind::mac, mac), mac);
    CHECK(!host_word(HostKind::address, "10.0.0.1"));
    CHECK(name_for(pattern, HostKind::mac, "52540012345e") == "root-52-54-00-12-34-5e.img");
    CHECK(name_for(pattern, HostKind::name, "web1") == "root-web1.img");
    for (const char* name : {"root", "*", "a*b*"}) CHECK_MESSAGE(!parse_name_pattern(name), name);
}

TEST_CASE("sections that could stand for the same name are a mistake, and so is * without its place") {
    const auto section = [](const char* name, const char* place) {
        return fmt::format("[{0}]\nexportname = /dev/vg0/{1}\ncreatelimit = 1\ncreate = empty 1G\n", name,
                           place);
    };
    const CreatedExport one = sound(section("root-*", "a-%n"));
    const CreatedExport two = sound(section("root-x*", "b-%n"));
    const CreatedExport three = sound(section("swap-*", "c-%m"));
    CHECK(one.pattern == VolumePattern{"vg0", "a-", "", HostKind::name});
    CHECK(three.by_name());
    CHECK(conflicts_of({&one, &three}).empty());
    REQUIRE(conflicts_of({&one, &two}).size() == 1);
    CHECK(conflicts_of({&one, &two}).front().text.find("could match the same name") != std::string::npos);
    CHECK(mistake_of(section("root", "a-%n")).starts_with("f:1: [root]: with %n or %m"));
    CHECK(mistake_of(section("*", "a-%m")).starts_with("f:1: [*]: the section's name must have"));
    CHECK(mistake_of(section("root-*", "a-%s")).starts_with("f:1: [root-*]: a name with * needs"));
    CHECK(mistake_of(section("root-*", "a-%x")).starts_with("f:2: exportname: with create, write"));
    CHECK(read(section("root-*", "a-%n")).warnings.front().text.find("set authfile") != std::string::npos);
    CHECK(read(section("root-*", "a-%n") + "createclients = 10.0.0.0/8\n").warnings.size() == 1);
    CHECK(read(section("root-*", "a-%n") + "authfile = /etc/x\n").warnings.empty());
}

TEST_CASE("copyonwrite gives each session a snapshot of the export's volume, with a name that no host gets") {
    const auto section = [](const std::string& path, const std::string& keys = {}) {
        return "[cow]\nexportname = " + path + "\ncopyonwrite = true\n" + keys;
    };
    const CreatedExport one = sound(section("/dev/vg0/golden"));
    CHECK(one.by_session());
    CHECK_FALSE(one.by_name());
    CHECK(one.pattern == VolumePattern{"vg0", "golden+cow-", "", HostKind::session});
    CHECK(one.rule == CreateRule{CreateRule::Kind::snapshot, "vg0", "golden", 0, {}});
    CHECK((one.limit == 100 && one.keep == std::chrono::days(1)));
    CHECK(volume_name(one.pattern, std::string(32, 'a')) == "golden+cow-" + std::string(32, 'a'));
    const CreatedExport two =
        sound(section("/dev/vg0/golden", "createlimit = 7\ncopyonwritekeep = 600\ncreatemaxsize = 1G\n"));
    CHECK((two.limit == 7 && two.keep == std::chrono::minutes(10) && two.largest == 1U << 30));
    CHECK(conflicts_of({&one, &two}).empty());
    const CreatedExport hosts =
        sound("[a]\nexportname = /dev/vg0/golden%s\ncreatelimit = 1\ncreate = empty 1G\n");
    CHECK(conflicts_of({&one, &hosts}).empty());
    for (const char* path : {"/srv/disk", "/dev/mapper/vg0-golden", "/dev/vg0", "/dev/vg0/a/b", "/dev/sda",
                             "/dev/vg0/a-%s", "/dev/vg0/../x"})
        CHECK_MESSAGE(mistake_of(section(path)).ends_with("export an LV, or set readonly = true"), path);
    CHECK(mistake_of(section("/dev/vg0/" + std::string(90, 'a'))).find("too long for LVM") !=
          std::string::npos);
    for (const char* key :
         {"copyonwritekeep = 59", "copyonwritekeep = 1d", "identity = x", "filesize = 4096"})
        CHECK_MESSAGE(mistake_of(section("/dev/vg0/golden", std::string(key) + "\n")).starts_with("f:4: "),
                      key);
    CHECK(mistake_of(section("/dev/vg0/golden", "create = empty 1G\n"))
              .starts_with("f:3: copyonwrite: excludes create"));
    CHECK(mistake_of("[a]\nexportname = /x\ncopyonwritekeep = 60\n").starts_with("f:3: copyonwritekeep: "));
    // Nothing is written to a read-only export.
    const CreatedExportReading readonly = read(section("/srv/disk", "readonly = true\n"));
    CHECK((!readonly.made && readonly.errors.empty() && readonly.warnings.size() == 1));
}

TEST_CASE("the word of a session does not tell its ID, and that of a connection is known as such") {
    const std::string id("0123456789abcdef");
    const std::string word = session_word(id);
    CHECK(word == "9f9f5111f7b27a781f1f1ddde5ebc2dd");  // the first half of SHA-256
    CHECK(host_word(HostKind::session, word) == word);
    CHECK(host_word(HostKind::session, connection_word(id)) == "c" + word);
    CHECK(is_connection_word(connection_word(id)));
    CHECK_FALSE(is_connection_word(word));
    CHECK_FALSE(is_connection_word("c" + word.substr(1)));
    for (const std::string& text : {std::string(), word.substr(1), "d" + word, "cc" + word,
                                    std::string(32, 'A'), "../" + word.substr(3)})
        CHECK_MESSAGE(!host_word(HostKind::session, text), text);
}

TEST_CASE("the forms of create are read, and every other one is refused with its line") {
    CHECK(sound(std::string(head) + "snapshot of vg0/golden\n").rule ==
          CreateRule{CreateRule::Kind::snapshot, "vg0", "golden", 0, {}});
    CHECK(sound(std::string(head) + "copy of vg1/golden\n").rule ==
          CreateRule{CreateRule::Kind::copy, "vg1", "golden", 0, {}});
    CHECK(sound(std::string(head) + "empty 20G\n").rule ==
          CreateRule{CreateRule::Kind::empty, {}, {}, 20ULL << 30, {}});
    CHECK(sound(std::string(head) + "empty 512M in vg0/pool\n").rule ==
          CreateRule{CreateRule::Kind::empty, {}, {}, 512ULL << 20, "pool"});
    for (const char* value : {"",
                              "snapshot",
                              "snapshot vg0/golden",
                              "snapshot of golden",
                              "snapshot of vg0/",
                              "snapshot of vg0/a b",
                              "snapshot of vg1/golden",
                              "snapshot of vg0/golden now",
                              "copy of vg0/-x",
                              "copy of vg0/a_tdata",
                              "empty",
                              "empty 20",
                              "empty G",
                              "empty 0G",
                              "empty 1K",
                              "empty 99999999999T",
                              "empty 1G in pool",
                              "empty 1G in vg1/pool",
                              "empty 1G of vg0/pool",
                              "empty -1G",
                              "snapshot of ../golden",
                              "snapshot of vg0/root-golden"})
        CHECK_MESSAGE(mistake_of(std::string(head) + value + "\n").starts_with("f:4: create: "), value);
}

TEST_CASE("create needs a limit, a pattern and hosts that differ") {
    CHECK(mistake_of("[a]\nexportname = /dev/vg0/a-%s\ncreate = empty 1G\n")
              .starts_with("f:3: create: missing createlimit"));
    CHECK(mistake_of("[a]\nexportname = /dev/vg0/a\ncreate = empty 1G\ncreatelimit = 1\n")
              .starts_with("f:2: exportname: with create"));
    CHECK(mistake_of("[a]\ncreate = empty 1G\ncreatelimit = 1\n")
              .starts_with("f:2: create: missing exportname"));
    for (const char* limit : {"0", "10001", "many", "-1"})
        CHECK(mistake_of("[a]\nexportname = /dev/vg0/a-%s\ncreate = empty 1G\ncreatelimit = " +
                         std::string(limit))
                  .starts_with("f:4: createlimit: "));
    CHECK(mistake_of(std::string(head) + "empty 1G\nvirtstyle = iphash\n").starts_with("f:5: virtstyle: "));
    CHECK(mistake_of(std::string(head) + "empty 1G\nidentity = x\n").starts_with("f:5: identity: "));
    CHECK(mistake_of(std::string(head) + "empty 1G\ncreateclients = 10.0.0\n")
              .starts_with("f:5: createclients: "));
    CHECK(
        mistake_of("[a]\nexportname = /a\ncreatelimit = 1\n").starts_with("f:3: createlimit: has no effect"));
    CHECK(read("[a]\nexportname = /a\n").errors.empty());
    CHECK(read(std::string(head) + "empty 1G\n").warnings.size() == 1);
    CHECK(read(std::string(head) + "empty 1G\nauthfile = /etc/x\n").warnings.empty());
}

TEST_CASE("createmaxsize bounds the size of each volume") {
    const std::string base(head);
    CHECK(sound(base + "empty 1G\n").largest == 0);
    const CreatedExport config = sound(base + "snapshot of vg0/golden\ncreatemaxsize = 20G\n");
    CHECK(why_too_large(config, 20ULL << 30).empty());
    CHECK(why_too_large(config, (20ULL << 30) + 1) ==
          "21474836481 bytes, more than createmaxsize = 21474836480 bytes");
    CHECK(why_too_large(sound(base + "empty 1G\n"), 1ULL << 50).empty());
    CHECK(mistake_of(base + "empty 2G\ncreatemaxsize = 1G\n")
              .starts_with("f:4: create: the volumes would have"));
    CHECK(sound(base + "empty 1G\ncreatemaxsize = 1G\n").largest == 1ULL << 30);
    for (const char* size : {"", "20", "0G", "-1G", "20 G", "all"})
        CHECK(mistake_of(base + "empty 1G\ncreatemaxsize = " + size + "\n")
                  .starts_with("f:5: createmaxsize: "));
    CHECK(mistake_of("[a]\nexportname = /a\ncreatemaxsize = 1G\n")
              .starts_with("f:3: createmaxsize: has no effect"));
}

TEST_CASE("exports whose volumes could meet are a mistake, and so is a golden volume in a pattern") {
    const CreatedExport one = sound(std::string(head) + "snapshot of vg0/golden\n");
    const CreatedExport two =
        sound("[b]\nexportname = /dev/vg0/root-1%s\ncreatelimit = 1\ncreate = empty 1G\n");
    const CreatedExport three =
        sound("[c]\nexportname = /dev/vg0/gold%s\ncreatelimit = 1\ncreate = empty 1G\n");
    CHECK(conflicts_of({&one}).empty());
    CHECK(conflicts_of({&one, &two}).size() == 1);
    CHECK(conflicts_of({&one, &three}).size() == 1);
    CHECK(conflicts_of({&three, &one}).size() == 1);
}

TEST_CASE("a volume is created only for a host that createclients contains") {
    const CreatedExport config =
        sound(std::string(head) + "empty 1G\ncreateclients = 10.0.0.0/24, 2001:db8::/64\n");
    CHECK(why_not_for(config, "10.0.0.7").empty());
    CHECK(why_not_for(config, "2001:db8::9").empty());
    for (const char* host :
         {"10.0.1.7", "2001:db9::1", "unix", "", "root", "10.0.0.07", "../x", "2001:DB8::9"})
        CHECK_MESSAGE(!why_not_for(config, host).empty(), host);
    const CreatedExport open = sound(std::string(head) + "empty 1G\n");
    CHECK(why_not_for(open, "unix").empty());
    CHECK(!why_not_for(open, "name").empty());
}

TEST_CASE("a snapshot is known by its tags, and has a name that no host's volume can have") {
    for (const char* name : {"monday", "a", "auto-20261201-004500", "1.2"})
        CHECK_MESSAGE(is_snapshot_name(name), name);
    for (const char* name : {"", "-a", ".", "A", "a b", "a/b", "a+b", "a_b"})
        CHECK_MESSAGE(!is_snapshot_name(name), name);
    CHECK(!is_snapshot_name(std::string(41, 'a')));
    const VolumePattern pattern = *parse_volume_pattern("/dev/vg0/root-%s");
    CHECK(snapshot_volume("root-10.0.0.1", "a") == "root-10.0.0.1+snap-a");
    CHECK(!may_be_of(pattern, "vg0", "root-10.0.0.1+snap-a"));
    CHECK(*volume_name(pattern, "10.0.0.1+snap-a") != "root-10.0.0.1+snap-a");
    const std::chrono::sys_seconds when(std::chrono::seconds(1'796'085'900));
    CHECK(snapshot_name_at("auto", when) == "auto-20261201-004500");
    const auto found = snapshot_by_tags({"other", "holdfast.snapshot=a", "holdfast.snapshot_of=root",
                                         "holdfast.automatic", "holdfast.snapshot_export=root+2d+2a",
                                         "holdfast.snapshot_host=web1", "holdfast.taken=1796085900"});
    REQUIRE(found);
    CHECK(*found == Snapshot{"a", "root", "root-*", "web1", when, true});
    CHECK(!snapshot_by_tags({"holdfast.snapshot=a"}));
    CHECK(!snapshot_by_tags({"holdfast.snapshot=A", "holdfast.snapshot_of=root"}));
    CHECK(!snapshot_by_tags({"holdfast.export=root", "holdfast.host=10.0.0.1"}));
}

TEST_CASE("automatic snapshots are kept by count and age; others are kept") {
    using std::chrono::hours;
    const std::chrono::sys_seconds now(std::chrono::seconds(1'796'085'900));
    std::vector<Snapshot> all;
    for (int day = 1; day <= 4; ++day)
        all.push_back({fmt::format("auto-{}", day), "root", "root", "", now - hours(24 * day), true});
    all.push_back({"mine", "root", "root", "", now - hours(24'000), false});
    std::swap(all[0], all[3]);
    using Names = std::vector<std::string>;
    CHECK(not_kept(all, 0, hours(0), now).empty());
    CHECK(not_kept(all, 2, hours(0), now) == Names{"auto-3", "auto-4"});
    CHECK(not_kept(all, 9, hours(0), now).empty());
    CHECK(not_kept(all, 0, hours(72), now) == Names{"auto-4"});
    CHECK(not_kept(all, 1, hours(72), now) == Names{"auto-2", "auto-3", "auto-4"});
}

TEST_CASE("holdfast-provision refuses requests with wrong lengths, calls and versions") {
    const ProvisionRequest request{ProvisionCall::reset, true, "root", "10.0.0.1"};
    const std::vector<std::uint8_t> bytes = pack(request);
    CHECK(unpack_provision_request(bytes) == request);
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK(!unpack_provision_request(std::span(bytes).first(size)));
    std::vector<std::uint8_t> longer = bytes;
    longer.push_back(0);
    CHECK(!unpack_provision_request(longer));
    for (const auto& [at, value] : {std::pair(0, 1),
                                    {1, 0},
                                    {1, 8},
                                    {2, 2},
                                    {3, 1},
                                    {4, 0xff},
                                    {5, 0xff},
                                    {6, 0xff},
                                    {8, 1},
                                    {10, 1},
                                    {12, 1},
                                    {16, 1}}) {
        std::vector<std::uint8_t> wrong = bytes;
        wrong[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(value);
        CHECK(!unpack_provision_request(wrong));
    }
    CHECK(!unpack_provision_request(pack(ProvisionRequest{ProvisionCall::make, false, "", "10.0.0.1"})));
    CHECK(!unpack_provision_request(pack(ProvisionRequest{ProvisionCall::make, false, "root", ""})));
    const ProvisionRequest long_one{ProvisionCall::make, false, std::string(9000, 'n'),
                                    std::string(900, 'h')};
    CHECK(pack(long_one).size() == longest_provision_request - 64);
    ProvisionRequest snapshot{ProvisionCall::snapshot, false, "root", "", "monday"};
    CHECK(unpack_provision_request(pack(snapshot)) == snapshot);
    snapshot = {ProvisionCall::snapshot, true, "root-*", "web1", "auto-1", true, 70'000, 30};
    CHECK(unpack_provision_request(pack(snapshot)) == snapshot);
    CHECK(!unpack_provision_request(pack(ProvisionRequest{ProvisionCall::restore, false, "root", "", ""})));
    // A session belongs to the calls of the server, and a sweep is about no export.
    ProvisionRequest of_session{ProvisionCall::make, false, "cow", "10.0.0.1"};
    of_session.session = std::string(32, 'a');
    CHECK(unpack_provision_request(pack(of_session)) == of_session);
    of_session.call = ProvisionCall::end_session;
    CHECK(unpack_provision_request(pack(of_session)) == of_session);
    of_session.call = ProvisionCall::remove;
    CHECK(!unpack_provision_request(pack(of_session)));
    CHECK(!unpack_provision_request(
        pack(ProvisionRequest{ProvisionCall::end_session, false, "cow", "10.0.0.1"})));
    const ProvisionRequest sweep{ProvisionCall::sweep_sessions, true, "", ""};
    CHECK(unpack_provision_request(pack(sweep)) == sweep);
    CHECK(!unpack_provision_request(pack(ProvisionRequest{ProvisionCall::sweep_sessions, true, "cow", ""})));
    CHECK(!unpack_provision_request(
        pack(ProvisionRequest{ProvisionCall::restore, false, "root", "", "x", false, 1})));
    const ProvisionAnswer answer{true, "made"};
    CHECK(unpack_provision_answer(pack(answer)) == answer);
    CHECK(!unpack_provision_answer(std::vector<std::uint8_t>{1}));
    const ProvisionAnswer later{false, "in use", true};
    CHECK(unpack_provision_answer(pack(later)) == later);
    CHECK(!unpack_provision_answer(std::vector<std::uint8_t>{1, 3}));
    CHECK(!unpack_provision_answer(std::vector<std::uint8_t>(5000, 1)));
}
