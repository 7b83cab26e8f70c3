// Who hears of a lost write, and who need not; and what the next server process knows of it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>

#include "common/linux/log.hh"
#include "server/volume/lost_writes.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

nbd::Uuid session(std::uint8_t first, std::uint8_t second = 0) { return {first, second}; }

constexpr nbd::Uuid this_boot{7};

// A folder of its own for a test, gone afterwards.
class Folder {
public:
    Folder() { REQUIRE(::mkdtemp(path_) != nullptr); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::string record() const { return std::string(path_) + "/losses"; }
    [[nodiscard]] std::string bytes() const {
        std::ifstream file(record(), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void set_bytes(const std::string& bytes) const {
        std::ofstream(record(), std::ios::binary | std::ios::trunc) << bytes;
    }

private:
    char path_[32] = "/tmp/holdfast-unit-XXXXXX";
};

// Collects the lines of the log.
class Capture {
public:
    Capture() : kept_(::dup(STDERR_FILENO)), file_(std::tmpfile()) {
        REQUIRE((kept_ >= 0 && file_ != nullptr && ::dup2(::fileno(file_), STDERR_FILENO) >= 0));
        log::open("unit-tests", log::Sink::terminal);
    }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    ~Capture() {
        log::open("unit-tests", log::Sink::terminal, log::Level{2});
        (void)::dup2(kept_, STDERR_FILENO);
        (void)::close(kept_);
        (void)std::fclose(file_);
    }
    [[nodiscard]] std::string text() const {
        char bytes[4096];
        const ssize_t count = ::pread(::fileno(file_), bytes, sizeof bytes, 0);
        return {bytes, static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
    }

private:
    int kept_;
    std::FILE* file_;
};

// No file of this process grows beyond it.
class FileSizeLimit {
public:
    explicit FileSizeLimit(rlim_t bytes) {
        (void)::signal(SIGXFSZ, SIG_IGN);
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
        const rlimit limit{bytes, before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;
    ~FileSizeLimit() {
        (void)::setrlimit(RLIMIT_FSIZE, &before_);
        (void)::signal(SIGXFSZ, SIG_DFL);
    }

private:
    rlimit before_{};
};

// Replaces the states of the half at `at`, and makes its checksum (FNV-1a, with the checksum itself as zeros)
// that of the new ones.
void replace_states(std::string& record, std::size_t at, const std::string& states) {
    constexpr std::size_t head = 48;
    constexpr std::size_t checksum = 32;
    const auto length = static_cast<std::uint32_t>(states.size());
    std::memset(record.data() + at + checksum, 0, sizeof(std::uint64_t));
    std::memcpy(record.data() + at + checksum + sizeof(std::uint64_t), &length, sizeof length);
    record.replace(at + head, states.size(), states);
    std::uint64_t value = 0xcbf29ce484222325;
    for (const char byte : record.substr(at, head + states.size()))
        value = (value ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3;
    std::memcpy(record.data() + at + checksum, &value, sizeof value);
}

// What a server process knows of a disk.
struct Process {
    explicit Process(const Folder& folder, const nbd::Uuid& boot = this_boot) {
        REQUIRE(losses.keep_in(folder.record(), boot));
    }
    std::shared_ptr<DiskLosses> disk(const std::string& identity = "disk") {
        return losses.of(identity, "/dev/x");
    }
    LostWrites losses;
};

void tell(const Writer& writer) {
    CHECK_FALSE(writer.check());
    writer.told();
    CHECK(writer.check());
}

}  // namespace

TEST_CASE("a loss is told to a session on every connection, until it is known that the session received it") {
    LostWrites losses;
    const auto disk = losses.of("disk", "/dev/x");
    { const Writer before = disk->begin(session(1), true); }
    disk->add(ENOSPC);
    disk->add(EIO);
    for (int i = 0; i < 2; ++i) {
        const Writer again = losses.of("disk", "/dev/x")->begin(session(1), false);
        CHECK(again.check().error().code == EIO);
        CHECK(again.check().error().code == EIO);  // the reply is not on its way yet
        CHECK_FALSE(again.awaits_delivery());
        tell(again);
        CHECK(again.awaits_delivery());
    }
    const Writer beside = disk->begin(session(1), false);
    const Writer last = disk->begin(session(1), false);
    tell(last);
    last.delivered();
    CHECK_FALSE(last.awaits_delivery());
    CHECK(disk->begin(session(1), false).check());
    CHECK(beside.check());  // what the session received on one of its connections, it has received
    CHECK(losses.of("another", "/dev/y")->begin(session(1), false).check());
    disk->add(EIO);
    CHECK_FALSE(last.check());
    CHECK_FALSE(disk->begin(session(1), false).check());
}

TEST_CASE("a session that begins after the loss goes on, also when it reconnects, until the next loss") {
    const auto disk = std::make_shared<DiskLosses>("/dev/x");
    disk->add(EIO);
    CHECK(disk->begin(session(2), true).check());
    const Writer again = disk->begin(session(2), false);
    CHECK(again.check());
    disk->add(EIO);
    CHECK_FALSE(again.check());
    CHECK_FALSE(disk->begin(session(2), false).check());
    // It may be one that wrote before the server was started.
    CHECK_FALSE(disk->begin(session(3), false).check());
}

TEST_CASE(
    "clients are remembered up to a bound, and a forgotten one is told too much rather than too little") {
    const auto disk = std::make_shared<DiskLosses>("/dev/x");
    disk->add(EIO);
    CHECK(disk->begin_nameless("10.0.0.1").check());
    for (std::size_t i = 0; i < DiskLosses::most_clients; ++i) {
        CHECK(disk->begin(session(static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)), true)
                  .check());
    }
    CHECK_FALSE(disk->begin_nameless("10.0.0.1").check());
    CHECK_FALSE(disk->begin(session(0, 0), false).check());
    CHECK(disk->begin(session(255, 3), false).check());
}

TEST_CASE(
    "clients without a session are known by their hosts: who was there is told, who comes later is not") {
    const auto disk = std::make_shared<DiskLosses>("/dev/x");
    { const Writer left_before = disk->begin_nameless("10.0.0.1"); }
    const Writer first = disk->begin_nameless("10.0.0.2");
    const Writer second = disk->begin_nameless("10.0.0.2");
    disk->add(EIO);
    CHECK(disk->begin_nameless("10.0.0.3").check());
    tell(first);
    tell(second);
    CHECK_FALSE(disk->begin_nameless("10.0.0.2").check());  // it may not have received it
    const Writer neighbour = disk->begin_nameless("10.0.0.2");
    first.delivered();
    CHECK(disk->begin_nameless("10.0.0.2").check());
    CHECK_FALSE(neighbour.check());  // perhaps another client, behind the same address
    CHECK_FALSE(disk->begin_nameless("10.0.0.1").check());
}

TEST_CASE("what was lost before this server was started may be of clients that it has never seen") {
    const auto disk = std::make_shared<DiskLosses>("/dev/x");
    disk->add(EIO);
    disk->concerns_strangers();
    const Writer stranger = disk->begin_nameless("10.0.0.1");
    tell(stranger);
    stranger.delivered();
    CHECK(disk->begin_nameless("10.0.0.1").check());
    CHECK_FALSE(disk->begin_nameless("unix").check());
    CHECK(disk->begin(session(1), true).check());
}

TEST_CASE("the next process knows what the last one did: who is still to be told, and who is not") {
    const Folder folder;
    {
        Process process(folder);
        const auto disk = process.disk();
        const Writer told = disk->begin(session(1), true);
        const Writer untold = disk->begin(session(2), true);
        const Writer host = disk->begin_nameless("10.0.0.1");
        (void)process.disk("another")->begin(session(2), true);
        disk->add(ENOSPC);
        CHECK(disk->begin(session(3), true).check());
        tell(told);
        told.delivered();
        tell(untold);  // on its way when the process ends
    }
    for (int restart = 0; restart < 3; ++restart) {
        Process process(folder);
        const auto disk = process.disk();
        CHECK(disk->begin(session(1), false).check());
        CHECK(disk->begin(session(2), false).check().error().code == ENOSPC);
        CHECK(disk->begin(session(3), false).check());
        CHECK_FALSE(disk->begin(session(4), false).check());  // an older one that was away meanwhile
        CHECK(disk->begin(session(5), true).check());
        CHECK_FALSE(disk->begin_nameless("10.0.0.1").check());
        CHECK(disk->begin_nameless("10.0.0.2").check());
        CHECK(process.disk("another")->begin(session(2), false).check());
    }
    Process process(folder);
    const Writer untold = process.disk()->begin(session(2), false);
    tell(untold);
    untold.delivered();
    CHECK(Process(folder).disk()->begin(session(2), false).check());
}

TEST_CASE("another boot of the machine begins without losses") {
    const Folder folder;
    Process(folder).disk()->add(EIO);
    CHECK_FALSE(Process(folder).disk()->begin(session(1), false).check());
    CHECK(Process(folder, {8}).disk()->begin(session(1), false).check());
}

TEST_CASE("a record that cannot be made anew is not believed by the process after the next") {
    const Folder folder;
    { Process process(folder); }
    LossRecord record;
    REQUIRE(::mkdir((folder.record() + ".new").c_str(), 0700) == 0);
    CHECK(!record.open(folder.record(), this_boot));
    REQUIRE(::rmdir((folder.record() + ".new").c_str()) == 0);
    LossRecord next;
    REQUIRE(next.open(folder.record(), this_boot));
    CHECK(next.forgetful());
}

TEST_CASE(
    "a record that was torn in the middle of a write is a loss of every disk, also of those that it names") {
    const Folder folder;
    {
        Process process(folder);
        process.disk()->add(ENOSPC);
        process.disk()->add(ENOSPC);
    }
    const std::string whole = folder.bytes();
    const auto loss_of = [&](const std::string& identity) {
        Process process(folder);
        const Result<void> found = process.disk(identity)->begin(session(1), false).check();
        CHECK(process.disk(identity)->begin(session(2), true).check());
        return found ? 0 : found.error().code;
    };
    CHECK(loss_of("another") == 0);
    for (const std::size_t at : {std::size_t{20}, LossRecord::half + 20}) {
        std::string torn = whole;
        torn[at] = static_cast<char>(torn[at] + 1);
        folder.set_bytes(torn);
        CHECK(loss_of("another") == EIO);
        CHECK(loss_of("disk") == EIO);
        CHECK(loss_of("another") == EIO);  // the process after the next knows it, too
    }
    folder.set_bytes("some other content");
    CHECK(loss_of("another") == EIO);
    folder.set_bytes("");
    CHECK(loss_of("another") == 0);
}

TEST_CASE("a process that was replaced while it hung in a disk writes to a record that nobody reads") {
    const Folder folder;
    Process old(folder);
    const auto disk = old.disk();
    const auto another = old.disk("another");
    Process process(folder);
    process.disk()->add(ENOSPC);
    another->add(EIO);
    CHECK(Process(folder).disk()->begin(session(1), false).check().error().code == ENOSPC);
}

TEST_CASE("a record has a bounded length: a disk that has no place in it counts as one that lost writes") {
    const Folder folder;
    Process process(folder);
    const std::size_t many = LossRecord::half / 250 + 10;
    for (std::size_t i = 0; i < many; ++i)
        process.disk(std::string(246, 'x') + std::to_string(1000 + i))->add(EIO);
    CHECK(folder.bytes().size() <= 2 * LossRecord::half);
    // This process has them all.
    CHECK(process.disk("no such disk")->begin(session(1), false).check());
    Capture log;
    Process next(folder);
    CHECK(log.text().find("the record of lost writes was full") != std::string::npos);
    CHECK(log.text().find("damaged") == std::string::npos);
    CHECK_FALSE(next.disk("no such disk")->begin(session(1), false).check());
}

TEST_CASE(
    "where a loss cannot be written down, or what was is not readable, a loss of every disk is assumed") {
    const Folder folder;
    {
        Process process(folder);
        process.disk()->add(ENOSPC);
        const FileSizeLimit limit(LossRecord::half);  // no room for the half that is written next
        process.disk("another")->add(ENOSPC);
    }
    CHECK_FALSE(Process(folder).disk("another")->begin(session(1), false).check());
    CHECK_FALSE(Process(folder).disk("a third")->begin(session(1), false).check());
    const Folder other;
    other.set_bytes(std::string(2 * LossRecord::half + 1, 'x'));
    CHECK_FALSE(Process(other).disk()->begin(session(1), false).check());
    CHECK_FALSE(Process(other).disk()->begin(session(1), false).check());
}

TEST_CASE("a loss of every disk is assumed after a failed write, however many succeed after it") {
    const Folder folder;
    {
        LossRecord record;
        REQUIRE(record.open(folder.record(), this_boot));
        record.put("first", "state");
        {
            const FileSizeLimit limit(LossRecord::half);  // no room for the half that is written next
            record.put("second", "state");
        }
        for (const char* disk : {"third", "fourth", "fifth"}) record.put(disk, "state");
    }
    LossRecord next;
    REQUIRE(next.open(folder.record(), this_boot));
    CHECK(next.of("fifth") == "state");
    CHECK(next.forgetful());
}

TEST_CASE(
    "a loss is assumed where the record's file system is full, and only the half that is there can be torn") {
    const Folder folder;
    // In a thread, whose mounts are its own.
    std::async(std::launch::async, [&] {
        const std::string place = std::filesystem::path(folder.record()).parent_path();
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("tmpfs", place.c_str(), "tmpfs", 0, "size=4096") != 0) {
            MESSAGE("skipped: no right to mount");
            return;
        }
        LossRecord record;
        REQUIRE(record.open(folder.record(), this_boot));
        record.put("disk", "state");
        LossRecord next;
        CHECK_FALSE(next.open(folder.record(), this_boot));  // there is no room for a new file either
        CHECK(next.forgetful());
    }).get();
}

TEST_CASE("a loss of every disk is assumed after a half whose checksum is right and whose states are not") {
    const Folder folder;
    {
        LossRecord record;
        REQUIRE(record.open(folder.record(), this_boot));
        record.put("disk", "state");
    }
    const std::string sound = folder.bytes();
    for (const char* states : {"4 5\ndiskstate4 6\ndiskstate", "4 5\ndiskstate4 five\n"}) {
        std::string bytes = sound;
        replace_states(bytes, 0, states);
        folder.set_bytes(bytes);
        LossRecord next;
        REQUIRE(next.open(folder.record(), this_boot));
        CHECK(next.of("disk") == "state");
        CHECK(next.forgetful());
    }
    std::string bytes = sound;
    replace_states(bytes, 0, "4 5\ndiskstate");
    folder.set_bytes(bytes);
    LossRecord next;
    REQUIRE(next.open(folder.record(), this_boot));
    CHECK_FALSE(next.forgetful());
}

TEST_CASE("a record is made only in a folder that is there, and never through a link that somebody planted") {
    const Folder folder;
    LostWrites losses;
    CHECK_FALSE(losses.keep_in(folder.record() + "/x/losses", this_boot));
    const std::string victim = folder.record() + ".victim";
    std::ofstream(victim) << "content";
    REQUIRE(::symlink(victim.c_str(), (folder.record() + ".new").c_str()) == 0);
    CHECK(losses.keep_in(folder.record(), this_boot));
    CHECK(std::filesystem::file_size(victim) == 7);
    CHECK(std::filesystem::is_regular_file(std::filesystem::symlink_status(folder.record())));
}

TEST_CASE("who cannot write has lost nothing") {
    CHECK(Writer().check());
    CHECK_FALSE(Writer().awaits_delivery());
}
