// What the server may ask of its opener, and what a server that has been taken over gets.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>

#include "server/config/access_table.hh"
#include "server/config/config_packing.hh"
#include "server/opener/opener.hh"
#include "server/reload.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

// A folder of its own for a test, with the files of a configuration.
class Folder {
public:
    Folder() { REQUIRE(::mkdtemp(path_) != nullptr); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        for (const std::string& name : names_) ::unlink(path(name).c_str());
        ::rmdir(path_);
    }

    [[nodiscard]] std::string path(const std::string& name) const { return std::string(path_) + "/" + name; }
    std::string write(const std::string& name, const std::string& text) {
        names_.push_back(name);
        std::ofstream(path(name)) << text;
        return path(name);
    }

private:
    char path_[32] = "/tmp/holdfast-opener-XXXXXX";
    std::vector<std::string> names_;
};

// An opener in a process of its own, and our end of the line to it.
struct Running {
    explicit Running(const std::string& configuration) {
        options.config = configuration;
        options.config_given = true;
        LoadedConfig loaded = load_config(options);
        REQUIRE(loaded.errors.empty());
        REQUIRE(Opener::start(link, {options, loaded.config, std::nullopt, {}, true}));
    }
    // Waits for an opener that needs longer than ~OpenerLink() waits: newest_child() of the next test must
    // not find it.
    struct Reaper {
        Reaper() = default;
        Reaper(const Reaper&) = delete;
        Reaper& operator=(const Reaper&) = delete;
        ~Reaper() {
            while (::waitpid(-1, nullptr, 0) > 0) continue;
        }
    };
    Options options;
    Reaper reaper;
    OpenerClient link;
};

