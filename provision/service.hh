// The loop of holdfast-provision: accepts, and starts a process for each request, so that a slow copy holds
// up no other volume.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>

#include "common/linux/fd.hh"
#include "provision/volume_locks.hh"

namespace holdfast::provision {

class Service {
public:
    struct Setup {
        std::string config;  // the server's main configuration file
        std::string lock_folder;
        bool ends_when_idle = false;  // a service manager holds the socket, and starts this program again
    };
    Service(Fd listening, Setup setup) : listening_(std::move(listening)), setup_(std::move(setup)) {}

    // Serves until SIGTERM or, if the setup says so, until nothing has happened for a minute.
    void run();

private:
    void take_connection();
    void reap();
    void end_children();

    Fd listening_;
    Setup setup_;
    std::set<pid_t> children_;
};

}  // namespace holdfast::provision
