// The file by which everybody may see how a device is, in a folder of the test's own.

#include "client/control/record_file.hh"

#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>

using namespace holdfast::client;

namespace {

class Folder {
public:
    Folder() {
        std::string pattern = "/tmp/holdfast-public-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    [[nodiscard]] PublicFile file() const {
        auto opened = PublicFile::open(4, path.c_str());
        REQUIRE(opened);
        return std::move(*opened);
    }
    [[nodiscard]] PublicReading reading() const {
        auto read = read_public_file(4, path.c_str());
        REQUIRE(read);
        return std::move(*read);
    }
    std::filesystem::path path;
};

}  // namespace

TEST_CASE("public file: a reader sees the text, and whether its writer lives") {
    const Folder folder;
    std::optional<PublicFile> file = folder.file();
    CHECK(read_public_file(4, folder.path.c_str()).error().code == ENOENT);
    REQUIRE(file->publish("heartbeat 1\nstate attached\n"));
    struct stat found {};
    REQUIRE(::stat((folder.path / "nbd4.status").c_str(), &found) == 0);
    CHECK((found.st_mode & 07777) == 0644);
    CHECK(folder.reading().text == "heartbeat 1\nstate attached\n");
    CHECK(folder.reading().alive);
    REQUIRE(file->publish("heartbeat 3\nstate reconnecting\n"));
    CHECK(folder.reading().text == "heartbeat 3\nstate reconnecting\n");
    CHECK(folder.reading().alive);
    // As when its process dies.
    file.reset();
    CHECK(folder.reading().text == "heartbeat 3\nstate reconnecting\n");
    CHECK_FALSE(folder.reading().alive);
}

TEST_CASE("public file: a reader can neither pretend that a daemon lives nor stop it from writing") {
    const Folder folder;
    std::optional<PublicFile> file = folder.file();
    REQUIRE(file->publish("state attached\n"));
    file.reset();
    const holdfast::Fd reader(::open((folder.path / "nbd4.status").c_str(), O_RDONLY | O_CLOEXEC));
    struct flock lock {};
    lock.l_type = F_RDLCK;
    lock.l_whence = SEEK_SET;
    REQUIRE(::fcntl(reader.get(), F_OFD_SETLK, &lock) == 0);
    CHECK_FALSE(folder.reading().alive);
    lock.l_type = F_WRLCK;
    CHECK(::fcntl(reader.get(), F_OFD_SETLK, &lock) != 0);
    file = folder.file();
    CHECK(file->publish("state reconnecting\n"));
    CHECK(folder.reading().alive);
}

TEST_CASE(
    "public file: a daemon takes away its own file only, and what a daemon left half written is no "
    "hindrance") {
    const Folder folder;
    PublicFile old = folder.file();
    REQUIRE(old.publish("old\n"));
    PublicFile successor = folder.file();
    REQUIRE(::mkfifo((folder.path / "nbd4.status.new").c_str(), 0600) == 0);
    REQUIRE(successor.publish("new\n"));
    old.remove();
    CHECK(folder.reading().text == "new\n");
    successor.remove();
    CHECK(read_public_file(4, folder.path.c_str()).error().code == ENOENT);
}
