// Servers as a device's record keeps them: a resolved address, the export there, and the facts that a server
// states about itself. Knows no sockets: no call here reaches the network.
#pragma once

#include <sys/socket.h>

#include <memory>
#include <string>

#include "common/linux/fd.hh"
#include "common/protocol/uuid.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

// The folder of a UNIX socket, kept open: after switch_root its path leads nowhere in the file system that
// the daemon has as its own.
struct KeptFolder {
    Fd folder;
    Fd working_folder;             // to go back to after a connect(2) in the other
    bool instead_of_path = false;  // the path may lead to a disk that is away: it is not tried
};

// A resolved address to connect to.
struct Endpoint {
    sockaddr_storage address{};
    socklen_t length = 0;
    std::string text;                            // "10.0.0.1:10809", "[fd00::1]:10809", "unix:/run/x.sock"
    std::shared_ptr<const KeptFolder> folder{};  // empty: none, and the path alone is used
};

// An endpoint and the export to ask for there, and how a person knows it.
struct Target {
    Endpoint endpoint;
    std::string export_name;
    std::string uri;
};

// What a server that knows the session option says of itself and of the export.
using IdentityText = FixedText<256>;
struct SessionFacts {
    nbd::Uuid boot_identity{};
    IdentityText export_identity;
    bool host_fenced = false;    // older attachments of this machine and device are fenced, too
    bool writes_stable = false;  // acknowledged writes survive a power cut of the server's machine
};

}  // namespace holdfast::client
