// Proves that an attached device answers, by a small read in a child process.
//
// The state of the link is no proof: the kernel may use a connection of which the daemon has no descriptor
// (adopted from a daemon that died, with a server that does not fence), and on an idle disk a new link
// carries no traffic. A read through the block layer sleeps uninterruptibly while the disk is unreachable, so
// the daemon itself never reads; a sleeping child holds no resource of the daemon.
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

    // Keeps a descriptor of the folder of device nodes. (Tests use another folder.)
    [[nodiscard]] static DiskProof open(std::uint32_t index, const char* folder = "/dev");

    enum class Verdict : std::uint8_t {
        answers,  // a request completed within the last seconds
        pending,  // the first read, or the first read after a success, is in progress
        silent,   // a read has waited for seconds, and no request completed meanwhile
        failed,   // the last read could not be started, or returned an error
    };
    // Judges, and starts the next read when due: at most one child exists at a time. `completed`: number of
    // requests that the kernel has completed on the device so far. Call about once a second; after a long
    // pause earlier proof is discarded. Does not block; may be called after the seal.
    [[nodiscard]] Verdict look(std::uint64_t completed, Time now) noexcept;

private:
    void collect(Time now) noexcept;
    void start(Time now) noexcept;

    Fd folder_;
    std::string name_;  // "nbd0"
    Fd answer_;         // pipe from the child, while the child exists
    Time began_{};      // start of the read that `answer_` waits for, else of the last read
    Time looked_{};     // time of the last look()
    std::optional<std::uint64_t> completed_;
    std::optional<Time> answered_;  // last time when the device was known to answer
    bool failed_ = false;           // the last finished read failed, or the last read could not be started
};

}  // namespace holdfast::client
