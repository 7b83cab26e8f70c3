// The opener: the process that keeps the server's privileges and uses them only as the configuration says.
// The process that serves clients has none (system_call_filter.hh), asks the opener for exports by name and
// receives descriptors. Their paths, and whether they are opened for writing, come from the opener's own copy
// of the configuration, so that an attacker who controls the server process gets the exports and no more.
//
// Every request that may wait for a disk or a name server runs in a process of its own, so that a process
// hanging in open(2) blocks no other. Not in threads, since threads cannot be ended to bound their number,
// and would not be isolated from the opener.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <expected>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "server/config/options.hh"
#include "server/opener/disk_opening.hh"
#include "server/opener/opener_client.hh"
#include "server/opener/opener_protocol.hh"
#include "server/process/helper_process.hh"
#include "server/process/service_user.hh"

namespace holdfast::server {

class Opener {
public:
    // Limits of waiting processes: for a single export or configuration file, and in total. The total does
    // not apply to an export with none waiting, so hanging disks of others leave each export a place.
    static constexpr std::size_t most = 256;
    static constexpr std::size_t most_for_one = 8;

    struct Context {
        const Options& options;               // source of the configuration for a reload
        Config config;                        // the configuration in force
        std::optional<ServiceUser> identity;  // owner of UNIX sockets
        std::set<std::string> bound;          // UNIX sockets that the server has created
        bool keep_stderr = false;             // keeps stderr open for sanitizer output
    };
    // Forks the opener, which ignores signals that a terminal or service manager sends to the whole service,
    // and connects the server's end to it. Call before there are threads.
    [[nodiscard]] static Result<void> start(OpenerClient& link, Context context);

    // `control` is a SOCK_SEQPACKET socket, on which `server` sends its requests.
    Opener(Fd control, Context context, pid_t server);

    // Serves until the server closes its end; then removes the server's pid file.
    void run();

private:
    // A request that a helper carries out, and whose outcome the opener needs.
    struct Task {
        OpenerRequest request;
        std::string group;
        std::string unix_path;  // path of the socket to bind, if any
        Fd reply_to;            // empty: the helper answers by itself
        Helper helper;
        Deadline deadline;
    };
    // A process that has its answer, or sends the answer by itself, and has not ended yet.
    struct Process {
        std::set<std::string> groups;  // groups in which the process keeps a place
        Clock::time_point since;
    };

    // Returns false at the end.
    [[nodiscard]] bool take_message();
    void handle(const OpenerRequest& request, Fd reply_to);
    void handle_for_export(const OpenerRequest& request, Fd reply_to);
    // Removes the sockets of the configuration's listeners; with `all`, every socket that the server created.
    void unlisten(bool all);
    // Starts a helper for the request.
    void begin_task(const OpenerRequest& request, Fd reply_to);
    [[nodiscard]] OpenerAnswer carry_out(const OpenerRequest& request, const HangingPaths& left_out,
                                         int reply_to) const;
    // Ends tasks whose helper has answered or whose time has passed.
    void end_tasks();
    void end_task(Task task, OpenerOutcome outcome);
    // Keeps the places of a helper that hangs, until the helper ends.
    void keep_places(const Helper& helper, std::set<std::string> groups);
    // Files at which a process hangs: not tried again for a while; if `most_for_one` processes hang, not
    // until a process has ended.
    [[nodiscard]] HangingPaths hanging_paths() const;
    [[nodiscard]] int milliseconds_to_wait() const;
    // Answers from a process of its own. That process ends by itself when the answer is no longer awaited, as
    // far as the kernel permits.
    void answer_apart(const OpenerRequest& request, Fd reply_to, const OpenerAnswer* ready);
    // Group of requests that may hold each other up: requests for the same export or address; otherwise
    // requests of the same kind.
    [[nodiscard]] std::string group_of(const OpenerRequest& request) const;
    [[nodiscard]] bool is_for_host(const OpenerRequest& request) const;
    // Has the volume of a host made if the export has `create`, and the volume does not exist.
    [[nodiscard]] std::expected<void, VolumeRefusal> make_missing_volume(const ExportConfig& config,
                                                                         const std::string& host,
                                                                         const std::string& path) const;
    // Whether there is a place for another request. If not, sends `busy`.
    [[nodiscard]] bool has_place(const OpenerRequest& request, const Fd& reply_to) const;
    [[nodiscard]] OpenerAnswer answer(const OpenerRequest& request) const;
    // Requests for the disk of the export, which is that of the session if by_session().
    [[nodiscard]] OpenerAnswer answer_disk(const ExportConfig& config, const OpenerRequest& request) const;
    [[nodiscard]] OpenerAnswer answer_end(const ExportConfig& config, const std::string& host) const;
    // Time for a question to holdfast-provision, so that the client is answered before its handshake ends.
    [[nodiscard]] std::chrono::milliseconds patience_for_provision() const;
    [[nodiscard]] OpenerAnswer answer_boot_files(const ExportConfig& config,
                                                 const OpenerRequest& request) const;
    [[nodiscard]] OpenerAnswer listen(std::uint32_t number) const;
    [[nodiscard]] const Listen* listener(std::uint32_t number) const;
    [[nodiscard]] VolumeRequest request_for(const ExportConfig& config, const std::string& host) const;
    [[nodiscard]] OpenerAnswer take_over(const ConfigTexts& texts);
    void commit();
    // Removes sockets in separate processes; waits for them for at most `patience` in all.
    void remove_sockets(const std::set<std::string>& paths, std::chrono::milliseconds patience);
    [[nodiscard]] pid_t run_apart(const std::function<void()>& work);
    void reap();
    void remove_pid_file() const;

    Fd control_;
    const Options& options_;
    Config config_;
    std::optional<Config> next_;  // read, and not in force yet
    std::optional<ServiceUser> identity_;
    pid_t server_;
    std::set<std::string> bound_;  // UNIX sockets to remove in the end
    std::list<Task> tasks_;
    std::map<pid_t, Process> processes_;
};

}  // namespace holdfast::server
