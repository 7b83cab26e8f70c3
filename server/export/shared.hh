// State that all connections of a server share: one object, owned by the server, which outlives every
// connection.
#pragma once

#include "common/protocol/uuid.hh"
#include "server/access/admission.hh"
#include "server/access/log_limit.hh"
#include "server/export/boot_upload.hh"
#include "server/export/connection_counts.hh"
#include "server/export/counters.hh"
#include "server/export/disks_in_use.hh"
#include "server/export/full_disks.hh"
#include "server/export/sessions.hh"
#include "server/opener/opener_client.hh"
#include "server/transport/budget.hh"
#include "server/transport/busy_poll.hh"
#include "server/transport/pipe_pool.hh"
#include "server/volume/volume_registry.hh"

namespace holdfast::server {

struct Shared {
    OpenerClient& opener;
    VolumeRegistry volumes{};
    ConnectionCounts counts{};
    DisksInUse disks{};
    FullDisks full_disks{};
    Sessions sessions{};
    BootUploads boot_uploads{};
    KnownClients known_clients{};
    Statistics statistics{};
    LogLimit stranger_log{};  // for events caused by clients without an export
    Budget buffer_memory{};   // beyond the guaranteed memory of each connection
    PollSeats poll_seats{};
    PipePool pipes{};
    nbd::Uuid boot_identity{};
};

}  // namespace holdfast::server
