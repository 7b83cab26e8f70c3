// The opener: the process that keeps the server's privileges and does with them what the configuration says,
// and nothing else. The process that speaks to clients has none (confinement.hh). It asks the opener for
// exports by their names and gets descriptors. What paths those are, and whether they are opened for writing,
// the opener's own copy of the configuration says, so that whoever has taken the server over gets what it
// exports already and no more.
//
// Every request that may wait for a disk or a name server is answered by a process of its own: one that hangs
// in open(2) holds up nobody. Not threads, since those could not be bounded by ending them, and would not be
// separate from what they ask for.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/linux/fd.hh"
#include "server/disk_opening.hh"
#include "server/identity.hh"
#include "server/opener_link.hh"
#include "server/opener_wire.hh"
#include "server/options.hh"

namespace holdfast::server {

// An answer in the making. `files` are sent along.
struct OpenerAnswer {
    Packer packed{OpenerStatus::done};
    std::vector<Fd> files;
};

class Opener {
public:
    // How many requests may wait at once for one export, and in all. The total does not count against an
    // export that has none waiting: others' disks that hang leave each export a place.
    static constexpr std::size_t most = 256;
    static constexpr std::size_t most_for_one = 8;

    struct Context {
        const Options& options;            // where the configuration is read again from
        Config config;                     // what is in force
        std::optional<Identity> identity;  // whom UNIX sockets are given to
        std::set<std::string> bound;       // the UNIX sockets that are there because of the server
        bool keep_stderr = false;          // so that what a sanitizer says is seen
    };
    // Forks it, with signals ignored that a terminal or service manager sends to all of a service, and
    // connects the server's end to it. Before there are threads.
    [[nodiscard]] static Result<void> start(OpenerLink& link, Context context);

    // `control` is a SOCK_SEQPACKET socket on which `server` asks.
    Opener(Fd control, Context context, pid_t server);

    // Until the server closes its end. Then the pid file that it left is removed.
    void run();

private:
    // A reload whose files are being read.
    struct Reading {
        OpenerRequest request;
        std::string group;
        Fd reply_to;
        pid_t reader;
        Fd from_reader;
        std::chrono::steady_clock::time_point deadline;
        std::vector<std::uint8_t> bytes;
    };

    // False at the end.
    [[nodiscard]] bool take_message();
    void handle(const OpenerRequest& request, Fd reply_to);
    // Has a process read the configuration's files: their file system may not answer.
    void begin_reload(const OpenerRequest& request, Fd reply_to);
    // Takes what that process has read. False at the end.
    [[nodiscard]] bool go_on_reading(Reading& reading) const;
    // Answers those that have come to their end, of the reader or of the time.
    void answer_readings(const std::vector<pollfd>& readable);
    [[nodiscard]] int milliseconds_to_wait() const;
    // In a process of its own. It ends by itself when nobody waits any more, as
    // far as the kernel lets it.
    void answer_apart(const OpenerRequest& request, Fd reply_to, const OpenerAnswer* ready);
    // Whether there is a place for one more. Where not, answers so.
    [[nodiscard]] bool has_place(const OpenerRequest& request, const Fd& reply_to) const;
    [[nodiscard]] OpenerAnswer answer(const OpenerRequest& request) const;
    [[nodiscard]] OpenerAnswer listen(std::uint32_t number) const;
    [[nodiscard]] VolumeRequest request_for(const ExportConfig& config, const std::string& host) const;
    [[nodiscard]] OpenerAnswer take_over(const Reading& reading);
    void commit();
    void remove_socket(std::string path);
    void reap();
    void remove_pid_file() const;

    Fd control_;
    const Options& options_;
    Config config_;
    std::optional<Config> next_;  // read, and not in force yet
    std::optional<Identity> identity_;
    pid_t server_;
    std::set<std::string> bound_;  // the UNIX sockets that are to be removed in the end
    std::list<Reading> readings_;
    std::map<pid_t, std::string> answering_;  // the processes that answer, with their groups
};

}  // namespace holdfast::server
