// Servers as stored in a device's record: a resolved address, the export name, and the facts that a server
// reports about itself. No network access.
#pragma once

#include <sys/socket.h>

#include <memory>
#include <string>

#include "common/linux/fd.hh"
#include "common/protocol/uuid.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

// The folder of a UNIX socket, kept open: after switch_root its path is invalid in the daemon's file system.
struct KeptFolder {
    Fd folder;
    Fd working_folder;             // restored after a connect(2) in the other folder
    bool instead_of_path = false;  // do not try the path, which may lead to an unreachable disk
};

// A resolved address to connect to.
struct Endpoint {
    sockaddr_storage address{};
    socklen_t length = 0;
    std::string text;                            // "10.0.0.1:10809", "[fd00::1]:10809", "unix:/run/x.sock"
    std::shared_ptr<const KeptFolder> folder{};  // empty: only the path is used
};

// An endpoint, the export to request there, and the URI shown to users.
struct Target {
    Endpoint endpoint;
    std::string export_name;
    std::string uri;
};

// Facts reported by a server that supports the session option.
using IdentityText = FixedText<256>;
struct SessionFacts {
    nbd::Uuid boot_identity{};
    IdentityText export_identity;
    bool host_fenced = false;    // the server fences older attachments of this machine and device, too
    bool writes_stable = false;  // acknowledged writes survive a power cut of the server's machine
};

}  // namespace holdfast::client
