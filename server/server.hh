// The main thread: accepts clients, reads the configuration again on SIGHUP, stops on SIGTERM.
// It never touches a volume and never waits for a client, so it answers signals whatever disks and networks
// do.
#pragma once

#include <chrono>
#include <expected>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/linux/fd.hh"
#include "common/linux/service_notice.hh"
#include "server/config/options.hh"
#include "server/connection/connection.hh"
#include "server/connection/lobby.hh"
#include "server/listen/inherited_sockets.hh"
#include "server/opener/opener_link.hh"
#include "server/process/identity.hh"
#include "server/reload.hh"
#include "server/status/status_socket.hh"

namespace holdfast::server {

class Server {
public:
    // `options` say where the configuration is read again from, and must outlive the server. `given`: sockets
    // to be used in place of those that the configuration would have bound, or besides them.
    Server(const Options& options, Config config, std::optional<Identity> identity, InheritedSockets given);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    // Binds every listener and takes over the signals. On return clients can connect, though nobody accepts
    // yet.
    // The disks' opener is forked, which keeps what the server gives up afterwards.
    [[nodiscard]] std::expected<void, std::string> prepare(bool keep_stderr);
    // Says in the log which system calls were refused (confinement.hh).
    void tell_of_calls(Fd refused_calls);

    enum class Outcome : std::uint8_t {
        clean,   // every connection was ended
        stuck,   // some thread is still in the disk after the whole stoptimeout: the process must be left
                 // without it
        bereft,  // every connection was ended, because the opener had gone
    };
    // Until it is told to stop.
    [[nodiscard]] Outcome run();

private:
    struct Listener {
        Endpoint endpoint;
        ListenScope scope;
        std::vector<Fd> sockets;
        bool given = false;      // by the service manager, whose the path of a UNIX socket is
        bool configured = true;  // otherwise only given, and it stays whatever the configuration says
    };
    using Clock = std::chrono::steady_clock;

    // The listeners that the configuration wants, with new sockets only for endpoints that `listeners_` does
    // not have: the others have none yet. At the start they are bound here, later they are in `bound`.
    [[nodiscard]] std::expected<std::vector<Listener>, std::string> open_listeners(
        const Config& config, std::map<std::size_t, std::vector<Fd>> bound = {});
    [[nodiscard]] bool has_listener(const Endpoint& endpoint) const;
    // Those given ones that the configuration does not speak of: they serve every export.
    void add_given(const Config& config, std::vector<Listener>& wanted);
    [[nodiscard]] std::expected<void, std::string> open_status();
    void keep_losses();
    [[nodiscard]] std::expected<void, std::string> start_opener(bool keep_stderr);
    [[nodiscard]] StatusReport report() const;
    [[nodiscard]] std::uint32_t limit_of(const std::optional<Address>& from) const;
    void take_over(std::vector<Listener> wanted);
    void accept_from(const Listener& listener, int socket);
    void begin(Fd socket, const sockaddr_storage& from, const Listener& listener);
    // Without a table the client waits until the authfiles have been read, after it came.
    void ask_authfiles();
    void on_authfiles(const OpenerOutcome& answer);
    void remove_ended();
    void on_signal();
    // The connections that have no thread, by their sockets, which are watched.
    using Sleeping = std::map<int, Connection*>;
    void put_to_sleep(Connection& connection);
    void wake(Sleeping::iterator sleeping);
    void wake_all();
    void on_changed();
    void begin_reload();
    void on_reload();
    void end_reload(std::expected<Reload::Result, std::string> outcome);
    // The error: nothing has changed, in neither process.
    [[nodiscard]] std::expected<void, std::string> take_over(Reload::Result result);
    // What will refuse clients as things stand is looked for by the opener, and warned of when it answers.
    void ask_look_around();
    // Exports whose connections use another path than the configuration now names.
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
    std::optional<Identity> identity_;
    OpenerLink opener_;
    Shared shared_{.opener = opener_};
    Lobby lobby_;
    PlaceCounts places_;
    std::shared_ptr<const AccessTable> access_;  // as it was read last; null before
    OpenerQuestion authfiles_;                   // while they are being read
    Admission::Ticket asked_at_ = 0;             // gives meaning to `authfiles_`: who came before is judged
    Clock::time_point authfiles_by_ = Clock::time_point::max();  // the same: their deadline
    Fd epoll_;
    Fd signals_;
    Fd changed_;  // an eventfd: connections say that something about them has changed
    Fd refused_calls_;
    std::optional<Reload> reload_;  // while one is going on
    bool reload_again_ = false;     // gives meaning to `reload_`: the files may have changed since it began
    OpenerQuestion look_around_;
    std::vector<Listener> listeners_;
    std::list<Connection> connections_;
    Sleeping sleeping_;
    Clock::time_point wake_again_ = Clock::time_point::max();  // after there was no thread for one
    Clock::time_point trim_again_ = Clock::time_point::max();  // after one fell asleep: the heap
    bool accepting_ = true;
    Clock::time_point accept_again_ =
        Clock::time_point::max();  // gives meaning to !accepting_: after a shortage
    InheritedSockets given_;       // until prepare()
    // Opened once: later the way to it may be closed to us.
    const ServiceManager manager_ = ServiceManager::of_this_process();
    const Clock::duration watchdog_;  // how often it wants to hear of us; 0: never
    Clock::time_point feed_at_{};     // gives meaning to a watchdog
    const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
    StatusSocket status_;
    // How far a stop has come.
    enum class Stop : std::uint8_t {
        not_yet,
        replying,   // until the next deadline, clients may take their last replies
        finishing,  // until the next deadline, requests may come back from the disk
        cut_off,    // until the next deadline, threads may notice that their clients are gone
    };
    Stop stop_ = Stop::not_yet;
    bool bereft_ = false;                // the opener has gone
    Clock::time_point stop_deadline_{};  // the next step; gives meaning to all but not_yet
    Clock::time_point finish_by_{};      // the end of `finishing`
};

}  // namespace holdfast::server
