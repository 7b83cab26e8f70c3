// Forks only while the machine shuts down without other proof of the disk (MachineShutdown), or while a
// device that is about to grow is idle (DeviceGrowth).

#include "client/daemon/disk_proof.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace holdfast::client {
namespace {

using std::chrono::seconds;

constexpr seconds between_reads{1};
// Validity of an answer, and time after which an unfinished read means silence.
constexpr seconds answer_lasts{3};
constexpr seconds read_patience{3};
// Longer than an attempt at a server, after which the next call comes.
constexpr seconds longest_pause{20};

// Largest logical block of a kernel with 4 KiB pages; the smallest read that every disk accepts.
constexpr std::size_t read_size = 4096;

// Bypasses the page cache: a cached block would prove nothing.
[[noreturn]] void read_device(int folder, const char* name, int answer) noexcept {
    ::prctl(PR_SET_NAME, "holdfast-proof", 0, 0, 0);
    // Keep no descriptor of the daemon open here, above all no link and no control socket.
    ::dup2(folder, STDIN_FILENO);
    ::dup2(answer, STDOUT_FILENO);
    ::close_range(STDERR_FILENO, ~0U, 0);
    alignas(read_size) std::array<char, read_size> block;
    const int device = ::openat(STDIN_FILENO, name, O_RDONLY | O_DIRECT | O_CLOEXEC);
    const bool done = device >= 0 && ::pread(device, block.data(), block.size(), 0) > 0;
    ::_exit(done && ::write(STDOUT_FILENO, "y", 1) == 1 ? 0 : 1);
}

}  // namespace

DiskProof DiskProof::open(std::uint32_t index, const char* folder) {
    DiskProof proof;
    proof.folder_.reset(::open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    proof.name_ = "nbd" + std::to_string(index);
    return proof;
}

void DiskProof::collect(Time now) noexcept {
    pollfd entry{answer_.get(), POLLIN, 0};
    if (!answer_ || ::poll(&entry, 1, 0) <= 0) return;
    char byte = 0;
    failed_ = ::read(answer_.get(), &byte, 1) != 1;
    if (!failed_) answered_ = now;
    answer_.reset();
}

void DiskProof::start(Time now) noexcept {
    began_ = now;
    std::array<int, 2> ends{};
    if (!folder_ || ::pipe2(ends.data(), O_CLOEXEC) != 0) {
        failed_ = true;
        return;
    }
    Fd reading(ends[0]);
    const Fd writing(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) read_device(folder_.get(), name_.c_str(), writing.get());
    if (child < 0)
        failed_ = true;
    else
        answer_ = std::move(reading);
}

DiskProof::Verdict DiskProof::look(std::uint64_t completed, Time now) noexcept {
    if (completed_ && completed > *completed_) answered_ = now;
    completed_ = completed;
    collect(now);
    // Proof from before a long pause may be as old as the pause.
    if (now - std::exchange(looked_, now) > longest_pause) answered_.reset();
    const bool pending = static_cast<bool>(answer_);
    if (!pending && (began_ == Time{} || now - began_ >= between_reads)) start(now);
    if (answered_ && now - *answered_ < answer_lasts) return Verdict::answers;
    if (pending && now - began_ >= read_patience) return Verdict::silent;
    // A read that was just started does not change the last result.
    return failed_ ? Verdict::failed : Verdict::pending;
}

}  // namespace holdfast::client
