// Proves that an attached device answers, by a small read in a child process.
//
// The state of the link does not say it: the kernel may use a connection of which the daemon has no
// descriptor (adopted from a daemon that died, with a server that does not fence), and on an idle disk a new
// link carries nothing. A read through the block layer sleeps uninterruptibly while the disk is away, so the
// daemon itself never makes it; a child that sleeps holds nothing of the daemon's.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/linux/fd.hh"

namespace holdfast::client {

class DiskProof {
public:
    using Time = std::chrono::steady_clock::time_point;

    // Keeps a descriptor of the folder of device nodes. (Tests have one of their own.)
    [[nodiscard]] static DiskProof open(std::uint32_t index, const char* folder = "/dev");

    enum class Verdict : std::uint8_t {
        answers,  // a request was completed within the last seconds
        pending,  // the first read, or one after a success, is under way
        silent,   // a read has waited for seconds, and no request was completed meanwhile
        failed,   // the last read could not be made, or ended in an error
    };
    // Judges, and starts the next read when it is due: at most one child exists at a time. `completed`: how
    // many requests the kernel has completed on the device so far. To be called about once a second; after a
    // long pause it begins anew. Does not block; may be called after the seal.
    [[nodiscard]] Verdict look(std::uint64_t completed, Time now) noexcept;

private:
    void collect(Time now) noexcept;
    void start(Time now) noexcept;

    Fd folder_;
    std::string name_;  // "nbd0"
    Fd answer_;         // the pipe from the child, while it exists
    Time began_{};      // of the read that `answer_` waits for; else of the last one
    Time looked_{};     // last
    std::optional<std::uint64_t> completed_;
    std::optional<Time> answered_;  // when the device was seen to answer last
    bool failed_ = false;           // the last read that was finished, or could not be started
};

}  // namespace holdfast::client
