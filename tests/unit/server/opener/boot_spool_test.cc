// The spool of boot files on disk: what counts as complete, what a commit leaves, and what may not be
// followed.
#include "server/opener/boot_spool.hh"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "common/protocol/boot_manifest.hh"
#include "common/text/hex.hh"
#include "common/text/sha256.hh"

using namespace holdfast;
using namespace holdfast::server;
namespace fs = std::filesystem;

namespace {

struct Bench {
    Bench() {
        char path[] = "/tmp/holdfast-spool-XXXXXX";
        REQUIRE(::mkdtemp(path) != nullptr);
        root = path;
        spool = {root + "/spool", "web/1", 1 << 20, std::nullopt};
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;
    ~Bench() { fs::remove_all(root); }

    static BootFileWanted wanted(const std::string& content) { return {sha256(content), content.size(), {}}; }
    [[nodiscard]] fs::path folder() const { return root + "/spool/web%2F1"; }
    [[nodiscard]] static std::string name(const std::string& content) {
        const auto sum = sha256(content);
        return hex_of(sum.data(), sum.size());
    }
    void store(const std::string& content) const {
        auto begun = begin_boot_file(spool, wanted(content));
        REQUIRE(begun);
        REQUIRE_FALSE(begun->complete);
        REQUIRE(::pwrite(begun->file.get(), content.data(), content.size(), 0) ==
                static_cast<ssize_t>(content.size()));
        REQUIRE(end_boot_file(spool, wanted(content)));
    }
    [[nodiscard]] static std::string manifest(const std::string& kernel, const std::string& initrd) {
        return to_text(nbd::BootManifest{
            {"6.1", sha256(kernel), kernel.size()}, {"6.1", sha256(initrd), initrd.size()}, std::nullopt});
    }
    [[nodiscard]] static std::uint64_t block_of(const fs::path& path) {
        struct stat status {};
        REQUIRE(::stat(path.c_str(), &status) == 0);
        return static_cast<std::uint64_t>(std::max<off_t>(status.st_size, status.st_blocks * 512));
    }
    [[nodiscard]] std::uint64_t bytes_on_disk() const {
        std::uint64_t bytes = 0;
        for (const auto& one : fs::directory_iterator(folder())) bytes += block_of(one.path());
        return bytes;
    }
    [[nodiscard]] std::set<std::string> names() const {
        std::set<std::string> all;
        for (const auto& one : fs::directory_iterator(folder())) all.insert(one.path().filename());
        return all;
    }

    std::string root;
    BootSpool spool;
};

}  // namespace

TEST_CASE("a request for a boot file survives packing, and no other bytes are one") {
    const BootFileWanted wanted{sha256("a"), 5, {sha256("b"), sha256("c")}};
    const std::string data = pack(wanted);
    CHECK(unpack_boot_file(data) == wanted);
    for (std::size_t size = 0; size < data.size(); ++size)
        if (size != 40 && size != 72) CHECK_FALSE(unpack_boot_file(data.substr(0, size)));
    CHECK_FALSE(unpack_boot_file(pack({sha256("a"), 0, {}})));
    CHECK_FALSE(unpack_boot_file(pack({sha256("a"), nbd::largest_boot_file + 1, {}})));
    CHECK_FALSE(unpack_boot_file(pack({sha256("a"), 1, std::vector<nbd::Digest>(5)})));
}

TEST_CASE("a boot file gets its name only with the content of its sum") {
    const Bench bench;
    bench.store("kernel");
    CHECK(bench.names() == std::set<std::string>{Bench::name("kernel")});
    CHECK(begin_boot_file(bench.spool, Bench::wanted("kernel"))->complete);
    for (const std::string& content : {std::string("initrX"), std::string("initr")}) {
        auto begun = begin_boot_file(bench.spool, Bench::wanted("initrd"));
        REQUIRE(begun);
        REQUIRE(::pwrite(begun->file.get(), content.data(), content.size(), 0) > 0);
        const auto ended = end_boot_file(bench.spool, Bench::wanted("initrd"));
        REQUIRE_FALSE(ended);
        CHECK(ended.error().kind == BootFaultKind::invalid);
        CHECK(bench.names() == std::set<std::string>{Bench::name("kernel")});
    }
    struct stat status {};
    REQUIRE(::stat(bench.folder().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0700);
}

TEST_CASE("an incomplete boot file goes on where it was, and begins again if it is too long") {
    const Bench bench;
    REQUIRE(::pwrite(begin_boot_file(bench.spool, Bench::wanted("kernel"))->file.get(), "ker", 3, 0) == 3);
    CHECK(begin_boot_file(bench.spool, Bench::wanted("kernel"))->offset == 3);
    REQUIRE(::pwrite(begin_boot_file(bench.spool, Bench::wanted("kernel"))->file.get(), "x", 1, 99) == 1);
    CHECK(begin_boot_file(bench.spool, Bench::wanted("kernel"))->offset == 0);
    REQUIRE(drop_boot_file(bench.spool, Bench::wanted("kernel")));
    CHECK(bench.names().empty());
}

TEST_CASE("a commit names files that are there, and removes the others") {
    const Bench bench;
    bench.store("kernel");
    const auto early = commit_boot_files(bench.spool, Bench::manifest("kernel", "initrd"));
    REQUIRE_FALSE(early);
    CHECK(early.error().kind == BootFaultKind::invalid);
    CHECK_FALSE(bench.names().contains("manifest"));
    bench.store("initrd");
    bench.store("old");
    (void)begin_boot_file(bench.spool, Bench::wanted("half"));
    std::ofstream(bench.folder() / "published") << "by netboot\n";
    CHECK_FALSE(commit_boot_files(bench.spool, "nonsense\n"));
    REQUIRE(commit_boot_files(bench.spool, Bench::manifest("kernel", "initrd")));
    CHECK(bench.names() ==
          std::set<std::string>{Bench::name("kernel"), Bench::name("initrd"), "manifest", "published"});
    CHECK(fs::exists(bench.root + "/spool/.committed"));
    CHECK(published_boot_files(bench.spool) == "by netboot\n");
}

TEST_CASE("files that no manifest names make room in a full quota, those that one names do not") {
    Bench bench;
    bench.store("kernel");
    bench.store("initrd");
    REQUIRE(commit_boot_files(bench.spool, Bench::manifest("kernel", "initrd")));
    bench.store("uncommitted");
    // Disk space counts: a file of one byte has a block of its own.
    const std::uint64_t block = Bench::block_of(bench.folder() / "manifest");
    bench.spool.quota = 3 * block + 20;
    const std::string next(15, 'n');
    BootFileWanted keeping = Bench::wanted(next);
    keeping.kept = {sha256("uncommitted")};
    const auto full = begin_boot_file(bench.spool, keeping);
    REQUIRE_FALSE(full);
    CHECK(full.error().kind == BootFaultKind::too_big);
    CHECK_FALSE(bench.names().contains(Bench::name(next) + ".part"));
    CHECK(begin_boot_file(bench.spool, Bench::wanted(next)));
    CHECK_FALSE(bench.names().contains(Bench::name("uncommitted")));
    CHECK(bench.names().contains(Bench::name("kernel")));
    CHECK_FALSE(begin_boot_file(bench.spool, Bench::wanted(std::string(25, 'n'))));
}

TEST_CASE("space that is reserved counts for the quota of boot files, and one incomplete file holds it") {
    Bench bench;
    bench.spool.quota = 8 << 20;
    bench.store("initrd");
    BootFileWanted wanted{sha256("first"), 6 << 20, {}};
    REQUIRE(begin_boot_file(bench.spool, wanted));
    wanted.sha256 = sha256("second");
    REQUIRE(begin_boot_file(bench.spool, wanted));
    CHECK(bench.names() == std::set<std::string>{Bench::name("initrd"), Bench::name("second") + ".part"});
    CHECK(bench.bytes_on_disk() <= 8 << 20);
    // A complete file that ends before its reserved space.
    fs::rename(bench.folder() / (Bench::name("second") + ".part"), bench.folder() / Bench::name("second"));
    wanted = {sha256("third"), 3 << 20, {sha256("second")}};
    const auto full = begin_boot_file(bench.spool, wanted);
    REQUIRE_FALSE(full);
    CHECK(full.error().kind == BootFaultKind::too_big);
}

TEST_CASE("a boot file has no space beyond its end, whatever size was announced first") {
    const Bench bench;
    BootSpool spool = bench.spool;
    spool.quota = 16 << 20;
    const std::string content = "kernel";
    REQUIRE(begin_boot_file(spool, {sha256(content), 8 << 20, {}}));
    const auto begun = begin_boot_file(spool, Bench::wanted(content));
    REQUIRE(begun);
    CHECK(bench.bytes_on_disk() < 1 << 20);
    REQUIRE(::fallocate(begun->file.get(), FALLOC_FL_KEEP_SIZE, 0, 8 << 20) == 0);
    REQUIRE(::pwrite(begun->file.get(), content.data(), content.size(), 0) == 6);
    REQUIRE(end_boot_file(spool, Bench::wanted(content)));
    CHECK(bench.bytes_on_disk() < 1 << 20);
}

TEST_CASE("an incomplete boot file stays while a complete one is asked for, and goes with the next") {
    const Bench bench;
    bench.store("kernel");
    REQUIRE(::pwrite(begin_boot_file(bench.spool, Bench::wanted("initrd"))->file.get(), "ini", 3, 0) == 3);
    CHECK(begin_boot_file(bench.spool, Bench::wanted("kernel"))->complete);
    CHECK(begin_boot_file(bench.spool, Bench::wanted("initrd"))->offset == 3);
    (void)begin_boot_file(bench.spool, Bench::wanted("other"));
    CHECK(begin_boot_file(bench.spool, Bench::wanted("initrd"))->offset == 0);
}

TEST_CASE("the number of boot files that nobody commits is bounded, however small they are") {
    const Bench bench;
    bench.store("kernel");
    bench.store("initrd");
    REQUIRE(commit_boot_files(bench.spool, Bench::manifest("kernel", "initrd")));
    for (int i = 0; i < 100; ++i) bench.store(std::to_string(i));
    CHECK(bench.names().size() <= 20);
    CHECK(bench.names().contains(Bench::name("kernel")));
    CHECK(bench.names().contains(Bench::name("99")));
}

TEST_CASE("a complete boot file that is damaged is received again") {
    const Bench bench;
    bench.store("kernel");
    std::ofstream(bench.folder() / Bench::name("kernel")) << "kernXX";
    bench.store("kernel");
    CHECK(begin_boot_file(bench.spool, Bench::wanted("kernel"))->complete);
}

TEST_CASE("a commit that cannot leave its mark has failed") {
    const Bench bench;
    bench.store("kernel");
    bench.store("initrd");
    fs::create_directory(bench.root + "/spool/.committed");
    const auto unmarked = commit_boot_files(bench.spool, Bench::manifest("kernel", "initrd"));
    REQUIRE_FALSE(unmarked);
    CHECK(unmarked.error().kind == BootFaultKind::failed);
    fs::remove(bench.root + "/spool/.committed");
    CHECK(commit_boot_files(bench.spool, Bench::manifest("kernel", "initrd")));
}

TEST_CASE("no link in the spool is followed") {
    const Bench bench;
    const std::string target = bench.root + "/target";
    std::ofstream(target) << "kernel";
    bench.store("initrd");
    fs::create_symlink(target, bench.folder() / (Bench::name("kernel") + ".part"));
    CHECK_FALSE(begin_boot_file(bench.spool, Bench::wanted("kernel")));
    CHECK_FALSE(end_boot_file(bench.spool, Bench::wanted("kernel")));
    fs::create_symlink(target, bench.folder() / Bench::name("kernel"));
    CHECK_FALSE(commit_boot_files(bench.spool, Bench::manifest("kernel", "initrd")));
    fs::create_symlink(target, bench.folder() / "published");
    CHECK_FALSE(published_boot_files(bench.spool));
    BootSpool elsewhere = bench.spool;
    elsewhere.export_name = "linked";
    fs::create_symlink(bench.folder(), bench.root + "/spool/linked");
    CHECK_FALSE(begin_boot_file(elsewhere, Bench::wanted("kernel")));
}

TEST_CASE("nothing is published where there is no folder yet") {
    const Bench bench;
    CHECK(published_boot_files(bench.spool) == "");
    bench.store("kernel");
    CHECK(published_boot_files(bench.spool) == "");
}
