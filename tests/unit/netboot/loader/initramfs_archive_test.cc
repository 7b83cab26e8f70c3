// Archives of an initramfs, in pieces of any size, whole and damaged.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <vector>

#include "netboot/loader/initramfs_archive.hh"

using namespace holdfast::netboot;

namespace {

constexpr unsigned program_mode = 0100755;

std::string padded(std::string text) {
    text.resize((text.size() + 3) / 4 * 4);
    return text;
}

std::string entry(std::string_view name, unsigned mode, std::string_view content, unsigned links = 1) {
    std::string header = "070701";
    for (const std::size_t field :
         {std::size_t(1), std::size_t(mode), std::size_t(0), std::size_t(0), std::size_t(links),
          std::size_t(0), content.size(), std::size_t(0), std::size_t(0), std::size_t(0), std::size_t(0),
          name.size() + 1, std::size_t(0)})
        header += fmt::format("{:08X}", field);
    return padded(header + std::string(name) + '\0') + padded(std::string(content));
}

std::string end() { return entry("TRAILER!!!", 0, ""); }

struct Outcome {
    std::vector<std::string> names;
    std::size_t used = 0;
    bool failed = false;
    bool complete = false;
};

Outcome read_all(std::string_view bytes, std::size_t piece) {
    Outcome outcome;
    CpioReader reader([&](const ArchiveEntry& each) { outcome.names.push_back(each.name); });
    while (!bytes.empty()) {
        const auto count = reader.read(bytes.substr(0, piece));
        if (!count) {
            outcome.failed = true;
            return outcome;
        }
        outcome.used += *count;
        if (*count < std::min(piece, bytes.size())) break;
        bytes.remove_prefix(*count);
    }
    outcome.complete = reader.is_complete();
    return outcome;
}

std::string error_of(const std::vector<ArchiveEntry>& entries, const std::string& release = "6.1") {
    InitramfsContents contents(release);
    for (const ArchiveEntry& each : entries) contents.take(each);
    const auto checked = contents.check();
    return checked ? "" : checked.error();
}

const ArchiveEntry client{"usr/sbin/holdfast-client", program_mode, true};
const ArchiveEntry script{"scripts/local-top/holdfast", program_mode, true};

}  // namespace

TEST_CASE("archives one after the other are read in pieces of any size, up to what is none") {
    const std::string archives = entry("./a", 0100644, "content") + entry("/b/c", 0100644, "1234") + end() +
                                 std::string(512, '\0') + entry("d", 040755, "") + end() +
                                 std::string(4, '\0');
    for (const std::size_t piece : {1, 2, 3, 5, 64, 110, 111, 4096}) {
        const Outcome outcome = read_all(archives + "\x1f\x8b compressed", static_cast<std::size_t>(piece));
        CHECK(outcome.names == std::vector<std::string>{"a", "b/c", "d"});
        CHECK(outcome.used == archives.size());
        CHECK(outcome.complete);
    }
}

TEST_CASE("an archive is incomplete at each byte before its end, and nothing at all is no archive") {
    const std::string archive = entry("a", 0100644, "content") + end();
    for (std::size_t size = 0; size < archive.size(); ++size) {
        const Outcome outcome = read_all(archive.substr(0, size), 7);
        CHECK(!outcome.failed);
        CHECK(!outcome.complete);
    }
    CHECK(read_all(archive, 7).complete);
    CHECK(!read_all(std::string(100, '\0'), 7).complete);
}

TEST_CASE("a damaged header is an error") {
    const std::string archive = entry("name", 0100644, "content") + end();
    for (const std::size_t at : {3, 5, 14, 38, 54, 94}) {
        std::string damaged = archive;
        damaged[at] = 'x';
        CHECK(read_all(damaged, 64).failed);
    }
    std::string no_name = archive;
    no_name.replace(94, 8, "00000000");
    CHECK(read_all(no_name, 64).failed);
    std::string long_name = archive;
    long_name.replace(94, 8, "00001001");
    CHECK(read_all(long_name, 64).failed);
    std::string no_end = archive;
    no_end[114] = 'x';
    CHECK(read_all(no_end, 64).failed);
    // Archives begin at multiples of 4.
    CHECK(read_all(end() + std::string(3, '\0') + archive, 64).used < archive.size());
}

TEST_CASE("an initramfs needs the client, its script, and modules of its kernel, if any") {
    CHECK(error_of({client, script}).empty());
    CHECK(error_of({{"sbin/holdfast-client", program_mode, true}, {"sbin/holdfastroot", program_mode, true}})
              .empty());
    CHECK(error_of({client}).contains("no boot script of Holdfast"));
    CHECK(error_of({script}).contains("no holdfast-client of Holdfast"));
    CHECK(error_of({script, {"usr/sbin/holdfast-client", 0100644, true}}).contains("no holdfast-client"));
    CHECK(error_of({script, {"usr/sbin/holdfast-client", 0120777, true}}).contains("no holdfast-client"));
    CHECK(
        error_of({script, {"usr/sbin/holdfast-client", program_mode, false}}).contains("no holdfast-client"));
    CHECK(error_of({script, {"tmp/usr/sbin/holdfast-client", program_mode, true}})
              .contains("no holdfast-client"));
    CHECK(error_of({script, {"usr/sbin/holdfast-client.old", program_mode, true}})
              .contains("no holdfast-client"));
    const auto modules = [](const std::string& release) {
        return ArchiveEntry{"usr/lib/modules/" + release, 040755, false};
    };
    CHECK(error_of({client, script, modules("6.1")}).empty());
    CHECK(error_of({client, script, modules("6.2"), modules("6.1/kernel")}).empty());
    CHECK(error_of({client, script, modules("6.2")}).contains("another kernel than 6.1"));
    CHECK(error_of({client, script, modules("6.10")}).contains("another kernel than 6.1"));
    CHECK(error_of({client, script, {"lib/modules", 040755, false}}).empty());
}

TEST_CASE("a content of several names counts, though most of them have none") {
    CpioReader reader([](const ArchiveEntry& each) { CHECK(each.has_content); });
    CHECK(reader.read(entry("a", program_mode, "", 2) + entry("b", program_mode, "x", 1)));
}

TEST_CASE("each compression of Linux that Debian uses has its unpacker") {
    CHECK(unpacker_for("\x1f\x8b\x08")->program == std::string("/usr/bin/gzip"));
    CHECK(unpacker_for("\xfd\x37zXZ\0")->program == std::string("/usr/bin/xz"));
    CHECK(unpacker_for("\x28\xb5\x2f\xfd")->program == std::string("/usr/bin/zstd"));
    CHECK(unpacker_for("\x02\x21\x4c\x18")->program == std::string("/usr/bin/lz4"));
    CHECK(!unpacker_for("BZh"));
    CHECK(!unpacker_for(""));
}
