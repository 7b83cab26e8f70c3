// The configuration: the classic example as it is, every key, and every mistake at its place.
#include <doctest/doctest.h>

#include <algorithm>

#include "server/config/config.hh"
#include "server/config/config_file.hh"
#include "server/config/config_keys.hh"

using namespace holdfast::server;
using holdfast::FilePosition;
using holdfast::Remark;

namespace {

struct Read {
    Config config;
    std::vector<Remark> errors;
    std::vector<Remark> warnings;
};

Read read(std::string_view main, std::string_view included = {}) {
    ConfigReader reader;
    reader.add_main("conf", main);
    if (!included.empty()) reader.add_included("conf.d/a.conf", included);
    Read result;
    result.config = reader.finish();
    result.errors = reader.errors();
    result.warnings = reader.warnings();
    return result;
}

Read read_arguments(const std::vector<std::string_view>& exports,
                    const std::vector<std::string_view>& listens = {}) {
    ConfigReader reader;
    for (const std::string_view one : exports) reader.add_export_argument(one);
    for (const std::string_view one : listens) reader.add_listen_argument(one);
    Read result;
    result.config = reader.finish();
    result.errors = reader.errors();
    result.warnings = reader.warnings();
    return result;
}

// What an export's section with these lines makes.
Read with_export_lines(std::string_view lines) {
    return read("[generic]\n[root]\nexportname = /dev/vg0/root\n" + std::string(lines) + "\n");
}

ExportConfig export_with(std::string_view lines) {
    const Read result = with_export_lines(lines);
    CAPTURE(lines);
    REQUIRE(result.errors.empty());
    return result.config.exports.at(0);
}

Config generic_with(std::string_view lines) {
    const Read result = read("[generic]\n" + std::string(lines) + "\n[root]\nexportname = /dev/vg0/root\n");
    CAPTURE(lines);
    REQUIRE(result.errors.empty());
    return result.config;
}

std::vector<std::string> endpoints(const Config& config) {
    std::vector<std::string> texts;
    for (const Listen& one : config.listens) texts.push_back(to_string(one.endpoint));
    return texts;
}

bool has(const std::vector<Remark>& remarks, unsigned line, std::string_view text) {
    return std::ranges::any_of(remarks, [&](const Remark& one) {
        return one.position.line == line && one.text.find(text) != std::string::npos;
    });
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("an identity is printable ASCII of at most 255 bytes, and not for a virtual export") {
    CHECK(export_with("").identity.empty());
    CHECK(export_with("identity =").identity.empty());
    CHECK(export_with("identity = root of host 7").identity == "root of host 7");
    CHECK(export_with("identity = " + std::string(255, 'i')).identity.size() == 255);
    for (const std::string& wrong : {std::string(256, 'i'), std::string("a\\nb"), std::string("\xc3\xa4")}) {
        const Read result = with_export_lines("identity = " + wrong);
        REQUIRE(result.errors.size() == 1);
        CHECK(to_string(result.errors[0]).starts_with("conf:4: identity: "));
    }
    const Read each = read("[each]\nidentity = one\nexportname = /srv/%s\n");
    REQUIRE(each.errors.size() == 1);
    CHECK(to_string(each.errors[0]).starts_with("conf:2: identity: "));
    CHECK(read("[each]\nidentity = one\nvirtstyle = none\nexportname = /srv/%s\n").errors.empty());
}

TEST_CASE("a description is printable UTF-8 of at most 255 bytes") {
    CHECK(export_with("").description.empty());
    CHECK(export_with("description =").description.empty());
    CHECK(export_with("description = the root of host 7").description == "the root of host 7");
    CHECK(export_with("description = Gr\xc3\xbc\xc3\x9f\x65").description == "Gr\xc3\xbc\xc3\x9f\x65");
    CHECK(export_with("description = " + std::string(255, 'd')).description.size() == 255);
    for (const std::string& wrong : {std::string(256, 'd'), std::string("a\\nb"), std::string("\xe4"),
                                     std::string("a\x1b[31m"), std::string("\xc2\x9b")}) {
        const Read result = with_export_lines("description = " + wrong);
        REQUIRE(result.errors.size() == 1);
        CHECK(to_string(result.errors[0]).starts_with("conf:4: description: "));
    }
}

TEST_CASE("the classic configuration works unchanged") {
    const Read result = read(
        "[root]\n"
        "exportname = /dev/vg0/workstation0\n"
        "port = 12345\n"
        "authfile = /etc/nbd-server/allow\n"
        "listenaddr =\n");
    CHECK(result.errors.empty());
    CHECK(result.warnings.empty());
    REQUIRE(result.config.exports.size() == 1);
    const ExportConfig& root = result.config.exports[0];
    CHECK(root.name == "root");
    CHECK(root.path == "/dev/vg0/workstation0");
    CHECK(root.authfile == "/etc/nbd-server/allow");
    CHECK(root.port == 12345);
    CHECK_FALSE(root.readonly);
    CHECK(root.flush);
    CHECK(root.fua);
    CHECK(root.trim);
    REQUIRE(result.config.listens.size() == 2);
    CHECK(endpoints(result.config) == Texts{"all addresses, port 10809", "all addresses, port 12345"});
    CHECK(result.config.listens[0].every_export);
    CHECK(result.config.listens[0].default_export.empty());
    CHECK_FALSE(result.config.listens[1].every_export);
    CHECK(result.config.listens[1].default_export == "root");
}

TEST_CASE(
    "the configuration that Debian installs with nbd-server, with its indented keys, is read as it is") {
    ConfigReader reader;
    reader.add_main("conf",
                    "[generic]\n"
                    "# If you want to run everything as root rather than the nbd user, you\n"
                    "# may either say \"root\" in the two following lines, or remove them\n"
                    "\tuser = nbd\n"
                    "\tgroup = nbd\n"
                    "\tincludedir = /etc/nbd-server/conf.d\n"
                    "\n"
                    "# What follows are export definitions.\n");
    CHECK(reader.errors().empty());
    REQUIRE(reader.includedir().has_value());
    CHECK(reader.includedir()->path == "/etc/nbd-server/conf.d");
    CHECK(reader.includedir()->position == FilePosition{"conf", 6});
    reader.add_included("conf.d/disk.conf", "[disk]\n  exportname=/srv/disk\n");
    const Config config = reader.finish();
    CHECK(reader.errors().empty());
    CHECK(config.user == "nbd");
    CHECK(config.group == "nbd");
    CHECK(config.exports.at(0).path == "/srv/disk");
    CHECK(config.exports.at(0).position == FilePosition{"conf.d/disk.conf", 1});
}

TEST_CASE("the examples of nbd-server's manual are read") {
    CHECK(read("[generic]\n[export]\n    exportname = /export/blkdev\n").errors.empty());
    const Read result = read(
        "[generic]\n    user = nbd\n    group = nbd\n"
        "[export]\n    exportname = /export/blkdev\n    authfile = /etc/nbd-server/allow\n");
    CHECK(result.errors.empty());
    CHECK(result.warnings.empty());
}

TEST_CASE("a boolean is true, false, yes, no, 1 or 0") {
    for (const char* word : {"true", "yes", "1"})
        CHECK(export_with(std::string("readonly = ") + word).readonly);
    for (const char* word : {"false", "no", "0"})
        CHECK_FALSE(export_with(std::string("readonly = ") + word).readonly);
    for (const char* word : {"", "True", "on", "2", "maybe", "\"true\"", "true # really"}) {
        CAPTURE(word);
        CHECK(has(with_export_lines(std::string("readonly = ") + word).errors, 4, "neither true nor false"));
    }
    CHECK(has(with_export_lines("readonly = true # really").errors, 4, "put comments on their own lines"));
    CHECK(has(with_export_lines("readonly = \"true\"").errors, 4, "without quotes"));
    CHECK(has(with_export_lines("readonly = True").errors, 4, "write it in lower case"));
}

TEST_CASE("the keys of an export are taken") {
    CHECK_FALSE(export_with("flush = false").flush);
    CHECK_FALSE(export_with("fua = false").fua);
    CHECK_FALSE(export_with("trim = false").trim);
    CHECK(export_with("sync = true").durable_writes());
    CHECK_FALSE(export_with("sync = true").direct());
    CHECK_FALSE(export_with("rotational = false").cache);
    CHECK(export_with("cache = writeback").direct() == false);
    CHECK_FALSE(export_with("cache = writeback").durable_writes());
    CHECK(export_with("cache = none").direct() == true);
    CHECK_FALSE(export_with("cache = none").durable_writes());
    CHECK(export_with("cache = writethrough").durable_writes());
    CHECK(export_with("cache = writethrough").direct() == false);
    CHECK(export_with("cache = directsync").direct() == true);
    CHECK(export_with("cache = directsync").durable_writes());
    CHECK(export_with("cache = none\nsync = true").durable_writes());
    CHECK(export_with("rotational = true").rotational);
    CHECK_FALSE(export_with("").must_be_writable);
    CHECK_FALSE(export_with("readonly = true").must_be_writable);
    CHECK(export_with("readonly = false").must_be_writable);
    CHECK(export_with("maxconnections = 3").maxconnections == 3);
    CHECK(export_with("").busypoll.count() == 100);
    CHECK(export_with("busypoll = 0").busypoll.count() == 0);
    CHECK_FALSE(export_with("").bootfiles);
    CHECK(export_with("bootfiles = yes").bootfiles);
    CHECK(export_with("").bootfilesquota == 1 << 30);
    CHECK(export_with("bootfilesquota = 2097152").bootfilesquota == 2097152);
    CHECK(export_with("").coalesce.count() == 50);
    CHECK(export_with("coalesce = 0").coalesce.count() == 0);
    CHECK_FALSE(export_with("").wait_if_full);
    CHECK_FALSE(export_with("full = error").wait_if_full);
    CHECK(export_with("full = wait").wait_if_full);
    CHECK(export_with("").stalltimeout.count() == 60);
    CHECK(export_with("stalltimeout = 5").stalltimeout.count() == 5);
    CHECK(export_with("timeout = 90").timeout.count() == 90);
    CHECK(export_with("filesize = 1048576").filesize == 1048576);
    CHECK(export_with("port = 2000").port == 2000);
    CHECK(export_with("port = nbd").port == 10809);
    CHECK(export_with("virtstyle = none").virtstyle == VirtStyle::none);
    CHECK(export_with("virtstyle = ipliteral").virtstyle == VirtStyle::ip_literal);
    CHECK(export_with("virtstyle = iphash").virtstyle == VirtStyle::ip_hash);
    CHECK(export_with("virtstyle = cidrhash 16").virtstyle == VirtStyle::cidr_hash);
    CHECK(export_with("virtstyle = cidrhash 16").virt_prefix == 16);
}

TEST_CASE("numbers are held to their range") {
    for (const char* line :
         {"port = 0", "port = 65536", "port = http", "port = -1", "port = 12345 ; mine",
          "port =", "filesize = 10M", "filesize = 99999999999999999999", "maxconnections = many",
          "timeout = 1s", "virtstyle = cidrhash", "virtstyle = cidrhash 129", "virtstyle = cidr"}) {
        CAPTURE(line);
        const Read result = with_export_lines(line);
        CHECK(result.errors.size() == 1);
        CHECK(has(result.errors, 4, ""));
    }
}

TEST_CASE("the keys of [generic] are taken") {
    CHECK(generic_with("allowlist = true").allowlist);
    CHECK_FALSE(generic_with("").allowlist);
    CHECK(generic_with("user = nbd").user == "nbd");
    CHECK(generic_with("maxconnections = 7").maxconnections == 7);
    CHECK(generic_with("").buffermemory == 256ULL << 20);
    CHECK(generic_with("buffermemory = 7").buffermemory == 7);
    CHECK(generic_with("handshaketimeout = 7").handshaketimeout.count() == 7);
    CHECK(generic_with("stoptimeout = 7").stoptimeout.count() == 7);
    CHECK_FALSE(generic_with("").maxperaddress.has_value());
    CHECK(generic_with("maxperaddress = 7").maxperaddress == 7U);
    CHECK(generic_with("").statussocket == "/run/holdfast-server/status.sock");
    CHECK(generic_with("statussocket = /run/s").statussocket == "/run/s");
    CHECK(generic_with("statussocket = none").statussocket.empty());
    CHECK(endpoints(generic_with("port = 99")) == Texts{"all addresses, port 99"});
    CHECK(endpoints(generic_with("listenaddr =")) == Texts{"all addresses, port 10809"});
    CHECK(endpoints(generic_with("listenaddr = 10.0.0.1, ::1,[fe80::1] , box.example")) ==
          Texts{"10.0.0.1:10809", "[::1]:10809", "[fe80::1]:10809", "box.example:10809"});
    CHECK(endpoints(generic_with("listenaddr = [fe80::1%eth0], fe80::2%br-lan.5")) ==
          Texts{"[fe80::1%eth0]:10809", "[fe80::2%br-lan.5]:10809"});
    CHECK(endpoints(generic_with("unixsock = /run/x.sock")) == Texts{"unix:/run/x.sock"});
    CHECK(endpoints(generic_with("unixsock = /run/x.sock\nduallisten = true")) ==
          Texts{"unix:/run/x.sock", "all addresses, port 10809"});
    CHECK(endpoints(generic_with("unixsock = /run/x.sock\nduallisten = false")) == Texts{"unix:/run/x.sock"});
}

TEST_CASE("an address that is none is an error at its line") {
    for (const char* text : {"10.0.0.1:12345", "10.0.0", "10.0.0.256", "a b", "10.0.0.1;10.0.0.2", "::g", ",",
                             "fe80::1%", "fe80::1%eth0%1", "fe80::1%a/b", "fe80::1%an-interface-name",
                             "2001:db8::1%eth0", "10.0.0.1%eth0", "box%eth0"}) {
        CAPTURE(text);
        const Read result = read("[generic]\nlistenaddr = " + std::string(text) + "\n[r]\nexportname = /x\n");
        CHECK(has(result.errors, 2, "is not an address"));
    }
}

TEST_CASE("an export's own port listens where [generic] does, unless the export says otherwise") {
    const char* const generic = "[generic]\nlistenaddr = 127.0.0.1\n[root]\nexportname = /x\nport = 12345\n";
    CHECK(endpoints(read(generic).config) == Texts{"127.0.0.1:10809", "127.0.0.1:12345"});
    CHECK(endpoints(read(std::string(generic) + "listenaddr = 10.0.0.1, 10.0.0.2\n").config) ==
          Texts{"127.0.0.1:10809", "10.0.0.1:12345", "10.0.0.2:12345"});
    CHECK(endpoints(read(std::string(generic) + "listenaddr =\n").config) ==
          Texts{"127.0.0.1:10809", "all addresses, port 12345"});
}

TEST_CASE("a port that is both everybody's and one export's own is one listener") {
    const Config config = read("[root]\nexportname = /x\nport = 10809\n[other]\nexportname = /y\n").config;
    REQUIRE(config.listens.size() == 1);
    CHECK(config.listens[0].every_export);
    CHECK(config.listens[0].default_export == "root");
}

TEST_CASE("two exports cannot have the same port of their own") {
    const Read result = read("[a]\nexportname = /a\nport = 2000\n[b]\nexportname = /b\nport = 2000\n");
    CHECK(has(result.errors, 4, "port 2000 already belongs to [a]"));
    CHECK(read("[a]\nexportname = /a\nport = 2000\nlistenaddr = 10.0.0.1\n"
               "[b]\nexportname = /b\nport = 2000\nlistenaddr = 10.0.0.2\n")
              .errors.empty());
    CHECK(has(
        read("[a]\nexportname = /a\nport = 2000\nlistenaddr = 10.0.0.1\n[b]\nexportname = /b\nport = 2000\n")
            .errors,
        5, "used on all addresses"));
}

TEST_CASE("listenaddr without a port is named as without effect") {
    const Read result = with_export_lines("listenaddr = 10.0.0.1");
    CHECK(result.errors.empty());
    CHECK(has(result.warnings, 4, "no effect"));
}

TEST_CASE("an unknown key is an error with its place and the nearest key") {
    CHECK(has(with_export_lines("readonli = true").errors, 4, "did you mean readonly?"));
    CHECK(has(with_export_lines("ReadOnly = true").errors, 4, "did you mean readonly?"));
    CHECK(has(with_export_lines("export_name = /x").errors, 4, "did you mean exportname?"));
    CHECK(has(with_export_lines("colour = green").errors, 4, "colour: unknown key"));
    CHECK_FALSE(has(with_export_lines("colour = green").errors, 4, "did you mean"));
    CHECK(has(with_export_lines("max_threads = 4").errors, 4, "belongs in [generic]"));
    CHECK(has(read("[generic]\nreadonly = true\n[r]\nexportname = /x\n").errors, 2,
              "belongs in an export's section"));
    CHECK(has(read("[generic]\nincludedri = /x\n[r]\nexportname = /x\n").errors, 2,
              "did you mean includedir?"));
}

TEST_CASE("what would lose data or protection when neglected is an error when it is asked for") {
    for (const char* key :
         {"multifile", "treefiles", "temporary", "sdp", "force_tls", "tlsonly", "waitfile"}) {
        CAPTURE(key);
        CHECK(has(with_export_lines(std::string(key) + " = true").errors, 4,
                  "not supported by holdfast-server"));
        CHECK(export_with(std::string(key) + " = false").path == "/dev/vg0/root");
    }
    for (const char* key : {"prerun", "postrun"}) {
        CAPTURE(key);
        CHECK(has(with_export_lines(std::string(key) + " = /bin/true").errors, 4,
                  "not supported by holdfast-server"));
    }
    for (const char* line : {"oldstyle = true", "force_tls = true", "tlsonly = true", "keyfile = /k",
                             "certfile = /c", "cacertfile = /c", "tlsprio = NORMAL"}) {
        CAPTURE(line);
        const Read result = read("[generic]\n" + std::string(line) + "\n[r]\nexportname = /x\n");
        CHECK(has(result.errors, 2, "not supported by holdfast-server"));
    }
    CHECK(generic_with("oldstyle = false\nforce_tls = false\nkeyfile =").exports.size() == 1);
}

TEST_CASE("what is harmless to leave out is a warning with its place") {
    for (const char* line : {"splice = true", "transactionlog = /tmp/log", "datalog = true", "cowdir = /tmp",
                             "sparse_cow = true"}) {
        CAPTURE(line);
        const Read result = with_export_lines(line);
        CHECK(result.errors.empty());
        CHECK(has(result.warnings, 4, "by holdfast-server"));
    }
    for (const char* line : {"max_threads = 4", "splice = true"}) {
        const Read result = read("[generic]\n" + std::string(line) + "\n[r]\nexportname = /x\n");
        CHECK(result.errors.empty());
        CHECK(has(result.warnings, 2, "not needed by holdfast-server"));
    }
    CHECK(has(with_export_lines("authfile =").warnings, 4, "every client may connect"));
}

TEST_CASE("a cache mode is one of qemu's words, and the writers of a volume agree on the page cache") {
    CHECK(has(with_export_lines("flush = false").warnings, 2,
              "[root]: flush = false: clients consider a write"));
    CHECK(with_export_lines("flush = false\nreadonly = true").warnings.empty());
    CHECK(export_with("flush = false").durable_writes());
    CHECK_FALSE(export_with("flush = true").durable_writes());
    CHECK(has(with_export_lines("cache = unsafe").errors, 4, "flushes are always honoured"));
    CHECK(has(with_export_lines("cache =").errors, 4, "none of: writeback, none"));
    CHECK(has(with_export_lines("full = stop").errors, 4, "\"stop\" is none of: error, wait"));
    const auto two = [](const std::string& first, const std::string& second) {
        return read("[a]\nexportname = /x\n" + first + "\n[b]\nexportname = /x\n" + second + "\n");
    };
    CHECK(has(two("cache = none", "cache = writeback").errors, 4, "[a] and [b] both export /x for writing"));
    CHECK(two("cache = none", "cache = directsync").errors.empty());
    CHECK(two("cache = none", "readonly = true").errors.empty());
    CHECK(two("cache = writeback", "readonly = true\ncache = none").errors.empty());
}

TEST_CASE("an export that says nothing of the page cache follows a writer of the same volume that does") {
    const auto modes = [](const std::string& first, const std::string& second) {
        const Read result =
            read("[a]\nexportname = /x\n" + first + "\n[b]\nexportname = /x\n" + second + "\n");
        CHECK(result.errors.empty());
        return std::pair(result.config.exports[0].cache, result.config.exports[1].cache);
    };
    CHECK(modes("", "") == std::pair(std::optional<CacheMode>{}, std::optional<CacheMode>{}));
    CHECK(modes("", "cache = writeback").first == CacheMode::writeback);
    CHECK(modes("cache = directsync", "").second == CacheMode::none);
    CHECK(modes("cache = writethrough", "").second == CacheMode::writeback);
    CHECK(!modes("", "readonly = true\ncache = none").first);
    CHECK(!modes("cache = none", "readonly = true").second);
}

TEST_CASE("the words of the cache modes") {
    CHECK(word_of(cache_mode(false, false)) == "writeback");
    CHECK(word_of(cache_mode(true, false)) == "none");
    CHECK(word_of(cache_mode(false, true)) == "writethrough");
    CHECK(word_of(cache_mode(true, true)) == "directsync");
}

TEST_CASE(
    "every key of nbd-server(5) is served, ignored with a reason, or refused with a reason and a mend") {
    enum class Fate { served, ignored, refused };
    struct Key {
        const char* line;
        Fate fate;
    };
    using enum Fate;
    // nbd-server(5), 3.24 and 3.26, in the order of the manual; datalog and waitfile as the program reads
    // them.
    constexpr Key generic[] = {
        {"allowlist = true", served},  {"cacertfile = /c", refused},
        {"certfile = /c", refused},    {"force_tls = true", refused},
        {"group = nbd", served},       {"includedir = /etc/nbd-server/conf.d", served},
        {"keyfile = /k", refused},     {"listenaddr = 127.0.0.1", served},
        {"max_threads = 4", ignored},  {"oldstyle = true", refused},
        {"port = 10809", served},      {"splice = true", ignored},
        {"user = nbd", served},        {"unixsock = /run/nbd.sock", served},
        {"duallisten = true", served}, {"tlsprio = NORMAL", refused},
    };
    constexpr Key exports[] = {
        {"authfile = /etc/nbd-server/allow", served},
        {"cowdir = /tmp", ignored},
        {"exportname = /x", served},
        {"filesize = 4096", served},
        {"flush = true", served},
        {"force_tls = true", refused},
        {"fua = true", served},
        {"listenaddr = 127.0.0.1", ignored},
        {"maxconnections = 3", served},
        {"multifile = true", refused},
        {"treefiles = true", refused},
        {"postrun = /bin/true", refused},
        {"prerun = /bin/true", refused},
        {"readonly = true", served},
        {"rotational = true", served},
        {"sdp = true", refused},
        {"sparse_cow = true", ignored},
        {"sync = true", served},
        {"temporary = true", refused},
        {"timeout = 60", served},
        {"transactionlog = /tmp/log", ignored},
        {"trim = true", served},
        {"virtstyle = iphash", served},
        {"tlsonly = true", refused},
        {"waitfile = true", refused},
        {"datalog = true", ignored},
        {"splice = true", ignored},
    };
    const auto check = [](const Key& key, unsigned line, const Read& result) {
        CAPTURE(key.line);
        const std::string name(std::string_view(key.line).substr(0, std::string_view(key.line).find(' ')));
        CHECK(result.errors.size() == (key.fate == refused ? 1 : 0));
        CHECK(result.warnings.size() == (key.fate == ignored ? 1 : 0));
        if (key.fate == ignored) CHECK(has(result.warnings, line, name + ": "));
        if (key.fate != refused) return;
        CHECK(has(result.errors, line, name + ": not supported by holdfast-server: "));
        CHECK(has(result.errors, line, "; "));
    };
    for (const Key& key : generic)
        check(key, 2, read("[generic]\n" + std::string(key.line) + "\n[r]\nexportname = /x\n"));
    for (const Key& key : exports)
        check(key, 3,
              read("[generic]\n[r]\n" + std::string(key.line) + "\n" +
                   (std::string_view(key.line).starts_with("exportname") ? "" : "exportname = /x\n")));
}

TEST_CASE("copyonwrite gives each session a path of its own, and refuses what is no logical volume") {
    const ExportConfig config = export_with("copyonwrite = true\ncreateclients = 10.0.0.0/8");
    CHECK((config.by_session() && config.is_virtual() && !config.by_name()));
    CHECK(path_for_client(config, "10.0.0.1") == "/dev/vg0/root");
    const std::string word(32, 'a');
    const auto made = export_of_session(config, word);
    REQUIRE(made);
    CHECK(path_for_client(*made, "10.0.0.1") == "/dev/vg0/root+cow-" + word);
    CHECK_FALSE(export_of_session(config, "../" + word.substr(3)));
    CHECK_FALSE(export_of_session(export_with("readonly = true"), word));
    CHECK_FALSE(export_with("copyonwrite = true\nreadonly = true").is_virtual());
    CHECK(has(read("[generic]\n[r]\nexportname = /x\ncopyonwrite = true\n").errors, 4,
              "copyonwrite: /x is no logical volume"));
    CHECK(has(with_export_lines("copyonwrite = maybe").errors, 4, "neither true nor false"));
    CHECK(has(with_export_lines("copyonwrite = true\nbootfiles = yes").errors, 2, "own file (copyonwrite)"));
}

TEST_CASE("all mistakes are found, not only the first") {
    const Read result = read(
        "[generic]\nport = zero\nnonsense\n[a]\nreadonly = maybe\nexportname = "
        "relative\n[b]\n[a]\nexportname = /x\n");
    CHECK(has(result.errors, 2, "port"));
    CHECK(has(result.errors, 3, "neither a section"));
    CHECK(has(result.errors, 5, "readonly"));
    CHECK(has(result.errors, 6, "begin with \"/\""));
    CHECK(has(result.errors, 7, "missing exportname"));
    CHECK(has(result.errors, 8, "[a]: duplicate section, first at conf:4"));
}

TEST_CASE("an export needs a file, a name, and to be the only one of its name") {
    CHECK(has(read("[root]\n").errors, 1, "missing exportname"));
    CHECK(has(read("[]\nexportname = /x\n").errors, 1, "name"));
    CHECK(has(read("[" + std::string(4097, 'n') + "]\nexportname = /x\n").errors, 1, "4096"));
    CHECK(read("[" + std::string(4096, 'n') + "]\nexportname = /x\n").errors.empty());
    CHECK(has(read("[a]\nexportname = /x\n", "[a]\nexportname = /y\n").errors, 1,
              "duplicate section, first at conf:1"));
}

TEST_CASE("a configuration without exports is an error") {
    CHECK(has(read("").errors, 0, "no export"));
    CHECK(has(read("[generic]\n").errors, 0, "no export"));
}

TEST_CASE("[generic] stands once, in the main file, wherever it likes") {
    CHECK(read("[a]\nexportname = /x\n[generic]\nport = 99\n").errors.empty());
    CHECK(
        has(read("[generic]\n[a]\nexportname = /x\n[generic]\n").errors, 4, "[generic]: duplicate section"));
    CHECK(has(read("[a]\nexportname = /x\n", "[generic]\nport = 99\n").errors, 1,
              "main configuration file only"));
}

TEST_CASE("the last of equal keys counts, and that is said") {
    const Read result = with_export_lines("readonly = true\nreadonly = false");
    CHECK(result.errors.empty());
    CHECK_FALSE(result.config.exports.at(0).readonly);
    CHECK(has(result.warnings, 5, "overrides the one at conf:4"));
}

TEST_CASE("lines may be indented, end in CR LF, and be very long") {
    const std::string path = "/" + std::string(3000, 'p');
    const Read result = read(
        "\xef\xbb\xbf[generic]\r\n\tport\t=  99 \r\n; a comment\r\n[x]\r\n  exportname=" + path + "\r\n");
    CHECK(result.errors.empty());
    CHECK(result.config.exports.at(0).path == path);
    CHECK(endpoints(result.config) == Texts{"all addresses, port 99"});
}

TEST_CASE("GKeyFile's escapes are undone, and a path may contain = and #") {
    CHECK(export_with("exportname = /a\\sb\\\\c").path == "/a b\\c");
    CHECK(export_with("exportname = /a=b#c").path == "/a=b#c");
    CHECK(has(with_export_lines("exportname = /a\\x").errors, 4, "backslash"));
    CHECK(has(with_export_lines("exportname = /a\\").errors, 4, "backslash"));
}

TEST_CASE("lines that are nothing are errors at their place") {
    CHECK(has(read("port = 1\n[a]\nexportname = /x\n").errors, 1, "before the first section"));
    CHECK(has(read("[a\nexportname = /x\n").errors, 1, "missing \"]\""));
    CHECK(has(read("[a] # mine\nexportname = /x\n").errors, 1, "put comments on their own lines"));
    CHECK(has(read("[a]\n= x\nexportname = /x\n").errors, 2, "missing key"));
    using namespace std::string_view_literals;
    CHECK(has(read("[a]\nexport\0name = /x\n"sv).errors, 2, "NUL"));
}

TEST_CASE("rubbish of any kind is read without harm") {
    std::string text =
        "[generic]\nport = 99\n[a]\nexportname = /x\nvirtstyle = cidrhash 24\nlistenaddr = ::1, 10.0.0.1\n";
    for (std::size_t cut = 0; cut <= text.size(); ++cut) (void)read(std::string_view(text).substr(0, cut));
    for (std::size_t at = 0; at < text.size(); ++at) {
        for (const char c : {'\0', '\n', '[', ']', '=', '\\', '\xff', '9', ' '}) {
            std::string wrong = text;
            wrong[at] = c;
            (void)read(wrong);
        }
    }
}

TEST_CASE("exports of the command line") {
    const Read result =
        read_arguments({"root=/dev/vg0/root", "iso=/srv/a=b.iso,readonly"}, {"127.0.0.1:2000"});
    CHECK(result.errors.empty());
    CHECK(result.config.allowlist);
    CHECK(result.config.find("root")->path == "/dev/vg0/root");
    CHECK_FALSE(result.config.find("root")->readonly);
    CHECK(result.config.find("iso")->path == "/srv/a=b.iso");
    CHECK(result.config.find("iso")->readonly);
    CHECK(result.config.find("iso ") == nullptr);
    CHECK(endpoints(result.config) == Texts{"127.0.0.1:2000"});
    CHECK(result.config.listens[0].default_export.empty());
    CHECK(read_arguments({"root=/x"}).config.listens.at(0).default_export == "root");
    for (const char* wrong : {"root", "root=", "root=relative", "=/x"}) {
        CAPTURE(wrong);
        CHECK(read_arguments({wrong}).errors.size() == 1);
    }
    const Read twice = read_arguments({"a=/x", "a=/y"});
    REQUIRE(twice.errors.size() == 1);
    CHECK(twice.errors[0].text == "[a]: duplicate section, first on the command line; rename or remove one");
}

TEST_CASE("addresses of the command line") {
    struct Row {
        const char* argument;
        const char* endpoint;
    };
    for (const Row& row : {Row{"10.0.0.1:99", "10.0.0.1:99"}, Row{"[::1]:99", "[::1]:99"},
                           Row{"box:99", "box:99"}, Row{":99", "all addresses, port 99"},
                           Row{"*:99", "all addresses, port 99"}, Row{"unix:/run/x", "unix:/run/x"}}) {
        CAPTURE(row.argument);
        const Read result = read_arguments({"a=/x"}, {row.argument});
        CHECK(result.errors.empty());
        CHECK(endpoints(result.config) == Texts{row.endpoint});
    }
    for (const char* wrong : {"10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "::1:99",
                              "10.0.0.300:99", "unix:x", "unix:", "", "a b:99"}) {
        CAPTURE(wrong);
        CHECK(read_arguments({"a=/x"}, {wrong}).errors.size() == 1);
    }
}

TEST_CASE("--listen replaces the addresses of [generic], not an export's own port") {
    ConfigReader reader;
    reader.add_main("conf", "[generic]\nport = 99\nunixsock = /run/x\n[a]\nexportname = /x\nport = 2000\n");
    reader.add_listen_argument("127.0.0.1:98");
    CHECK(endpoints(reader.finish()) == Texts{"127.0.0.1:98", "all addresses, port 2000"});
}

TEST_CASE("%s in a path is the client's address, in the style that is asked for") {
    ExportConfig config;
    config.path = "/export/%s";
    CHECK(config.is_virtual());
    CHECK(path_for_client(config, "192.168.1.100") == "/export/192.168.1.100");
    CHECK(path_for_client(config, "2001:6f8:32f::39") == "/export/2001:6f8:32f::39");
    CHECK(path_for_client(config, "unix") == "/export/unix");
    config.virtstyle = VirtStyle::ip_hash;
    CHECK(path_for_client(config, "192.168.1.100") == "/export/192/168/1/100");
    config.virtstyle = VirtStyle::cidr_hash;
    config.virt_prefix = 16;
    CHECK(path_for_client(config, "192.168.1.100") == "/export/192.168.0.0/192.168.1.100");
    config.virt_prefix = 26;
    CHECK(path_for_client(config, "192.168.1.100") == "/export/192.168.1.64/192.168.1.100");
    CHECK(path_for_client(config, "unix") == "/export/unix");
    config.virtstyle = VirtStyle::none;
    CHECK_FALSE(config.is_virtual());
    CHECK(path_for_client(config, "192.168.1.100") == "/export/%s");
}

TEST_CASE(
    "a status socket is a path from the root that fits, or none; exports of the command line have none") {
    for (const std::string& wrong :
         {std::string("status.sock"), "/" + std::string(107, 's'), std::string()}) {
        const Read result = read("[generic]\nstatussocket = " + wrong + "\n[a]\nexportname = /a\n");
        CAPTURE(wrong);
        CHECK(has(result.errors, 2, "statussocket"));
    }
    CHECK(read_arguments({"a=/a"}).config.statussocket.empty());
}

TEST_CASE("a wrong includedir is not read, and a wrong filesize or exportname draws no warning of the file") {
    ConfigReader reader;
    reader.add_main("conf",
                    "[generic]\nincludedir = rel\n[a]\nexportname = rel\n"
                    "[b]\nexportname = /nonexistent/b\nfilesize = 10G\n");
    CHECK_FALSE(reader.includedir().has_value());
    const Config config = reader.finish();
    CHECK(reader.errors().size() == 3);
    CHECK(look_around(config).warnings.empty());
}

TEST_CASE("limits of zero and beyond all measure are mistakes") {
    const Read result = read(
        "[generic]\nmaxperaddress = 0\n[a]\nexportname = /a\nstalltimeout = 0\n[b]\nexportname = "
        "/b\nstalltimeout = 86401\n[c]\nexportname = /c\nbusypoll = 1001\n"
        "coalesce = 1001\n");
    CHECK(result.errors.size() == 5);
    for (const unsigned line : {11U, 12U}) CHECK(has(result.errors, line, "is not a number from 0 to 1000"));
    for (const unsigned line : {2U, 5U, 8U}) CHECK(has(result.errors, line, "is not a number from 1"));
}

TEST_CASE("boot files need a folder, a quota, and an export that one host writes to") {
    const Read result = read(
        "[generic]\nbootfilesdir = here\n[a]\nexportname = /a\nbootfilesquota = 1048575\n[b]\nexportname = "
        "/b/%s\nbootfiles = yes\n[c]\nexportname = /c\nreadonly = yes\nbootfiles = yes\n[d]\nexportname = "
        "/d\nbootfiles = perhaps\n");
    CHECK(result.errors.size() == 5);
    CHECK(has(result.errors, 2, "absolute"));
    CHECK(has(result.errors, 5, "is not a number from 1048576"));
    CHECK(has(result.errors, 6, "[b]: bootfiles = yes: each client gets its own file"));
    CHECK(has(result.errors, 9, "[c]: bootfiles = yes: only clients that write"));
    CHECK(read("[a]\nexportname = /a\n").config.bootfilesdir == "/var/spool/holdfast-server");
    CHECK(read("[generic]\nbootfilesdir = /srv/boot\n[a]\nexportname = /a\n").config.bootfilesdir ==
          "/srv/boot");
}

TEST_CASE("at a start, an includedir that hangs is left out, and one that is not there is a mistake") {
    Options options;
    options.config = "/main";
    ConfigTexts texts;
    texts.files = {{"/main", "[generic]\nincludedir = /d\n[one]\nexportname = /one\n", ""}};
    texts.directory = "/d";
    texts.directory_fault = "no answer for 5 s";
    CHECK_FALSE(make_config_for_start(options, texts).errors.empty());
    texts.directory_hangs = true;
    const LoadedConfig loaded = make_config_for_start(options, texts);
    CHECK(loaded.errors.empty());
    CHECK(loaded.config.find("one") != nullptr);
    CHECK(loaded.left_out == std::set<std::string>{"/d"});
    REQUIRE(loaded.skipped.size() == 1);
    CHECK(loaded.skipped[0].text == "includedir: /d: no answer for 5 s");
    texts.files[0].text += "[two]\nexportnam = /two\n";
    CHECK_FALSE(make_config_for_start(options, texts).errors.empty());
    texts.files[0].text = "[generic]\nincludedir = /d\nstrict = true\n[one]\nexportname = /one\n";
    CHECK_FALSE(make_config_for_start(options, texts).errors.empty());
}

TEST_CASE(
    "at a start, a file of the includedir with a mistake is left out, and the other exports are served") {
    Options options;
    options.config = "/main";
    ConfigTexts texts;
    texts.files = {{"/main", "[generic]\nincludedir = /d\n[one]\nexportname = /one\n", ""},
                   {"/d/a.conf", "[two]\nexportname = /two\n", ""},
                   {"/d/b.conf", "[three]\nexportname = /three\nreadonli = true\n", ""},
                   {"/d/c.conf", "[one]\nexportname = /again\n", ""},
                   {"/d/d.conf", "", "open: Permission denied"}};
    const LoadedConfig loaded = make_config_for_start(options, texts);
    CHECK(loaded.errors.empty());
    REQUIRE(loaded.config.exports.size() == 2);
    CHECK(loaded.config.find("one")->path == "/one");
    CHECK(loaded.config.find("two") != nullptr);
    REQUIRE(loaded.skipped.size() == 3);
    CHECK(loaded.skipped[0].position == FilePosition{"/d/b.conf", 3});
    CHECK(loaded.skipped[1].position.file == "/d/c.conf");
    CHECK(loaded.skipped[2].position.file == "/d/d.conf");
    // As a reload and --check see it.
    CHECK(make_config(options, texts).errors.size() == 3);

    texts.files[0].text = "[generic]\nincludedir = /d\nstrict = true\n[one]\nexportname = /one\n";
    CHECK(make_config_for_start(options, texts).errors.size() == 3);
    // A mistake in the main file is none of an included one's.
    texts.files[0].text = "[generic]\nincludedir = /d\n[one]\nexportnam = /one\n";
    CHECK_FALSE(make_config_for_start(options, texts).errors.empty());
    // Nothing is left.
    texts.files[0].text = "[generic]\nincludedir = /d\n";
    texts.files = {texts.files[0], texts.files[2]};
    CHECK_FALSE(make_config_for_start(options, texts).errors.empty());
}

namespace {

constexpr const char* by_mac =
    "[root-*]\nexportname = /dev/vg0/root-%m\ncreate = empty 1G\ncreatelimit = 9\n"
    "[root-525400123456]\nexportname = /dev/vg0/special\n";

}  // namespace

TEST_CASE("each spelling of a MAC address is the export of the host's own section") {
    const Config config = read(by_mac).config;
    for (const char* const name : {"root-525400123456", "root-52-54-00-12-34-56", "root-52:54:00:12:34:56"})
        CHECK_MESSAGE(config.export_for(name)->path == "/dev/vg0/special", name);
    CHECK(config.export_for("root-52-54-00-12-34-57")->path == "/dev/vg0/root-525400123457");
    CHECK(config.find("root-52-54-00-12-34-5") == nullptr);
}

TEST_CASE("no section with * stands in for a section of a file that a start has left out") {
    Options options;
    options.config = "/main";
    ConfigTexts texts;
    const std::string main =
        "[generic]\nincludedir = /d\n[root-*]\nexportname = /dev/vg0/root-%m\ncreate = empty 1G\n"
        "createlimit = 9\n";
    texts.files = {
        {"/main", main, ""},
        {"/d/a.conf", "[root-525400123456]\nexportname = /dev/vg0/root-525400123456\nreadonli = true\n", ""}};
    const LoadedConfig loaded = make_config_for_start(options, texts);
    REQUIRE(loaded.left_out.size() == 1);
    CHECK_FALSE(loaded.config.left_out_unknown);
    for (const char* const name : {"root-525400123456", "root-52-54-00-12-34-56"})
        CHECK_MESSAGE(loaded.config.find(name) == nullptr, name);
    CHECK(loaded.config.find("root-52-54-00-12-34-57") != nullptr);
    // The names of the sections are not certain, or not known.
    texts.files[1].text = "[root-52-54-00-12-34-56\nexportname = /dev/vg0/root-525400123456\n";
    CHECK(make_config_for_start(options, texts).config.find("root-52-54-00-12-34-57") == nullptr);
    texts.files[1] = {"/d/a.conf", "", "open: Permission denied"};
    CHECK(make_config_for_start(options, texts).config.find("root-52-54-00-12-34-57") == nullptr);
    texts.files.pop_back();
    texts.directory = "/d";
    texts.directory_fault = "no answer for 5 s";
    texts.directory_hangs = true;
    const LoadedConfig hangs = make_config_for_start(options, texts);
    CHECK((hangs.errors.empty() && hangs.config.find("root-52-54-00-12-34-57") == nullptr));
}

TEST_CASE(
    "an export whose volume a section with * serves by a name is warned of, but not the one of the host's "
    "own") {
    const std::string section =
        "[root-*]\nexportname = /dev/vg0/root-%n\ncreate = empty 1G\ncreatelimit = 9\n"
        "createclients = 10.0.0.0/8\nauthfile = /a\n";
    CHECK(has(read(section + "[archive]\nexportname = /dev/vg0/root-archive\n").warnings, 7,
              "[archive]: clients of [root-*] can use /dev/vg0/root-archive, too"));
    CHECK(read(section + "[root-web1]\nexportname = /dev/vg0/root-web1\n").warnings.empty());
    CHECK(read(section + "[archive]\nexportname = /dev/vg0/archive\n").warnings.empty());
    CHECK(read(section + "[archive]\nexportname = /dev/vg1/root-archive\n").warnings.empty());
}
