// Main thread: accepts clients, reloads the configuration on SIGHUP, stops on SIGTERM.
// Never touches a volume and never waits for a client, so signals are answered even if disks or networks
// hang.
#pragma once

#include <chrono>
#include <expected>
#include <memory>
#include <string>

#include "common/linux/clock.hh"
#include "common/linux/epoll.hh"
#include "common/linux/fd.hh"
#include "common/linux/service_notice.hh"
#include "server/authfile_reading.hh"
#include "server/config/options.hh"
#include "server/connection/connection_list.hh"
#include "server/current_config.hh"
#include "server/disk_watch.hh"
#include "server/listen/inherited_sockets.hh"
#include "server/listen/listener_set.hh"
#include "server/opener/opener_client.hh"
#include "server/path_warnings.hh"
#include "server/process/service_user.hh"
#include "server/status/status_socket.hh"
#include "server/stop_machine.hh"

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
    [[nodiscard]] std::expected<void, std::string> open_signals();
    [[nodiscard]] std::expected<void, std::string> open_status();
    void keep_losses();
    [[nodiscard]] std::expected<void, std::string> start_opener(bool keep_stderr);

    void handle_events(int milliseconds);
    void on_input(int fd);
    void accept_from(const ListenerSet::Listener& listener, int socket);
    void on_signal();
    void on_refused_calls();
    void on_opener_gone();
    [[nodiscard]] int milliseconds_to_wait() const;
    void on_time(Clock::time_point now);
    void feed_watchdog(Clock::time_point now);

    void begin_stop(StopEvent event, std::string_view why);
    // Begins the next stage of a stop. Returns true if the server must leave although threads are blocked.
    [[nodiscard]] bool continue_stop(Clock::time_point now);
    // Whether no connection and no opening of a disk is left.
    [[nodiscard]] bool is_idle() const;
    void log_stuck() const;

    const Options& options_;
    std::optional<ServiceUser> identity_;
    OpenerClient opener_;
    Shared shared_{.opener = opener_};
    // Opened once: later the path to the manager's socket may be closed to this process.
    const ServiceManager manager_ = ServiceManager::of_this_process();
    Epoll epoll_;
    Fd signals_;
    Fd refused_calls_;
    ListenerSet listeners_;
    ConnectionList connections_{epoll_, shared_};
    PathWarnings path_warnings_{epoll_, opener_};
    CurrentConfig config_;
    AuthfileReading authfiles_{epoll_, opener_, connections_.lobby(), shared_.stranger_log};
    DiskWatch disks_{epoll_, shared_, connections_, path_warnings_, config_};
    StatusSocket status_;
    StopMachine stop_;
    const Clock::duration watchdog_;  // interval of watchdog messages; 0: never
    Clock::time_point feed_at_{};     // valid only with a watchdog
    const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
};

}  // namespace holdfast::server
