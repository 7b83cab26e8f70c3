// Main thread: accepts clients, reloads the configuration on SIGHUP, stops on SIGTERM.
// Never touches a volume and never waits for a client, so signals are answered even if disks or networks
// hang.
#pragma once

#include <chrono>
#include <expected>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/linux/service_notice.hh"
#include "server/config/options.hh"
#include "server/connection/connection.hh"
#include "server/connection/lobby.hh"
#include "server/listen/inherited_sockets.hh"
#include "server/opener/opener_client.hh"
#include "server/process/service_user.hh"
#include "server/reload.hh"
#include "server/status/status_socket.hh"

namespace holdfast::server {

class Server {
public:
    // `options` name the configuration for a reload, and must outlive the server. `given`: sockets that
    // replace sockets of the configuration, or are added to them.
    Server(const Options& options, Config config, std::optional<ServiceUser> identity,
           InheritedSockets given);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    // Binds every listener and takes over the signals. On return clients can connect, but are not accepted
    // yet.
    // Forks the disks' opener, which keeps the privileges that the server drops afterwards.
    [[nodiscard]] std::expected<void, std::string> prepare(bool keep_stderr);
    // Logs the system calls that the filter refuses (system_call_filter.hh).
    void tell_of_calls(Fd refused_calls);

    enum class Outcome : std::uint8_t {
        clean,   // every connection has ended
        stuck,   // a thread is still blocked in the disk after stoptimeout: exit without joining it
        bereft,  // every connection has ended, because the opener had ended
    };
    // Runs until the server is asked to stop.
    [[nodiscard]] Outcome run();

private:
    struct Listener {
        Endpoint endpoint;
        ListenScope scope;
        std::vector<Fd> sockets;
        bool given = false;      // by the service manager, which owns the path of a UNIX socket
        bool configured = true;  // false: only given; kept whatever the configuration says
    };

    // Returns the listeners of the configuration, with new sockets only for endpoints missing in
    // `listeners_`; the others have no sockets yet. Binds the new sockets at the start; later they are in
    // `bound`.
    [[nodiscard]] std::expected<std::vector<Listener>, std::string> open_listeners(
        const Config& config, std::map<std::size_t, std::vector<Fd>> bound = {});
    [[nodiscard]] bool has_listener(const Endpoint& endpoint) const;
    // Adds given sockets that the configuration does not mention: they serve every export.
    void add_given(const Config& config, std::vector<Listener>& wanted);
    [[nodiscard]] std::expected<void, std::string> open_status();
    void keep_losses();
    [[nodiscard]] std::expected<void, std::string> start_opener(bool keep_stderr);
    [[nodiscard]] StatusReport report() const;
    [[nodiscard]] std::uint32_t limit_of(const std::optional<Address>& from) const;
    void take_over(std::vector<Listener> wanted);
    void accept_from(const Listener& listener, int socket);
    void begin(Fd socket, const sockaddr_storage& from, const Listener& listener);
    // Asks for the authfiles if clients wait for them. A client waits until the authfiles have been read
    // after its arrival.
    void ask_authfiles();
    void on_authfiles(const OpenerOutcome& answer);
    void remove_ended();
    void on_signal();
    // Connections without a thread, by their sockets, which are watched.
    using Sleeping = std::map<int, Connection*>;
    void put_to_sleep(Connection& connection);
    void wake(Sleeping::iterator sleeping);
    void wake_all();
    void on_changed();
    void begin_reload();
    void on_reload();
    void end_reload(std::expected<Reload::Result, std::string> outcome);
    // Puts the result in force. The error: nothing has changed, in neither process.
    [[nodiscard]] std::expected<void, std::string> take_over(Reload::Result result);
    // Asks the opener for present causes of refusals; on_look_around() logs them as warnings.
    void ask_look_around();
    // Warns of exports whose connections use another path than the configuration now names.
    void warn_of_old_disks() const;
    void on_look_around();
    void on_refused_calls();
    void on_opener_gone();
    void begin_stop(std::string_view why);
    [[nodiscard]] Outcome leave_stuck() const;
    void hold_accepting(bool hold);
    void turn_away(TurnedAway reason, std::string_view text);
    void feed_watchdog(Clock::time_point now);
    [[nodiscard]] bool watch(int fd);
    [[nodiscard]] int milliseconds_to_wait() const;
    void on_time();

    const Options& options_;
    std::shared_ptr<const Config> config_;
    std::optional<ServiceUser> identity_;
    OpenerClient opener_;
    Shared shared_{.opener = opener_};
    Lobby lobby_;
    PlaceCounts places_;
    std::shared_ptr<const AccessTable> access_;  // as read last; null before the first read
    OpenerQuestion authfiles_;                   // while they are being read
    Admission::Ticket asked_at_ = 0;       // valid only with `authfiles_`: the answer covers earlier clients
    Deadline authfiles_by_ = no_deadline;  // deadline; valid only with `authfiles_`
    Fd epoll_;
    Fd signals_;
    Fd changed_;  // an eventfd by which connections report a change
    Fd refused_calls_;
    std::optional<Reload> reload_;  // while a reload is in progress
    bool reload_again_ = false;     // valid only with `reload_`: the files may have changed meanwhile
    OpenerQuestion look_around_;
    std::vector<Listener> listeners_;
    std::list<Connection> connections_;
    Sleeping sleeping_;
    Deadline wake_again_ = no_deadline;  // retry after a shortage of threads
    Deadline trim_again_ = no_deadline;  // heap trim after a connection slept
    bool accepting_ = true;
    Deadline accept_again_ = no_deadline;  // retry after a shortage; valid only if !accepting_
    InheritedSockets given_;               // until prepare()
    // Opened once: later the path to the manager's socket may be closed to this process.
    const ServiceManager manager_ = ServiceManager::of_this_process();
    const Clock::duration watchdog_;  // interval of watchdog messages; 0: never
    Clock::time_point feed_at_{};     // valid only with a watchdog
    const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
    StatusSocket status_;
    // Stages of a stop.
    enum class Stop : std::uint8_t {
        not_yet,
        replying,   // until the next deadline, clients may receive their last replies
        finishing,  // until the next deadline, requests may complete on the disk
        cut_off,    // until the next deadline, threads may notice that their clients are gone
    };
    Stop stop_ = Stop::not_yet;
    bool bereft_ = false;       // the opener has ended
    Deadline stop_deadline_{};  // time of the next stage; invalid in not_yet
    Deadline finish_by_{};      // end of `finishing`
};

}  // namespace holdfast::server
