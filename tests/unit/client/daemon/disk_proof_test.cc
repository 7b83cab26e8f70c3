// The read that proves a disk, from files in the place of a device: a FIFO without a writer is a disk whose
// requests wait.

#include "client/daemon/disk_proof.hh"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace holdfast::client;
using namespace std::chrono_literals;
using Verdict = DiskProof::Verdict;

namespace {

constexpr DiskProof::Time start{1000s};

class Devices {
public:
    Devices() {
        // Not on a tmpfs, some of which take no O_DIRECT.
        std::string pattern = "/var/tmp/holdfast-proof-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder_ = pattern;
    }
    ~Devices() {
        // No child is left for the tests that follow: those that wait for a writer get one.
        while (::waitpid(-1, nullptr, WNOHANG) >= 0) {
            const holdfast::Fd writer(::open((folder_ / "nbd3").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
            ::poll(nullptr, 0, 10);
        }
        std::filesystem::remove_all(folder_);
    }
    Devices(const Devices&) = delete;
    Devices& operator=(const Devices&) = delete;

    void works() const { std::ofstream(folder_ / "nbd3") << std::string(8192, 'x'); }
    void hangs() const { REQUIRE(::mkfifo((folder_ / "nbd3").c_str(), 0600) == 0); }
    // A writer comes, so that the read that waits ends, and the next one succeeds.
    void recovers() const {
        std::ofstream(folder_ / "nbd3").flush();
        std::filesystem::remove(folder_ / "nbd3");
        works();
    }
    [[nodiscard]] DiskProof proof() const { return DiskProof::open(3, folder_.c_str()); }

private:
    std::filesystem::path folder_;
};

// The child has its own pace: looks again, at the same time, until the verdict is the wanted one.
bool comes(Verdict wanted, DiskProof& proof, std::uint64_t completed, DiskProof::Time now) {
    for (int tries = 0; tries < 6000; ++tries) {
        if (proof.look(completed, now) == wanted) return true;
        ::poll(nullptr, 0, 10);
    }
    return false;
}

}  // namespace

TEST_CASE("disk proof: a disk that nobody uses answers a read of its own") {
    const Devices devices;
    devices.works();
    DiskProof proof = devices.proof();
    for (int second = 0; second < 20; second += 5)
        CHECK(comes(Verdict::answers, proof, 0, start + std::chrono::seconds{second}));
}

TEST_CASE("disk proof: a read that waits for seconds shows a silent disk, until it is answered") {
    const Devices devices;
    devices.hangs();
    DiskProof proof = devices.proof();
    CHECK(proof.look(7, start) == Verdict::pending);
    CHECK(proof.look(7, start + 2s) == Verdict::pending);
    CHECK(proof.look(7, start + 3s) == Verdict::silent);
    CHECK(proof.look(7, start + 100s) == Verdict::silent);
    SUBCASE("or until any other request is") { CHECK(proof.look(8, start + 101s) == Verdict::answers); }
    devices.recovers();
    CHECK(comes(Verdict::answers, proof, 8, start + 200s));
}

TEST_CASE("disk proof: what was answered since a look of long ago proves nothing of now") {
    const Devices devices;
    devices.hangs();
    DiskProof proof = devices.proof();
    CHECK(proof.look(7, start) == Verdict::pending);
    CHECK(proof.look(900, start + 3600s) == Verdict::silent);
    CHECK(proof.look(901, start + 3601s) == Verdict::answers);
}

TEST_CASE("disk proof: a read that cannot be made proves nothing") {
    const Devices devices;
    DiskProof proof = devices.proof();
    CHECK(comes(Verdict::failed, proof, 0, start));
    SUBCASE("also at the look that starts the next one") {
        CHECK(proof.look(0, start + 1s) == Verdict::failed);
        CHECK(proof.look(0, start + 2s) == Verdict::failed);
    }
    SUBCASE("and requests that are completed still do") {
        CHECK(proof.look(1, start + 1s) == Verdict::answers);
    }
    SUBCASE("and the next one may succeed") {
        devices.works();
        CHECK(comes(Verdict::answers, proof, 0, start + 10s));
    }
}