// Waits, as the loop of the server never does.
OpenerOutcome whole_answer(std::expected<OpenerQuestion, std::string> question) {
    REQUIRE(question.has_value());
    for (;;) {
        if (auto answer = question->take()) return std::move(*answer);
        pollfd more{question->fd(), POLLIN, 0};
        REQUIRE(::poll(&more, 1, 60'000) == 1);
    }
}

auto reload(OpenerClient& link) { return texts_of(whole_answer(link.ask_reload())); }
auto commit(OpenerClient& link) { return done_of(whole_answer(link.ask_commit())); }
auto listen(OpenerClient& link, std::size_t number) {
    return sockets_of(whole_answer(link.ask_listen(number)));
}

DiskWanted wanted(std::string name, std::string host = "127.0.0.1", bool writable = true) {
    return {std::move(name), std::move(host), writable,
            std::chrono::steady_clock::now() + std::chrono::minutes(1)};
}

struct Pair {
    Fd ours;
    Fd theirs;
};

Pair pair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    return {Fd(ends[0]), Fd(ends[1])};
}

// Into `theirs`, nothing can be sent before `ours` is read or closed.
Pair full_pair() {
    Pair made = pair();
    const std::array<char, 4096> bytes{};
    while (::send(made.theirs.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) continue;
    return made;
}

// What a sound server never sends: `descriptors` copies of `file` with it.
void send(const OpenerClient& link, std::span<const std::uint8_t> bytes, const Fd& file,
          std::size_t descriptors) {
    iovec data{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (descriptors > 0) {
        message.msg_control = space.data();
        message.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
        const int number = file.get();
        for (std::size_t i = 0; i < descriptors; ++i)
            std::memcpy(CMSG_DATA(head) + i * sizeof number, &number, sizeof number);
    }
    REQUIRE(::sendmsg(link.fd(), &message, MSG_NOSIGNAL) >= 0);
}

// Whether anything came back before the opener closed the socket.
bool answered(const OpenerClient& link, std::span<const std::uint8_t> bytes, std::size_t descriptors) {
    auto [ours, theirs] = pair();
    send(link, bytes, theirs, descriptors);
    theirs.reset();
    char byte = 0;
    return ::read(ours.get(), &byte, 1) > 0;
}

// The process of the opener: the newest child. One of an earlier test may take a second to end, under the
// thread sanitizer.
pid_t newest_child() {
    std::ifstream children("/proc/thread-self/children");
    pid_t child = -1;
    for (pid_t next = -1; children >> next;) child = next;
    REQUIRE(child > 0);
    return child;
}

std::vector<std::uint8_t> request(OpenerCall call, std::string name, std::string host = "127.0.0.1") {
    return pack(OpenerRequest{call, 0, std::move(name), std::move(host)});
}

}  // namespace

TEST_CASE("a request to the opener arrives as it was sent") {
    const OpenerRequest one{OpenerCall::open, 7, "root", "2001:db8::1"};
    CHECK(unpack_request(pack(one)) == one);
    const OpenerRequest longest{OpenerCall::find, 0, std::string(4096, 'n'), "unix"};
    CHECK(pack(longest).size() <= longest_opener_request);
    CHECK(unpack_request(pack(longest)) == longest);
    const OpenerRequest files{OpenerCall::boot_commit, 0, std::string(4096, 'n'), {}, std::string(4096, 'd')};
    CHECK(pack(files).size() <= longest_opener_request);
    CHECK(unpack_request(pack(files)) == files);
    for (const OpenerCall call :
         {OpenerCall::find, OpenerCall::open, OpenerCall::look, OpenerCall::end_session}) {
        OpenerRequest of_session{call, 0, "root", "10.0.0.1", std::string(32, 'a')};
        CHECK(unpack_request(pack(of_session)) == of_session);
        of_session.data = "../" + std::string(29, 'a');
        CHECK_FALSE(unpack_request(pack(of_session)).has_value());
    }
    CHECK_FALSE(
        unpack_request(pack(OpenerRequest{OpenerCall::listen, 0, {}, {}, std::string(32, 'a')})).has_value());
}

TEST_CASE("what is no request of ours is none: lengths, calls, hosts of which a path could be made") {
    const std::vector<std::uint8_t> sound = request(OpenerCall::open, "root");
    for (std::size_t size = 0; size < sound.size(); ++size)
        CHECK_FALSE(unpack_request(std::span(sound).first(size)).has_value());
    std::vector<std::uint8_t> bytes = sound;
    bytes.push_back(0);
    CHECK_FALSE(unpack_request(bytes).has_value());
    for (const int call : {0, 16, 255}) {
        bytes = sound;
        bytes[0] = static_cast<std::uint8_t>(call);
        CHECK_FALSE(unpack_request(bytes).has_value());
    }
    for (const std::size_t unused : {1, 2, 3}) {
        bytes = sound;
        bytes[unused] = 1;
        CHECK_FALSE(unpack_request(bytes).has_value());
    }
    bytes = sound;
    bytes[8] = bytes[9] = 0xff;  // a name of 65,535 bytes
    CHECK_FALSE(unpack_request(bytes).has_value());
    bytes = request(OpenerCall::open, std::string(4096, 'n'), "");
    bytes.push_back('n');
    ++bytes[8];
    CHECK_MESSAGE(!unpack_request(bytes).has_value(), "a name of 4,097 bytes");
    const OpenerRequest with_data{OpenerCall::open, 0, "root", "127.0.0.1", "data"};
    CHECK_MESSAGE(!unpack_request(pack(with_data)).has_value(), "data that the call does not take");
    for (const char* host :
         {"..", "../../etc/shadow", "127.0.0.1/..", "127.1", "::ffff:127.0.0.1", "unix ", "a"})
        CHECK_FALSE(unpack_request(request(OpenerCall::open, "root", host)).has_value());
}

TEST_CASE("an answer with wrong lengths or values is none") {
    Packer packed(OpenerStatus::done);
    pack(packed, DiskFacts{.block = true,
                           .writable = true,
                           .can_discard = true,
                           .can_zero_fast = true,
                           .preferred_block = 8192,
                           .volatile_cache = false,
                           .identity = "x",
                           .path = "/x",
                           .thin_pool = "vg0/pool"});
    const std::span<const std::uint8_t> whole = std::span(packed.bytes()).subspan(1);
    Unpacker all(whole);
    const auto facts = unpack_facts(all);
    REQUIRE(facts);
    CHECK(facts->preferred_block == 8192);
    CHECK(facts->thin_pool == "vg0/pool");
    CHECK_FALSE(facts->volatile_cache);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Unpacker part(whole.first(size));
        CHECK_FALSE(unpack_facts(part).has_value());
    }
    for (const std::string& identity : {std::string(), std::string("a\nb"), std::string(256, 'i')}) {
        Packer wrong(OpenerStatus::done);
        pack(wrong, DiskFacts{.identity = identity, .path = {}});
        Unpacker from(std::span(wrong.bytes()).subspan(1));
        CHECK_FALSE(unpack_facts(from).has_value());
    }
    Packer texts(OpenerStatus::done);
    pack(texts, ConfigTexts{.files = {{"/a", "text", ""}, {"/b", "", "open: no"}},
                            .directory = "/d",
                            .directory_fault = "fault",
                            .directory_hangs = true,
                            .hanging = {"/d", "/e"}});
    Unpacker from(std::span(texts.bytes()).subspan(1));
    const std::optional<ConfigTexts> back = unpack_texts(from);
    REQUIRE(back);
    CHECK(back->files.size() == 2);
    CHECK(back->files[1].fault == "open: no");
    CHECK(back->directory == "/d");
    CHECK(back->directory_fault == "fault");
    CHECK(back->directory_hangs);
    CHECK(back->hanging == std::vector<std::string>{"/d", "/e"});
    Unpacker cut(std::span(texts.bytes()).subspan(1, texts.bytes().size() - 2));
    CHECK_FALSE(unpack_texts(cut).has_value());
}

TEST_CASE("the opener opens what the configuration names, as the configuration says, and nothing else") {
    Folder folder;
    const std::string disk = folder.write("disk", std::string(8192, 'd'));
    const std::string golden = folder.write("golden", std::string(4096, 'g'));
    const std::string authfile = folder.write("clients", "192.0.2.0/24\n");
    Running opener(folder.write("server.conf", "[disk]\nexportname = " + disk +
                                                   "\n[golden]\nreadonly = true\nexportname = " + golden +
                                                   "\nauthfile = " + authfile +
                                                   "\n[own]\nexportname = " + folder.path("own-%s") + "\n"));
    OpenerClient& link = opener.link;
    const auto found = link.find(wanted("disk"));
    REQUIRE(found);
    CHECK(found->writable);
    const auto opened = link.open(wanted("disk"));
    REQUIRE(opened);
    struct stat status {};
    REQUIRE(::fstat(opened->files.file.get(), &status) == 0);
    CHECK(key_of(status, true, false) == *found);
    CHECK(::pwrite(opened->files.file.get(), "x", 1, 0) == 1);
    CHECK(link.look(wanted("disk"))->size == 8192);

    // Whatever the server says that it wants.
    const auto read_only = link.open(wanted("golden", "127.0.0.1", true));
    REQUIRE(read_only);
    CHECK_FALSE(read_only->facts.writable);
    CHECK(::pwrite(read_only->files.file.get(), "x", 1, 0) < 0);

    for (const std::string& name :
         {disk, std::string("/etc/passwd"), std::string("../disk"), std::string(), std::string("DISK")}) {
        for (const auto& why : {link.open(wanted(name)).error(), link.find(wanted(name)).error(),
                                link.look(wanted(name)).error()}) {
            CHECK(why.absent);
            CHECK(why.text == "the export no longer exists");
        }
    }
    CHECK(link.open(wanted("own", "192.0.2.1")).error().absent);
    CHECK(link.open(wanted("own", "")).error().text == "the client has no address");

    const auto authfiles = texts_of(whole_answer(link.ask_authfiles()));
    REQUIRE(authfiles.has_value());
    REQUIRE(authfiles->files.size() == 1);
    CHECK(authfiles->files[0].path == authfile);
    const auto table = AccessTable::make(*authfiles, nullptr);
    CHECK_FALSE(table->judge(*parse_address("192.0.2.77")).forbidden(authfile).has_value());
    CHECK(table->judge(*parse_address("198.51.100.1")).forbidden(authfile) ==
          "the client's address is not in " + authfile);
}

TEST_CASE("the opener goes by a new configuration when the server has taken it, and by none with mistakes") {
    Folder folder;
    const std::string disk = folder.write("disk", std::string(4096, 'd'));
    const std::string file = folder.write("server.conf", "[old]\nexportname = " + disk + "\n");
    Running opener(file);
    OpenerClient& link = opener.link;
    folder.write("server.conf", "[new]\nexportname = " + disk + "\n");
    const auto texts = reload(link);
    REQUIRE(texts);
    CHECK(make_config(opener.options, *texts).config.find("new") != nullptr);
    CHECK(link.find(wanted("old")).has_value());
    CHECK_FALSE(link.find(wanted("new")).has_value());
    CHECK(commit(link));
    CHECK_FALSE(link.find(wanted("old")).has_value());
    CHECK(link.find(wanted("new")).has_value());

    // A configuration that was read and never committed is dropped when a wrong one is read.
    folder.write("server.conf", "[skipped]\nexportname = " + disk + "\n");
    REQUIRE(reload(link));
    folder.write("server.conf", "[newest]\nexportname = " + disk + "\nnonsense = 1\n");
    CHECK_FALSE(make_config(opener.options, reload(link).value()).errors.empty());
    CHECK(commit(link));
    CHECK(link.find(wanted("new")).has_value());
}

TEST_CASE("a reload waits for no answer to commit, which the opener takes before what is asked after it") {
    Folder folder;
    const std::string disk = folder.write("disk", std::string(4096, 'd'));
    Running opener(folder.write("server.conf", "[old]\nexportname = " + disk + "\n"));
    folder.write("server.conf", "[new]\nexportname = " + disk + "\n");
    Reload reload(opener.options, opener.link, [](const Endpoint&) { return true; });
    REQUIRE(reload.begin());
    std::optional<std::expected<Reload::Result, std::string>> outcome;
    for (bool asked = false; !outcome;) {
        pollfd more{reload.fd(), POLLIN, 0};
        REQUIRE(::poll(&more, 1, 60'000) == 1);
        outcome = reload.go_on(asked);
        REQUIRE_FALSE(asked);
    }
    REQUIRE(outcome->has_value());
    CHECK((*outcome)->loaded.config.find("new") != nullptr);
    CHECK(opener.link.find(wanted("old")).has_value());
    // Whether or not the opener can take a descriptor for its answer.
    send(opener.link, request(OpenerCall::commit, ""), pair().theirs, 0);
    CHECK(opener.link.find(wanted("new")).has_value());
    CHECK_FALSE(opener.link.find(wanted("old")).has_value());
}

TEST_CASE(
    "an opener that has no descriptor left for its answer carries out commit anyway, and nothing else") {
    Folder folder;
    const std::string disk = folder.write("disk", std::string(4096, 'd'));
    Running opener(folder.write("server.conf", "[old]\nexportname = " + disk + "\n"));
    OpenerClient& link = opener.link;
    folder.write("server.conf", "[new]\nexportname = " + disk + "\n");
    REQUIRE(reload(link));
    const pid_t child = newest_child();
    rlimit limit{};
    REQUIRE(::prlimit(child, RLIMIT_NOFILE, nullptr, &limit) == 0);
    const rlimit none{3, limit.rlim_max};
    REQUIRE(::prlimit(child, RLIMIT_NOFILE, &none, nullptr) == 0);
    CHECK_FALSE(answered(link, request(OpenerCall::find, "old"), 1));
    CHECK_FALSE(answered(link, request(OpenerCall::commit, ""), 1));
    REQUIRE(::prlimit(child, RLIMIT_NOFILE, &limit, nullptr) == 0);
    CHECK(link.find(wanted("new")).has_value());
    CHECK_FALSE(link.find(wanted("old")).has_value());
}

TEST_CASE("what is no request gets no answer, and the opener goes on") {
    Folder folder;
    const std::string disk = folder.write("disk", std::string(4096, 'd'));
    Running opener(folder.write("server.conf", "[disk]\nexportname = " + disk + "\n"));
    OpenerClient& link = opener.link;
    const std::vector<std::uint8_t> sound = request(OpenerCall::find, "disk");
    CHECK(answered(link, sound, 1));
    CHECK_FALSE(answered(link, sound, 0));
    CHECK_FALSE(answered(link, sound, 2));
    CHECK_FALSE(answered(link, sound, 8));
    CHECK_FALSE(answered(link, std::vector<std::uint8_t>(65536, 1), 1));
    CHECK_FALSE(answered(link, std::vector<std::uint8_t>(longest_opener_request + 1, 1), 1));
    CHECK_FALSE(answered(link, std::vector<std::uint8_t>(1, 255), 1));
    CHECK_FALSE(answered(link, request(OpenerCall::open, "disk", "../x"), 1));
    // More listeners than there are.
    CHECK(listen(link, 1).error() == "no such listener");
    CHECK(listen(link, 0xffffffff).error() == "no such listener");
    CHECK(link.find(wanted("disk")).has_value());
}

TEST_CASE("requests that wait are bounded, and leave every export that has none waiting a place") {
    Folder folder;
    const std::string disk = folder.write("disk", std::string(4096, 'd'));
    constexpr std::size_t others = Opener::most / Opener::most_for_one;
    std::string text = "[generic]\nhandshaketimeout = 3600\n";
    const auto add = [&](const std::string& name) { text += "[" + name + "]\nexportname = " + disk + "\n"; };
    for (const char* const name : {"disk", "x", "late"}) add(name);
    for (std::size_t i = 1; i < others; ++i) add(std::to_string(i));
    Running opener(folder.write("server.conf", text));
    OpenerClient& link = opener.link;
    std::vector<Fd> unread;
    const auto ask = [&](const std::string& name) {
        auto [ours, theirs] = full_pair();
        send(link, request(OpenerCall::find, name), theirs, 1);
        unread.push_back(std::move(ours));
    };
    const auto fill = [&](const std::string& name) {
        for (std::size_t i = 0; i < Opener::most_for_one; ++i) ask(name);
    };
    const auto is_busy = [&](const std::string& name) {
        auto [ours, theirs] = pair();
        send(link, request(OpenerCall::find, name), theirs, 1);
        theirs.reset();
        std::uint8_t status = 0;
        return ::read(ours.get(), &status, 1) == 1 && status == static_cast<std::uint8_t>(OpenerStatus::busy);
    };
    fill("x");
    CHECK(is_busy("x"));
    CHECK(link.find(wanted("disk")).has_value());
    for (std::size_t i = 1; i < others; ++i) fill(std::to_string(i));
    CHECK(link.find(wanted("disk")).has_value());
    CHECK(link.find(wanted("disk")).has_value());
    ask("late");
    CHECK(is_busy("late"));
    CHECK(is_busy("x"));
    // A name that is in no configuration has no process, and so no place.
    ask("made up");
    CHECK_FALSE(is_busy("made up"));
    unread.clear();
    CHECK(link.find(wanted("disk")).has_value());
}

TEST_CASE("a refusal for want of a place says which disk does not answer") {
    Folder folder;
    const std::string disk = folder.write("disk", std::string(4096, 'd'));
    Running opener(folder.write("server.conf",
                                "[generic]\nhandshaketimeout = 3600\n[disk]\nexportname = " + disk + "\n"));
    std::vector<Pair> unread;
    for (std::size_t i = 0; i < Opener::most_for_one; ++i) {
        unread.push_back(full_pair());
        send(opener.link, request(OpenerCall::find, "disk"), unread.back().theirs, 1);
    }
    // A slow machine may not get the first answer within a second.
    std::string text;
    for (int tries = 0; tries < 60 && (text.empty() || text.find("timed out") != std::string::npos);
         ++tries) {
        DiskWanted at_once = wanted("disk");
        at_once.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
        text = opener.link.find(at_once).error().text;
    }
    CHECK(text == "8 requests are already waiting for " + disk + ", which does not answer");
}

TEST_CASE("the opener's end is seen at once, although a process of it still answers") {
    Folder folder;
    const std::string disk = folder.write("disk", std::string(4096, 'd'));
    // An answer that does not fit into a socket, as above.
    Running opener(folder.write("server.conf",
                                "[disk]\nexportname = " + disk + "\n#" + std::string(1U << 20, '.') + "\n"));
    OpenerClient& link = opener.link;
    auto [unread, theirs] = pair();
    send(link, request(OpenerCall::reload, ""), theirs, 1);
    theirs.reset();
    CHECK(link.find(wanted("disk")).has_value());  // so that the request before it was taken up
    pollfd gone{link.fd(), POLLIN, 0};
    CHECK(::poll(&gone, 1, 0) == 0);
    REQUIRE(::kill(newest_child(), SIGKILL) == 0);
    REQUIRE(::poll(&gone, 1, 60'000) == 1);
    CHECK(link.find(wanted("disk")).error().text == "no answer from the opener process");
}
