// Starts threads with a small stack: there are many threads, each with little stack use.
#pragma once

#include <pthread.h>

#include "common/linux/result.hh"

namespace holdfast::server {

// Starts a thread for the caller to join.
[[nodiscard]] Result<pthread_t> start_thread(void* (*main)(void*), void* argument);

// Starts a thread that frees itself when it ends.
[[nodiscard]] Result<void> start_detached_thread(void* (*main)(void*), void* argument);

// Returns touched but unused stack pages of the calling thread to the system. For a thread of start_thread()
// before a long wait.
void release_unused_stack() noexcept;

}  // namespace holdfast::server
