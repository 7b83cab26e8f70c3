// Lock file by which commands of a kind take turns.
#pragma once

#include <functional>
#include <string>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

// Returns the locked file, which is created if necessary. `say_waiting` is called once, if another command
// has the lock. ETIMEDOUT: that command still had the lock at `end`.
[[nodiscard]] Result<Fd> take_turn(const std::string& path, Deadline end,
                                   const std::function<void()>& say_waiting);

}  // namespace holdfast::client
