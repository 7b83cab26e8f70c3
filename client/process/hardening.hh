// Prepares the daemon to live as long as the system: detached from any terminal, locked in memory, and spared
// by the killing of processes at shutdown.
#pragma once

#include <signal.h>

#include <string>
#include <vector>

#include "client/process/capabilities.hh"

namespace holdfast::client {

// Closes inherited descriptors except the standard streams; call it before opening anything. Otherwise the
// daemon would hold a shell's pipe or a file on a disk open for its whole life.
void close_inherited() noexcept;

// Returns the signals that a daemon ignores: those that end or stop a process, from a terminal or sent at the
// end of a session, a service, or all processes.
[[nodiscard]] sigset_t signals_of_others() noexcept;

// Blocks signals_of_others() until the daemon reads them. For a process that connects a device: if killed in
// between, the process would leave the device without a daemon.
void hold_signals() noexcept;
// True if a signal that should end this process has arrived since.
[[nodiscard]] bool was_to_end() noexcept;

// Starts a new session, with /dev as working directory (on no disk, and the place of the log's socket) and
// /dev/null as standard streams. EventLoop::open() handles the signals.
void leave_terminal() noexcept;

// Locks all current and future memory; prevents the kernel from reclaiming memory through the disk on behalf
// of this process, and from killing it when memory runs out. Returns a line for each failure: the process
// continues anyway.
[[nodiscard]] std::vector<std::string> stay_in_memory();
// The same, and drops capabilities.
[[nodiscard]] std::vector<std::string> settle_down(const FurtherNeeds& needs);

}  // namespace holdfast::client
