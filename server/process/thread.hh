// Starting a thread with a small stack: there are many of them, and each does little on it.
#pragma once

#include <pthread.h>

#include "common/linux/result.hh"

namespace holdfast::server {

// The caller joins it.
[[nodiscard]] Result<pthread_t> start_thread(void* (*main)(void*), void* argument);

// Nobody joins it: it frees itself when it ends.
[[nodiscard]] Result<void> start_detached_thread(void* (*main)(void*), void* argument);

// Gives back to the system what the calling thread has touched of its stack and does not use now. For a
// thread of start_thread() that is about to wait for long.
void release_unused_stack() noexcept;

}  // namespace holdfast::server
