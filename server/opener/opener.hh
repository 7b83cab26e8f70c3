// The opener: the process that keeps the server's privileges and does with them what the configuration says,
// and nothing else. The process that speaks to clients has none (confinement.hh). It asks the opener for
// exports by their names and gets descriptors. What paths those are, and whether they are opened for writing,
// the opener's own copy of the configuration says, so that whoever has taken the server over gets what it
// exports already and no more.
//
// Every request that may wait for a disk or a name server is carried out by a process of its own: one that
// hangs in open(2) holds up nobody. Not threads, since those could not be bounded by ending them, and would
// not be separate from what they ask for.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/linux/fd.hh"
#include "server/config/options.hh"
#include "server/opener/disk_opening.hh"
#include "server/opener/opener_link.hh"
#include "server/opener/opener_wire.hh"
#include "server/process/helper_process.hh"
#include "server/process/identity.hh"

namespace holdfast::server {

class Opener {
public:
    // How many processes may wait at once for one export, or for one file of the configuration, and in all.
    // The total does not count against an export that has none waiting: others' disks that hang leave each
    // export a place.
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
    using Clock = std::chrono::steady_clock;
    // A request that a helper carries out, and whose outcome the opener has to know.
    struct Task {
        OpenerRequest request;
        std::string group;
        std::string unix_path;  // where a socket is bound
        Fd reply_to;            // none: the helper answers by itself
        Helper helper;
        Clock::time_point deadline;
    };
    // A process that has its answer, or gives it by itself, and has not ended yet.
    struct Process {
        std::set<std::string> groups;  // in which it keeps a place
        Clock::time_point since;
    };

    // False at the end.
    [[nodiscard]] bool take_message();
    void handle(const OpenerRequest& request, Fd reply_to);
    // Has a helper carry it out.
    void begin_task(const OpenerRequest& request, Fd reply_to);
    [[nodiscard]] OpenerAnswer carry_out(const OpenerRequest& request, const HangingPaths& left_out,
                                         int reply_to) const;
    // Ends tasks that have come to their end, of the helper or of the time.
    void end_tasks();
    void end_task(Task task, OpenerOutcome outcome);
    // Keeps the places of a helper that hangs, until its end.
    void keep_places(const Helper& helper, std::set<std::string> groups);
    // Files at which a process hangs: they are not tried again for a while, or until one of many has ended.
    [[nodiscard]] HangingPaths hanging_paths() const;
    [[nodiscard]] int milliseconds_to_wait() const;
    // In a process of its own. It ends by itself when nobody waits any more, as
    // far as the kernel lets it.
    void answer_apart(const OpenerRequest& request, Fd reply_to, const OpenerAnswer* ready);
    // The requests that may hold each other up: those for an export or address, and otherwise those of a
    // kind.
    [[nodiscard]] std::string group_of(const OpenerRequest& request) const;
    // Whether there is a place for one more. Where not, answers so.
    [[nodiscard]] bool has_place(const OpenerRequest& request, const Fd& reply_to) const;
    [[nodiscard]] OpenerAnswer answer(const OpenerRequest& request) const;
    [[nodiscard]] OpenerAnswer listen(std::uint32_t number) const;
    [[nodiscard]] const Listen* listener(std::uint32_t number) const;
    [[nodiscard]] VolumeRequest request_for(const ExportConfig& config, const std::string& host) const;
    [[nodiscard]] OpenerAnswer take_over(const ConfigTexts& texts);
    void commit();
    // In processes of their own, of which none is waited for beyond `patience`.
    void remove_sockets(const std::set<std::string>& paths, std::chrono::milliseconds patience);
    [[nodiscard]] pid_t run_apart(const std::function<void()>& work);
    void reap();
    void remove_pid_file() const;

    Fd control_;
    const Options& options_;
    Config config_;
    std::optional<Config> next_;  // read, and not in force yet
    std::optional<Identity> identity_;
    pid_t server_;
    std::set<std::string> bound_;  // the UNIX sockets that are to be removed in the end
    std::list<Task> tasks_;
    std::map<pid_t, Process> processes_;
};

}  // namespace holdfast::server
